"""`cinderella assemble`: a base to start training from, in IDM-VTON's layout."""

from pathlib import Path

import torch

from model.bases.sdxl.starting import start_from_inpainting
from preprocess.whole import whole_folder


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

    Raises:
        FileExistsError: There is an `out` already.
    """
    if out.exists():
        raise FileExistsError(f"{out} exists already: name another folder, or remove it")
    base = start_from_inpainting(
        inpainting,
        garment=garment,
        ip_adapter=ip_adapter,
        image_encoder=image_encoder,
        torch_dtype=torch.float16 if half else None,
    )
    with whole_folder(out) as partial:
        base.save_pretrained(partial)
