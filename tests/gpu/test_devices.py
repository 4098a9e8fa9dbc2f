"""Every step and every drawing keeps to its device, and no step waits for it: shown on a CPU."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases.base import TryOnBase
from model.bases.catvton.tiny import TinyCatvtonPreset, build_tiny_catvton
from model.bases.flux2_klein.tiny import TinyKleinPreset, build_tiny_klein
from model.bases.tiny.networks import build_tiny_base
from model.judges.critic import SizeCritic
from model.judges.segmenter import Segmenter
from model.params import DrawingOptions
from model.pixels import sent
from model.sampling import SizedDrawer, TryOnInputs
from shards.batch import Batch
from tests.gpu.elsewhere import ELSEWHERE, Readers, elsewhere
from tests.sizes import MEANINGS, UPPER
from tests.train.small_try_on import PRESET, base_task, batch
from train.keyed_random import KeyedRandom
from train.muon import MuonAndAdamW
from train.params import LossParams
from train.perception import AutoencoderTask, CriticTask, EncodersTask, SegmenterTask
from train.sample_encoder import SampleEncoder, encode
from train.tryon import TryOnTask

CLOTHES = ("upper", "lower")
BASES: dict[str, Callable[[], TryOnBase]] = {
    "tiny": lambda: build_tiny_base(PRESET, 0),
    "catvton": lambda: build_tiny_catvton(TinyCatvtonPreset(unet_channels=(16, 32, 32)), 0),
    "klein": lambda: build_tiny_klein(TinyKleinPreset(num_double=1, num_single=1), 0),
}
BROUGHT_BY_OTHERS = {"klein": 3}
"""By base: what of captions diffusers itself brings to the device in a step of pictures."""

JUDGES: dict[str, Callable[[], nn.Module]] = {
    "base": lambda: base_task(build_tiny_base(PRESET, 0)),
    "autoencoder": lambda: AutoencoderTask(build_tiny_base(PRESET, 0)),
    "encoders": lambda: EncodersTask(build_tiny_base(PRESET, 0)),
    "segmenter": lambda: SegmenterTask(Segmenter(widths=(8, 16)), tiny_encoder()),
    "critic": lambda: CriticTask(critic_of(build_tiny_base(PRESET, 0)), tiny_encoder()),
}


def tiny_encoder() -> SampleEncoder:
    return SampleEncoder(build_tiny_base(PRESET, 0))


def critic_of(base: TryOnBase) -> SizeCritic:
    return SizeCritic(base.latent_channels, NUM_BODY_MAPS, UPPER, CLOTHES, width=8)


def size_task(base: TryOnBase) -> TryOnTask:
    options = {"encoder": "hybrid", "categories": CLOTHES, "reads_mask": True}
    return TryOnTask(
        base.requires_grad_(False),
        SampleEncoder(base),
        loss=LossParams(pixels=1.0),
        adapter=SizeAdapter.for_sites(base.sites(), MEANINGS, **options),  # type: ignore[arg-type]
        critic=critic_of(base),
        text_dropout=0.5,
        size_dropout=0.5,
    )


def waits_of_step(task: nn.Module, seen: Batch, readers: Readers) -> list[str]:
    """Who waits in a step but the first, which brings the device what stays there: how noise is scheduled."""
    for _ in range(2):
        readers.waits.clear()
        loss = task(seen, KeyedRandom(0, seen.position))["loss"]
        loss.backward()
    assert loss.device.type == ELSEWHERE
    return list(readers.waits)


@pytest.mark.parametrize("kind", BASES)
def test_a_step_with_sizes_and_a_drawing_keep_to_their_device(kind: str) -> None:
    task, seen = size_task(BASES[kind]()), batch()
    seen.categories[0] = "lower"
    options = DrawingOptions(num_steps=2, size_guidance=2.0)
    with elsewhere() as readers:
        task.to(ELSEWHERE)
        assert len(waits_of_step(task, seen, readers)) == BROUGHT_BY_OTHERS.get(kind, 0)
        made = encode(task.base, seen)
        task.encoder.known = {
            key: {name: rows[row : row + 1].cpu() for name, rows in made.items()}
            for row, key in enumerate(seen.keys)
        }
        assert waits_of_step(task, seen, readers) == []
        draw = SizedDrawer(task.base, task.adapter, TryOnInputs.of(seen), options, batch_size=2)
        assert len(draw(0, np.full((2, 3), 1.2))) == 2


@pytest.mark.parametrize("kind", JUDGES)
def test_a_step_without_sizes_keeps_to_its_device(kind: str) -> None:
    task, seen = JUDGES[kind](), batch()
    seen.categories[0] = "lower"
    with elsewhere() as readers:
        task.to(ELSEWHERE)
        if isinstance(task, SegmenterTask | CriticTask):  # the base is no part of what they train
            task.encoder.base.to(ELSEWHERE)
        assert waits_of_step(task, seen, readers) == []


def test_muon_keeps_to_its_device() -> None:
    network = nn.Sequential(nn.Conv2d(16, 32, 3, bias=False), nn.Conv2d(32, 16, 3, bias=False))
    with elsewhere() as readers:
        network.to(ELSEWHERE)
        weights = list(network.parameters())
        optimizer = MuonAndAdamW([{"params": weights}], learning_rate=0.01, weight_decay=0.01)
        readers.waits.clear()
        for _ in range(2):  # the second step has momenta
            network(torch.ones(1, 16, 8, 8, device=ELSEWHERE)).sum().backward()
            optimizer.step()
    assert len(optimizer.state) == 2
    assert readers.waits == []


def test_who_reads_results_is_remembered() -> None:
    with elsewhere() as readers:
        there = torch.ones(2, device=ELSEWHERE)
        there.to(ELSEWHERE, torch.float16)
        assert readers.waits == []
        there.sum().item()
        there.cpu().numpy()
        there.to("cpu")
    assert [wait.split(":")[0] for wait in readers.waits] == ["/tests/gpu/test_devices.py"] * 3


def test_who_brings_numbers_that_the_device_cannot_fetch_is_remembered() -> None:
    with elsewhere() as readers:
        there, here = torch.ones(2, device=ELSEWHERE), torch.ones(2)
        for given in (here, np.ones(2), [1.0, 2.0], there):
            assert sent(given, ELSEWHERE, torch.float16).device.type == ELSEWHERE
        there[sent([0], ELSEWHERE)], there[:1], there[0]
        assert readers.waits == []
        here.to(ELSEWHERE)
        here.to(ELSEWHERE, non_blocking=True)
        here.pin_memory().to(ELSEWHERE)
        torch.tensor([1.0], device=ELSEWHERE)
        there.new_tensor([1.0])
        there[[0, 1]]
        there[torch.tensor([0])]
    assert len(readers.waits) == 7
