"""Questions about the networks at full size, with random weights: precision, steps, pictures, memory."""

import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases.memory import GIB, num_weights
from model.bases.sdxl.doctor import ENCODER_WEIGHTS, to_draw, to_train
from model.judges.critic import SizeCritic
from model.params import SWITCHES, DrawingOptions, MemorySwitches
from model.sampling import SizedDrawer, TryOnInputs
from preprocess.vocabulary import TRIED_ON
from tests.gpu.numerics import KINDS, in_precision, relative
from tests.gpu.report import Question, free_memory
from tests.gpu.setting import People, Setting, people
from tests.sizes import MEANINGS, UPPER
from train.keyed_random import KeyedRandom
from train.params import LossParams, OptimisationParams, RuntimeParams
from train.sample_encoder import SampleEncoder, encode
from train.trainer import Trainer
from train.tryon import TryOnTask
from train.watch import Watch, accelerator_of

TIMED_STEPS = 5
RANK = 16
STRIP = np.linspace(0.9, 1.8, 7)
BATCHES = {0: (1, 8), 1: (8,)}
"""Samples of a step, by the place of the pictures' size in `Setting.sizes`. Of few the CPU, which starts some
tens of thousands of kernels a step, would be what is timed."""

UNSPARED = 4
"""Samples of a step in which nothing is computed twice: their activations take tens of GB."""

WITHIN = 0.10
"""How far the measured peak of memory may be from doctor's figure."""


def questions(setting: Setting) -> Iterator[Question]:
    """Yield what is asked; LoRA layers that `train_joint` adds are taken off again."""
    yield Question(
        name="noise prediction at full size against float32",
        budget_s=60,
        work=partial(noise_prediction, setting),
        bars={"bf16": ("<=", 2e-2), "fp16": ("<=", 5e-3), "tf32": ("<=", 2e-3)},
    )
    for place, hw in enumerate(setting.sizes):
        for stage in ("train_size", "train_joint"):
            for batch_size in BATCHES[place]:
                largest = place == 0 and stage == "train_joint" and batch_size > 1
                first = place == 0 and batch_size == 1
                yield Question(
                    name=f"{stage} at {hw[0]}x{hw[1]}, batch {batch_size}, gradient checkpointing",
                    budget_s=45,
                    work=partial(training_steps, setting, stage, hw, batch_size),
                    bars={"mfu": (">=", 0.35)}
                    if largest
                    else {"off_doctor": ("<=", WITHIN)}
                    if first
                    else {},
                )
    height, width = setting.sizes[0]
    yield Question(
        name=f"train_joint at {height}x{width}, batch {UNSPARED}, nothing computed twice",
        budget_s=45,
        work=partial(training_steps, setting, "train_joint", (height, width), UNSPARED, sparing=False),
        bars={"mfu": (">=", 0.35)},
    )
    yield Question(
        name=f"a picture of {setting.steps} steps",
        budget_s=40,
        work=partial(pictures, setting, STRIP[:1]),
        bars={"seconds": ("<=", 3.0)},
    )
    yield Question(name="a strip of 7", budget_s=60, work=partial(pictures, setting, STRIP))
    for name, switches in SWITCHES.items():
        if name != "off":
            yield Question(
                name=f"--low-memory {name} in {name} GiB",
                budget_s=60,
                work=partial(capped, setting, float(name), switches),
                bars={"off_doctor": ("<=", WITHIN), "peak_gib": ("<=", float(name))},
            )


def compiled_question(setting: Setting) -> Question:
    """Ask how fast steps of full size are, compiled and with nothing computed twice: it takes minutes."""
    return Question(
        name="train_joint at full size, compiled, channels last",
        budget_s=400,
        work=partial(
            training_steps,
            setting,
            "train_joint",
            setting.sizes[0],
            BATCHES[0][-1],
            sparing=False,
            fast=True,
        ),
        bars={"mfu": (">=", 0.35)},
    )


