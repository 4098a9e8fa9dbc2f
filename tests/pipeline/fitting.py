"""A fitting room to test in: dolls, and networks with random weights, in the folders that a run leaves."""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from model.adapter.adapter import SizeAdapter
from model.bases.tiny.networks import build_tiny_base
from model.judges.segmenter import Segmenter
from preprocess.body.inpaint_mask import MaskParams
from preprocess.sizes.axes import MEANINGS
from preprocess.sources.paper_dolls.dataset import render_dataset
from preprocess.sources.params import PaperDollParams
from tests.model.conftest import PRESET, jolt

KEY = "90000_00"


def build_artifacts(folder: Path) -> Path:
    """Write `base/`, `joint/` and `raw/` with two dolls to try on."""
    base = build_tiny_base(PRESET, seed=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        segmenter = Segmenter(widths=(8, 16))
        adapter = jolt(SizeAdapter.for_sites(base.sites(), MEANINGS))
    base.save_pretrained(folder / "base")
    segmenter.save_pretrained(folder / "base" / "segmenter")
    adapter.save_pretrained(folder / "joint" / "adapter")
    record = {
        "image_height": PRESET.image_height,
        "image_width": PRESET.image_width,
        "mask": asdict(MaskParams()),
        "categories": ["upper"],
        "params": {"preset": "tiny"},
    }
    for stage in ("base", "joint"):
        (folder / stage / "record.json").write_text(json.dumps(record))
    dolls = PaperDollParams(train=6, test=4, image_height=128, image_width=96)
    render_dataset(dolls, folder / "raw")
    return folder


def files_of(artifacts: Path, key: str = KEY) -> dict[str, Path]:
    """Return the files of a doll by the names of `SizeAwareTryOn.prepare`, and its photo and garment."""
    root = artifacts / "raw" / "test"
    return {
        "person": root / "image" / f"{key}.jpg",
        "garment": root / "cloth" / f"{key}.jpg",
        "keypoints": root / "openpose_json" / f"{key}_keypoints.json",
        "parse": root / "image-parse-v3" / f"{key}.png",
        "densepose": root / "image-densepose" / f"{key}.jpg",
    }
