"""Questions about numbers: is what the device computes that of full precision, and does a run go on."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils.constants import SCALER_NAME
from torch import Tensor, nn
from torch._dynamo.utils import counters

from model.bases.tiny.networks import SMALL, build_tiny_base
from model.pixels import sent
from tests.gpu.report import Question, free_memory
from tests.gpu.setting import People, Setting, people
from tests.train.small_run import PARAMS, RUNTIME
from tests.train.small_try_on import PRESET, TASKS, batch
from train.checkpoint import LATEST, pointed
from train.keyed_random import KeyedRandom
from train.loop import fit
from train.params import OptimisationParams, RuntimeParams
from train.trainer import Trainer
from train.tryon import TryOnTask
from train.watch import accelerator_of

HW = (PRESET.image_height, PRESET.image_width)
KINDS = {"tf32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
TOLERANCES = {"tf32": (2e-3, 2e-2), "bf16": (2e-2, 1e-1), "fp16": (5e-3, 5e-2)}
"""Of the loss, and of all gradients together, relative to full precision."""

SLOWLY = replace(PARAMS, learning_rate=1e-3)
COMPILED_STEPS = 3
CRASH_AT = 28
"""Position at which the data ends: the seventh step is done, the checkpoint is of the sixth."""

GOES_ON = {"beyond_repeating": ("<=", 1e-5), "resumed_at": (">=", 1.0)}

NOISE = 3.0
"""By how much a broken run may differ more from a whole one than that from its like: some of a GPU's sums are
in no fixed order, and AdamW makes much of the last bits of small gradients."""

LARGER = replace(PRESET, image_height=128, image_width=96)
"""At 32 x 32 px encoders hold more than a UNet keeps for its backward pass; here that is 16 MB more."""

LEAST_SAVED_MB = 1.0

NUM_SENT, BUSY_WITH = 50, 8192
"""Arrays, and the side of the matrices that are multiplied between two of them: milliseconds each."""


def questions(setting: Setting) -> Iterator[Question]:
    """Yield what is asked, the cheapest first."""
    for kind in TASKS:
        bars = {f"{name}_loss": ("<=", loss) for name, (loss, _) in TOLERANCES.items()}
        bars |= {f"{name}_gradients": ("<=", gradient) for name, (_, gradient) in TOLERANCES.items()}
        yield Question(
            name=f"precision of {kind}'s loss and gradients",
            budget_s=30,
            work=partial(precision, setting, kind),
            bars=bars,
        )
    scaler = "fp16" if setting.on_gpu else "no"  # accelerate scales gradients on GPUs alone
    yield Question(
        name="GradScaler: a broken run goes on",
        budget_s=40,
        work=partial(resumed, setting, replace(RUNTIME, mixed_precision=scaler), SLOWLY),
        bars=GOES_ON | {"scaler_difference": ("<=", 0)},
    )
    yield Question(
        name="8-bit AdamW: a broken run goes on",
        budget_s=40,
        work=partial(resumed, setting, RUNTIME, replace(SLOWLY, optimizer="adamw_8bit")),
        bars=GOES_ON,
    )
    yield Question(
        name="8-bit AdamW: memory of the moments",
        budget_s=20,
        work=partial(moments, setting),
        bars={"share_of_adamw": ("<=", 0.35)},
    )
    yield Question(
        name="gradients under checkpointing",
        budget_s=30,
        work=partial(in_precision, setting, None, partial(checkpointing, setting)),
        bars={"gradients": ("<=", 1e-4), "saved_mb": (">=", LEAST_SAVED_MB)},
    )
    yield Question(
        name="numbers sent while the device is busy",
        budget_s=20,
        work=partial(sending, setting),
        bars={"wrong": ("<=", 0), "waited": ("<=", 0.5)},
    )
    yield compiled_question(setting, "base")


def compiled_question(setting: Setting, kind: str) -> Question:
    """Ask whether a task's networks are one graph each."""
    return Question(
        name=f"torch.compile of both UNets, task {kind}",
        budget_s=120,
        work=partial(in_precision, setting, None, partial(compiled, setting, kind)),
        bars={
            "graphs": (">=", 2),
            "graph_breaks": ("<=", 0),
            "recompiles": ("<=", 0),
            "loss": ("<=", 2e-3),
        },
    )


