"""Parameters of the shards. Imports nothing heavy."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from preprocess.body.inpaint_mask import MaskParams


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteShardsParams:
    """Section `write_shards` of params.yaml."""

    samples_per_shard: Annotated[int, Gt(0)] = 256
    """Samples of a shard on average. Fewer make more, smaller tars."""

    image_height: Annotated[int, Gt(0)] | None = None
    """Store photos and masks at this height (px); null keeps the photos' own bytes."""

    image_width: Annotated[int, Gt(0)] | None = None
    """Store photos and masks at this width (px); null keeps the photos' own bytes."""

    jpeg_quality: Annotated[int, Gt(0), Le(100)] = 95
    """Of photos that had to be encoded again (4:4:4, so that colours keep their resolution)."""

    encode: Literal["pixels", "latents"] = "pixels"
    """`latents`: write beside the pictures, in `train/latents/`, the latents and the text and image
    embeddings that `latents_base` makes of them. Training then reads no pixels."""

    latents_base: str | None = None
    """Folder of the base whose encoders are used: a pretrained one, or a copy of `artifacts/base`."""

    latents_dtype: Literal["float16", "float32"] = "float16"
    """What latents and embeddings are stored as."""

    num_workers: Annotated[int, Ge(0)] = 2
    """Processes that build shards; 0 builds in this one. The tars don't depend on it."""

    mask: MaskParams = field(default_factory=MaskParams)
    """The inpainting masks: they go into the index, from there with the weights, and are drawn at try-on."""

    def __post_init__(self) -> None:
        if (self.image_height is None) != (self.image_width is None):
            raise ValueError(
                "image_height and image_width must be given together or both be null, "
                f"got {self.image_height} and {self.image_width}"
            )
        if self.encode == "latents" and (self.latents_base is None or self.image_height is None):
            raise ValueError(
                "encode: latents needs latents_base and the image_height and image_width of the training, "
                f"got {self.latents_base}, {self.image_height} and {self.image_width}"
            )
