"""Base and adapter as one folder, here or on the hub.

Of an `sdxl` base it is one that diffusers knows as a pipeline: `DiffusionPipeline.load_config` of a stock
install lists the parts. All but the try-on UNet, which has image projections, load with their stock classes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from model.adapter.adapter import SizeAdapter
from model.bases import open_base
from model.bases.base import TryOnBase
from model.judges.segmenter import Segmenter
from model.model_card import model_card
from model.weights import files_of, local_folder

ADAPTER_FOLDER = "size_adapter"
SEGMENTER_FOLDER = "segmenter"
PICTURE_FILE = "picture.json"
"""What pictures the networks were trained on: height, width, and how their inpainting masks were drawn."""


def save_pipeline(
    base: TryOnBase,
    adapter: SizeAdapter,
    folder: str | Path,
    *,
    picture: Mapping[str, Any],
    segmenter: Segmenter | None = None,
) -> None:
    """Write base, adapter and a model card, which tells where the adapter comes from.

    `picture` says what pictures they were trained on, as `trained_pictures` returns it. The adapter goes to a
    folder of its own; `load_pipeline` and `model.bases.open_base` read the whole.
    """
    target = Path(folder)
    base.save_pretrained(target)
    adapter.save_pretrained(target / ADAPTER_FOLDER)
    if segmenter is not None:
        segmenter.save_pretrained(target / SEGMENTER_FOLDER)
    (target / PICTURE_FILE).write_text(json.dumps(picture) + "\n")
    card = model_card(
        "Size-aware try-on",
        dict(adapter.config.axes),
        adapter.parts(),
        adapter.provenance,
        base=".",
        adapter=ADAPTER_FOLDER,
        categories=picture.get("categories"),
        licence=base.licence,
    )
    (target / "README.md").write_text(card)


def load_pipeline(
    folder: str | Path, torch_dtype: torch.dtype | None = None
) -> tuple[TryOnBase, SizeAdapter, Segmenter | None]:
    """Load what `save_pipeline` wrote, from a folder or a repository of the hub."""
    base = open_base(folder, torch_dtype)
    root = local_folder(folder, files_of(ADAPTER_FOLDER, SEGMENTER_FOLDER))
    adapter = SizeAdapter.from_pretrained(root / ADAPTER_FOLDER, torch_dtype)
    adapter.attach(base.sites())
    measures = (root / SEGMENTER_FOLDER).is_dir()
    segmenter = Segmenter.from_pretrained(root / SEGMENTER_FOLDER) if measures else None
    return base, adapter, segmenter


def trained_pictures(folder: str | Path) -> dict[str, Any]:
    """Return what pictures a saved pipeline was trained on: `image_height`, `image_width` (px), `mask`.

    Raises:
        FileNotFoundError: `save_pipeline` didn't write this folder.
    """
    path = local_folder(folder, [PICTURE_FILE]) / PICTURE_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found: save_pipeline writes it beside the networks")
    picture: dict[str, Any] = json.loads(path.read_text())
    return picture
