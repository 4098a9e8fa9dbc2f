"""Where training runs, what may be done to its samples, how it is watched. Imports no torch."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeParams:
    """Where and how the work runs: nothing here is meant to change what is learned.

    A checkpoint is continued whatever these are: with more processes, or with fewer samples at a time.
    """

    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    """Arithmetic of the forward pass. CPUs want `no`, recent GPUs `bf16`."""

    tf32: bool = True
    """Let NVIDIA GPUs multiply float32 matrices in TF32."""

    gradient_accumulation: Annotated[int, Gt(0)] = 1
    """Parts into which each process splits its share of a batch, to hold fewer samples at a time."""

    cache_encodings: bool = True
    """Encode every sample once and keep the encodings in memory (about 60 kB a sample for `tiny`)."""

    gradient_checkpointing: bool = False
    """Trade compute for memory in the try-on UNet."""

    checkpoint_every: Annotated[int, Gt(0)] = 200
    """Steps between checkpoints, from which an interrupted run continues."""

    keep_checkpoints: Annotated[int, Gt(0)] = 2
    """Newest checkpoints that are kept while a run lasts; the best one is kept beside them."""

    tracker: Literal["dvclive", "tensorboard", "wandb", "none"] = "dvclive"
    """Who is told losses, learning rate and speed; `tensorboard` and `wandb` need their packages."""

    log_every: Annotated[int, Gt(0)] = 10
    """Steps between two reports to the tracker."""

    num_threads: Annotated[int, Gt(0)] = 2
    """Threads that read and decode samples."""

    num_processes: Annotated[int, Ge(0)] = 0
    """Processes that read and decode samples in place of the threads, which mostly costs more; 0: none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentationParams:
    """Changes of picture, masks, keypoints and ratios together; each leaves every ratio true."""

    mirror: Annotated[float, Ge(0), Le(1)] = 0.0
    """Share of samples that are seen in a mirror, left and right joints and DensePose parts swapped."""

    colour: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Largest change of each colour channel's gain, the same in the photo and in the garment's."""

    zoom: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Largest share of height and width cut away at random, so far as garment and body frame stay in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationParams:
    """Short fit ladders of a few held-out people during training; the best checkpoint is chosen by them."""

    every: Annotated[int, Ge(0)] = 200
    """Steps between validations, also done after the last step; 0: none, and the last weights are saved."""

    num_people: Annotated[int, Gt(0)] = 4
    """The last usable people of the test split: the evaluation takes its own from the front."""

    num_rungs: Annotated[int, Ge(2)] = 4
    """Requests along each ratio."""

    num_steps: Annotated[int, Gt(0)] = 4
    """Denoising steps for each picture."""


def require_encodable(augmentation: AugmentationParams, runtime: RuntimeParams) -> None:
    """Refuse augmentations whose every outcome would have to be encoded anew while encodings are kept.

    Raises:
        ValueError: Both are asked for. A mirrored picture is the one variant that can be kept beside.
    """
    if runtime.cache_encodings and max(augmentation.colour, augmentation.zoom) > 0:
        raise ValueError(
            "augmentation.colour and augmentation.zoom make new pictures each time, whose encodings can't be "
            f"kept, got {augmentation.colour} and {augmentation.zoom}: set runtime.cache_encodings to false, "
            "or use augmentation.mirror alone, whose two variants are kept"
        )