@torch.no_grad()
def noise_prediction(setting: Setting) -> Mapping[str, float]:
    """How far the prediction in a lesser precision is from full precision, relative to it."""
    base = setting.new_base(torch.float32)
    seen = encode(base, people(1, setting.sizes[0]))
    times = torch.full((1,), 500, device=setting.device)
    noise = torch.randn(seen["latents"].shape, generator=torch.Generator().manual_seed(0))

    def predicted() -> Tensor:
        conditioning = base.with_garment(base.condition(seen), times)
        noisy = base.noising.add_noise(seen["latents"], noise.to(setting.device), times)
        return base.predict(noisy, times, conditioning)

    reference = in_precision(setting, None, predicted)
    return {kind: relative(in_precision(setting, kind, predicted), reference) for kind in KINDS}


def training_steps(
    setting: Setting,
    stage: str,
    hw: tuple[int, int],
    batch_size: int,
    *,
    sparing: bool = True,
    fast: bool = False,
) -> Mapping[str, Any]:
    """Take steps of a stage through the training loop, encodings kept: speed, use of the card, memory.

    `sparing` is gradient checkpointing; `fast` compiles the networks, their channels last.
    """
    base = setting.base
    runtime = RuntimeParams(
        mixed_precision=setting.precision,
        tracker="none",
        compile=fast,
        channels_last=fast,  # type: ignore[arg-type]
    )
    if sparing:
        base.denoiser.enable_gradient_checkpointing()
    try:
        task, groups = task_of(setting, stage, hw, batch_size)
        with tempfile.TemporaryDirectory() as name:
            accelerator = accelerator_of(runtime, Path(name))
            steps = OptimisationParams(steps=100, batch_size=batch_size, learning_rate=1e-5)
            stream = Again(batch_size, hw)
            trainer = Trainer(accelerator, task, stream, steps, runtime, 0, groups)
            watch = Watch(accelerator, "gpu", steps, runtime, Path(name), trainer.state)
            seconds = 0.0

            def work() -> None:
                nonlocal seconds
                seconds = setting.seconds(lambda: trainer.step(watch), repeats=TIMED_STEPS, warm_up=2)

            peak = setting.peak_bytes(work)
        flops = step_flops(task, stream.batch)
        figures = {
            "samples_per_s": batch_size / seconds,
            "mfu": flops / seconds / setting.peak_flops,
            "tflop_a_step": flops / 1e12,
            "peak_gib": peak / GIB,
        }
        return figures | against_doctor(setting, task, peak) if batch_size == 1 else figures
    finally:
        base.denoiser.disable_gradient_checkpointing()
        if stage == "train_joint":
            base.denoiser.unload_lora()
        if fast:  # later rows aren't compiled
            base.denoiser._compiled_call_impl = base.compiled_garment = None


class Again(People):
    """The same batch again and again, so that its encodings can be kept."""

    def __init__(self, batch_size: int, hw: tuple[int, int]) -> None:
        super().__init__(batch_size, hw)
        self.batch = people(batch_size, hw)

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield self.batch


def task_of(
    setting: Setting, stage: str, hw: tuple[int, int], batch_size: int
) -> tuple[TryOnTask, list[dict[str, Any]]]:
    """The task of a stage with its encodings, and the weights that it trains."""
    base = setting.base
    adapter = SizeAdapter.for_sites(base.sites(), MEANINGS).to(setting.device)
    learning = [*adapter.parameters()]
    if stage == "train_joint":
        opened = base.trainable("lora", RANK)
        for weight in opened.values():
            weight.data = weight.data.float()
        learning += opened.values()
    encoder = SampleEncoder(base)
    seen = people(batch_size, hw)
    made = encode(base, seen)
    encoder.known = {
        key: {name: x[row : row + 1] for name, x in made.items()} for row, key in enumerate(seen.keys)
    }
    critic = SizeCritic(base.latent_channels, NUM_BODY_MAPS, UPPER, TRIED_ON).requires_grad_(False)
    task = TryOnTask(base, encoder, loss=LossParams(), adapter=adapter, critic=critic.to(setting.device))
    return task, [{"params": learning}]