def task_on(setting: Setting, kind: str) -> TryOnTask:
    """A training task of tiny networks on the device."""
    return TASKS[kind](build_tiny_base(PRESET, seed=0)).to(setting.device).train()


def loss_and_gradients(task: nn.Module, seen: Any) -> tuple[float, Tensor]:
    """Go forward and backward once; all gradients in one vector."""
    loss = task(seen, KeyedRandom(0, seen.position))["loss"]
    loss.backward()
    gradients = [weight.grad.float().flatten() for weight in task.parameters() if weight.grad is not None]
    task.zero_grad(set_to_none=True)
    return float(loss.detach()), torch.cat(gradients)


def relative(value: Tensor, reference: Tensor) -> float:
    """Norm of the difference over the norm of the reference."""
    return float((value.float() - reference.float()).norm() / reference.float().norm())


@contextmanager
def matmul_in_tf32(on: bool) -> Iterator[None]:
    """Within the block NVIDIA GPUs multiply float32 in TF32, or don't."""
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = on
    try:
        yield
    finally:
        for backend, was in zip(backends, before, strict=True):
            backend.allow_tf32 = was


def in_precision(setting: Setting, kind: str | None, work: Callable[[], Any]) -> Any:
    """Run in full precision (None), in TF32, or under autocast."""
    dtype = KINDS.get(kind or "")
    with (
        matmul_in_tf32(kind == "tf32"),
        torch.autocast(setting.device.type, dtype or torch.bfloat16, enabled=dtype is not None),
    ):
        return work()


def precision(setting: Setting, kind: str) -> Mapping[str, float]:
    """How far loss and gradients are from full precision, relative to it."""
    task, seen = task_on(setting, kind), batch(0, 4)
    loss, gradients = in_precision(setting, None, lambda: loss_and_gradients(task, seen))
    figures = {}
    for name in KINDS:
        found = in_precision(setting, name, lambda: loss_and_gradients(task, seen))
        figures[f"{name}_loss"] = abs(found[0] - loss) / abs(loss)
        figures[f"{name}_gradients"] = relative(found[1], gradients)
    return figures


def resumed(setting: Setting, runtime: RuntimeParams, params: OptimisationParams) -> Mapping[str, float]:
    """Train at one go, again, and with a crash in between: the weights' differences, and the scaler's."""
    ends, scalers = [], []
    torch.backends.cudnn.deterministic = True
    try:
        with tempfile.TemporaryDirectory() as name:
            for number, crashes in enumerate(((None,), (None,), (CRASH_AT, None))):
                folder = Path(name) / str(number)
                ends += [trained(setting, runtime, params, folder, crash_at) for crash_at in crashes]
                scalers.append(scaler_in(folder))
    finally:
        torch.backends.cudnn.deterministic = False
    (whole, _), (repeated, _), _, (broken, resumed_at) = ends
    moved = max(float(weight.abs().max()) for weight in whole.values())
    assert moved > 0, "nothing was learned"
    repeating, breaking = (largest_difference(whole, other) for other in (repeated, broken))
    figures = {
        "repeated": repeating,
        "broken": breaking,
        "beyond_repeating": max(0.0, breaking - NOISE * repeating),
        "resumed_at": resumed_at,
    }
    if scalers[0]:
        figures["scaler_difference"] = max(abs(scalers[0][n] - scalers[-1][n]) for n in scalers[0])
    return figures


def largest_difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """Of any number of tensors by the same names."""
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def scaler_in(folder: Path) -> dict[str, float]:
    """The gradient scaler's scale and counters in a run's last checkpoint; empty where nothing was scaled."""
    latest = pointed(folder, LATEST)
    assert latest is not None, "no checkpoint was written"
    file = latest / SCALER_NAME
    return dict(torch.load(file, weights_only=True)) if file.is_file() else {}


def trained(
    setting: Setting, runtime: RuntimeParams, params: OptimisationParams, folder: Path, crash_at: int | None
) -> tuple[dict[str, Tensor], int]:
    """Train the adapter of tiny networks until the data ends: what it has learned, and where it began."""
    task = task_on(setting, "size")
    before = {
        name: weight.detach().clone() for name, weight in task.named_parameters() if weight.requires_grad
    }
    stream = People(4, HW, crash_at=crash_at)
    try:
        fit(
            task, stream, params, runtime, name="gpu", seed=1, checkpoint_dir=folder, live_dir=folder / "live"
        )
    except StopIteration:
        assert crash_at is not None
    after = dict(task.named_parameters())
    return {name: after[name].detach() - old for name, old in before.items()}, stream.resumed_at


