"""`cinderella publish` and `cinderella assemble`: networks to hand on, and networks to start from."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from model.publishing import save_pipeline
from model.size_conditioning import CONFIG_FILE
from model.starting import start_from_inpainting
from pipeline.checkpoints import load_size_aware


def publish(*, base: Path, checkpoint: Path, out: Path) -> None:
    """Write base and adapter as one folder that stock diffusers lists as a pipeline.

    Low-rank updates of the joint stage become part of the try-on UNet's weights.

    Args:
        base: Folder of `train_base`.
        checkpoint: Folder of `train_size` or `train_joint`.
        out: Must not exist yet.
    """
    networks, adapter = load_size_aware(base, checkpoint)
    assert adapter is not None
    if (checkpoint / "lora").is_dir():
        networks.tryon_unet.fuse_lora()
        networks.tryon_unet.unload_lora()
    provenance = json.loads((checkpoint / "adapter" / CONFIG_FILE).read_text())["provenance"]
    with appearing_whole(out) as partial:
        save_pipeline(networks, adapter, partial, provenance)


def assemble(
    *, inpainting: str, garment: str, ip_adapter: Path, image_encoder: str, out: Path, half: bool
) -> None:
    """Write a base in IDM-VTON's layout, put together from weights that know nothing of try-on yet.

    Args:
        inpainting: Folder or repository of an SDXL pipeline, best one for inpainting.
        garment: Folder or repository of an SDXL pipeline, for the garment UNet.
        ip_adapter: File of IP-Adapter Plus for SDXL.
        image_encoder: Folder or repository of the CLIP vision encoder that it was trained with.
        out: Must not exist yet; `train_base.pretrained` may then name it.
        half: Keep the weights in half precision.
    """
    base = start_from_inpainting(
        inpainting,
        garment=garment,
        ip_adapter=ip_adapter,
        image_encoder=image_encoder,
        torch_dtype=torch.float16 if half else None,
    )
    with appearing_whole(out) as partial:
        base.save_pretrained(partial)


@contextmanager
def appearing_whole(out: Path) -> Iterator[Path]:
    """Yield a folder beside `out` that becomes `out` when the block ends well.

    Raises:
        FileExistsError: There is an `out` already.
    """
    if out.exists():
        raise FileExistsError(f"{out} exists already: name another folder, or remove it")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    partial.replace(out)