@torch.no_grad()
def step_flops(task: TryOnTask, seen: Any) -> float:
    """Operations that a step needs: garment UNet forward, try-on UNet forward and backward to its inputs.

    What recomputation under gradient checkpointing adds is not counted, nor the gradients of the few weights
    that learn.
    """
    base, encoded = task.base, task.encoder(seen)
    times = task.timesteps(KeyedRandom(0, seen.position))
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as garment:
        conditioning = base.with_garment(base.condition(encoded), times)
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as tryon:
        device = task.base.device.type
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            base.predict(encoded["latents"], times, conditioning)
    return float(garment.get_total_flops() + 2 * tryon.get_total_flops())


def against_doctor(setting: Setting, task: TryOnTask, peak: int) -> Mapping[str, float]:
    """The peak beside what `cinderella doctor` says of this stage; it knows full size alone."""
    if setting.tiny:
        return {}
    lora = sum(w.numel() for w in task.base.parameters() if w.requires_grad)
    base = sum(num_weights(unet) for unet in (task.base.tryon_unet, task.base.garment_unet))
    said = sum(to_train(base + sum(ENCODER_WEIGHTS.values()), lora, task.base.dtype.itemsize))
    return {"doctor_gib": said / GIB, "off_doctor": abs(peak / said - 1)}


def drawer(setting: Setting, num_steps: int, batch_size: int) -> SizedDrawer:
    """What draws one person as IDM-VTON's weights are drawn: text guidance, the garment at every step."""
    adapter = SizeAdapter.for_sites(setting.base.sites(), MEANINGS).to(setting.device, setting.dtype).eval()
    options = DrawingOptions(num_steps=num_steps, text_guidance=2.0, size_guidance=1.0, garment_refresh=1)
    seen = TryOnInputs.of(people(1, setting.sizes[0]))
    return SizedDrawer(setting.base, adapter, seen, options, batch_size=batch_size)


def requests(widths: Any) -> Any:
    """(N, A) ratios of which the second, the width, is asked for."""
    asked = np.full((len(widths), len(UPPER)), np.nan)
    asked[:, 1] = widths
    return asked


def pictures(setting: Setting, widths: Any) -> Mapping[str, float]:
    """Seconds of drawing a person at some widths, and memory."""
    draw = drawer(setting, setting.steps, len(widths))
    draw(0, requests(widths[:1]))  # encodes the person, and warms up
    seconds = 0.0

    def work() -> None:
        nonlocal seconds
        seconds = setting.seconds(lambda: draw(0, requests(widths)), warm_up=0)

    peak = setting.peak_bytes(work)
    return {"seconds": seconds, "seconds_a_picture": seconds / len(widths), "peak_gib": peak / GIB}


def capped(setting: Setting, limit_gib: float, switches: MemorySwitches) -> Mapping[str, float]:
    """Draw what is drawn together, in two steps, while the process may hold no more than so much."""
    base = setting.base
    base.to("cpu")
    free_memory()
    try:
        if setting.on_gpu:
            total = torch.cuda.get_device_properties(setting.device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, limit_gib * GIB / total))
        base.save_memory(switches, setting.device)
        draw = drawer(setting, 2, switches.batch_size)
        seconds = 0.0

        def work() -> None:
            nonlocal seconds
            seconds = setting.seconds(lambda: draw(0, requests(STRIP[: switches.batch_size])), warm_up=0)

        peak = setting.peak_bytes(work)
        figures = {"seconds_of_2_steps": seconds, "peak_gib": peak / GIB}
        if setting.tiny:
            return figures
        unets = num_weights(base.tryon_unet), num_weights(base.garment_unet)
        said = sum(to_draw(*unets, switches, base.dtype.itemsize))
        return figures | {"doctor_gib": said / GIB, "off_doctor": abs(peak / said - 1)}
    finally:
        if setting.on_gpu:
            torch.cuda.set_per_process_memory_fraction(1.0)
        base.save_memory(SWITCHES["off"], setting.device)