def moments(setting: Setting) -> Mapping[str, float]:
    """Bytes of the moments of 8-bit AdamW over those of AdamW, after a step."""
    sizes = {}
    for optimizer in ("adamw", "adamw_8bit"):
        preset = PRESET if setting.tiny else SMALL  # bitsandbytes leaves small tensors in full precision
        hw = (preset.image_height, preset.image_width)
        task = TASKS["base"](build_tiny_base(preset, seed=0)).to(setting.device).train()
        params = replace(SLOWLY, optimizer=optimizer)
        with tempfile.TemporaryDirectory() as name:
            accelerator = accelerator_of(RUNTIME, Path(name))
            trainer = Trainer(accelerator, task, People(2, hw), params, RUNTIME, seed=0)
            trainer.add_gradients([people(2, hw)])
            trainer.optimizer.step()
        states = trainer.optimizer.state.values()
        sizes[optimizer] = sum(
            value.nbytes for state in states for value in state.values() if isinstance(value, Tensor)
        )
    return {"adamw_mb": sizes["adamw"] / 1e6, "share_of_adamw": sizes["adamw_8bit"] / sizes["adamw"]}


def checkpointing(setting: Setting) -> Mapping[str, float]:
    """Gradients and peak memory with gradient checkpointing, against those without."""
    (plain, most), (recomputed, least) = (gradients_and_peak(setting, checkpoint=on) for on in (False, True))
    return {"gradients": relative(recomputed, plain), "saved_mb": (most - least) / 1e6}


def gradients_and_peak(setting: Setting, *, checkpoint: bool) -> tuple[Tensor, int]:
    """Gradients, kept off the device so that they don't count in the next peak, and most bytes held."""
    free_memory()
    task = TASKS["size"](build_tiny_base(LARGER, seed=0)).to(setting.device).train()
    seen = people(4, (LARGER.image_height, LARGER.image_width))
    if checkpoint:
        task.base.denoiser.enable_gradient_checkpointing()
    found: list[Tensor] = []
    peak = setting.peak_bytes(lambda: found.append(loss_and_gradients(task, seen)[1].cpu()))
    return found[0], peak


def sending(setting: Setting) -> Mapping[str, float]:
    """Send numbers between pieces of work: how many arrive wrong, and for how much of that work one waits.

    Nobody keeps what they are fetched from: torch must not give its memory to the next ones meanwhile.
    """
    side = 256 if setting.tiny else BUSY_WITH
    one = torch.ones(side, side, device=setting.device)
    for _ in range(2):  # the first time pinned memory is made, for which the device is waited for
        setting.wait()
        started = time.perf_counter()
        arrived = []
        for number in range(NUM_SENT):
            _ = one @ one
            arrived.append(sent(np.full(side, number, np.float32), setting.device))
        gone_on = time.perf_counter() - started
        setting.wait()
        done = time.perf_counter() - started
    wrong = sum(int((numbers != number).sum()) for number, numbers in enumerate(arrived))
    return {"wrong": wrong, "waited": gone_on / done, "ms": 1000 * done}


def compiled(setting: Setting, kind: str) -> Mapping[str, float]:
    """Compile both UNets and count graphs, breaks and recompilations over a few steps."""
    eager = loss_and_gradients(task_on(setting, kind), batch(0, 4))[0]
    torch._dynamo.reset()
    counters.clear()
    task = task_on(setting, kind)
    task.compile_networks()
    losses = [loss_and_gradients(task, batch(0, 4))[0]]
    first = counters["stats"]["unique_graphs"]
    losses += [loss_and_gradients(task, batch(4 * number, 4))[0] for number in range(1, COMPILED_STEPS)]
    return {
        "graphs": first,
        "graph_breaks": sum(counters["graph_break"].values()),
        "recompiles": counters["stats"]["unique_graphs"] - first,
        "loss": abs(losses[0] - eager) / abs(eager),
    }
