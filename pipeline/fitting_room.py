"""Load everything that trying on needs, from the folders of the training stages or from a published one."""

from pathlib import Path

from model.segmenter import Segmenter
from model.tryon import SizeAwareTryOn
from pipeline.checkpoints import image_size, load_size_aware

STAGES = ("joint", "size")
"""Folders with an adapter, the best first."""


def load_tryon(folder: Path, device: str | None = None) -> SizeAwareTryOn:
    """Load a published folder, or one that has `base/` beside `joint/` or `size/`, such as artifacts/.

    Args:
        folder: Where to look.
        device: Where the networks run; the GPU where there is one when None.

    Raises:
        FileNotFoundError: The folder holds neither.
    """
    if (folder / "model_index.json").is_file():
        return SizeAwareTryOn.from_pretrained(folder, device)
    checkpoint = next((folder / name for name in STAGES if (folder / name).is_dir()), None)
    if checkpoint is None or not (folder / "base").is_dir():
        raise FileNotFoundError(
            f"{folder} must have model_index.json, or base/ beside joint/ or size/, but has neither: run "
            "`make repro` first, or name another folder with --model"
        )
    tryon = from_stages(folder / "base", checkpoint)
    return tryon.to(device) if device else tryon


def from_stages(base: Path, checkpoint: Path) -> SizeAwareTryOn:
    """Load what `train_base` and `train_size` or `train_joint` wrote; on the GPU where there is one.

    Args:
        base: Folder of `train_base`.
        checkpoint: Folder of `train_size` or `train_joint`.
    """
    networks, adapter = load_size_aware(base, checkpoint)
    assert adapter is not None
    image_height, image_width = image_size(base)
    tryon = SizeAwareTryOn(
        networks,
        adapter,
        image_height=image_height,
        image_width=image_width,
        segmenter=Segmenter.from_pretrained(base / "segmenter"),
    )
    return tryon.to(networks.device)
