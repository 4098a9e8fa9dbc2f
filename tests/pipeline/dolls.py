"""A fitting room of three paper dolls and tiny networks that were never trained."""

from pathlib import Path

import torch

from model.presets import TinyPreset
from model.segmenter import Segmenter
from model.size_conditioning import SizeAdapter
from model.tiny import build_tiny_base
from model.tryon import SizeAwareTryOn
from pipeline import prepare_dataset
from pipeline.demo_visit import FittingRoom, read_examples
from preprocess.sources.params import PaperDollParams, PrepareDatasetParams
from tests.model.conftest import jolt

NUM_EXAMPLES = 3


def untrained_tryon() -> SizeAwareTryOn:
    """Networks of which size changes the picture, somehow."""
    preset = TinyPreset(image_height=64, image_width=48, vae_width=8, unet_channels=(16, 32, 32))
    base = build_tiny_base(preset, seed=0)
    torch.manual_seed(0)
    adapter = jolt(SizeAdapter.for_unet(base.tryon_unet))
    return SizeAwareTryOn(base, adapter, image_height=64, image_width=48, segmenter=Segmenter())


def make_manifest(folder: Path) -> Path:
    """Render dolls into `folder`."""
    dolls = PaperDollParams(train=1, test=2 * NUM_EXAMPLES, image_height=256, image_width=192)
    manifest = folder / "manifest.parquet"
    prepare_dataset.run(PrepareDatasetParams(paper_dolls=dolls), raw=folder / "raw", out=manifest)
    return manifest


def doll_room(folder: Path) -> FittingRoom:
    """Dolls in `folder`, and their networks."""
    return FittingRoom(untrained_tryon(), *read_examples(make_manifest(folder), NUM_EXAMPLES))
