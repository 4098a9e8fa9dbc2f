"""Load everything that trying on needs, from the folders of the training stages or from a published one."""

from dataclasses import asdict
from pathlib import Path

import torch

from model.judges.segmenter import Segmenter
from model.params import switches_of
from model.publishing import PICTURE_FILE, save_pipeline
from model.sampling import where_loaded
from pipeline.checkpoints import RECORD, image_size, load_size_aware, read_record, usual_device
from pipeline.tryon.size_aware import SizeAwareTryOn
from preprocess.body.inpaint_mask import MaskParams
from preprocess.body.mediapipe import POSE_MODEL
from preprocess.whole import whole_folder
from shards.index import CATEGORIES, MASK

STAGES = ("joint", "size")
"""Folders with an adapter, the best first."""


def load_tryon(
    folder: Path, device: str | None = None, *, pose_model: Path = POSE_MODEL, low_memory: str = "off"
) -> SizeAwareTryOn:
    """Load a published folder, or one that has `base/` beside `joint/` or `size/`, such as artifacts/.

    Args:
        folder: Where to look.
        device: Where the networks run; the GPU where there is one when None.
        pose_model: MediaPipe's pose landmarker, for photos without keypoints.
        low_memory: `off`, or a key of `model.params.SWITCHES`.

    Raises:
        FileNotFoundError: The folder holds neither.
        ValueError: `low_memory` is neither.
    """
    switches = switches_of(low_memory)
    device = device or usual_device()
    tryon = find_tryon(folder, *where_loaded(switches, device))
    tryon.pose_model = pose_model
    tryon.save_memory(switches, device)
    return tryon


def find_tryon(folder: Path, device: str, torch_dtype: torch.dtype | None) -> SizeAwareTryOn:
    """Load either kind of folder; see `load_tryon`."""
    if (folder / PICTURE_FILE).is_file():
        return SizeAwareTryOn.from_pretrained(folder, device, torch_dtype)
    checkpoint = next((folder / name for name in STAGES if (folder / name).is_dir()), None)
    if checkpoint is None or not (folder / "base").is_dir():
        raise FileNotFoundError(
            f"{folder} must have {PICTURE_FILE}, or base/ beside joint/ or size/, but has neither: run "
            "`make repro` first, or name another folder with --model"
        )
    return from_stages(folder / "base", checkpoint, device, torch_dtype)


def from_stages(
    base: Path, checkpoint: Path, device: str | None = None, torch_dtype: torch.dtype | None = None
) -> SizeAwareTryOn:
    """Load what `train_base` and `train_size` or `train_joint` wrote; see `load_size_aware`."""
    networks, adapter = load_size_aware(base, checkpoint, device, torch_dtype)
    image_height, image_width = image_size(base)
    tryon = SizeAwareTryOn(
        networks,
        adapter,
        image_height=image_height,
        image_width=image_width,
        mask=trained_mask(checkpoint),
        categories=read_record(checkpoint).get(CATEGORIES),
        segmenter=Segmenter.from_pretrained(base / "segmenter"),
    )
    return tryon.to(networks.device)


def trained_mask(folder: Path) -> MaskParams:
    """Return the inpainting masks that the stage which wrote this folder was trained with.

    Raises:
        ValueError: An earlier version wrote it, which didn't say so.
    """
    return MaskParams.recorded(read_record(folder).get(MASK), folder / RECORD)


def publish(tryon: SizeAwareTryOn, out: Path) -> None:
    """Write the networks as one folder that `SizeAwareTryOn.from_pretrained` and diffusers read.

    Low-rank updates become part of the base's weights. They are small: beside a base that lies in half
    precision most of each would be rounded away, so that all is written in full precision then.

    Raises:
        FileExistsError: Something else than what was published lies at `out`.
    """
    unet = tryon.base.denoiser
    picture = {
        "image_height": tryon.image_height,
        "image_width": tryon.image_width,
        "mask": asdict(tryon.mask),
        "categories": tryon.categories,
    }
    with whole_folder(out, PICTURE_FILE) as partial:
        if getattr(unet, "peft_config", None):
            tryon.base.float()
            unet.fuse_lora()
            unet.unload_lora()
        save_pipeline(tryon.base, tryon.adapter, partial, picture=picture, segmenter=tryon.segmenter)
