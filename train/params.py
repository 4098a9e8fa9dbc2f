"""Sections `train_base`, `train_size` and `train_joint` of params.yaml. Imports no torch."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from model.bases import entry_of


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeParams:
    """Where and how the work runs: nothing here is meant to change what is learned.

    A checkpoint is continued whatever these are: with more processes, or with fewer samples at a time.
    """

    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    """Arithmetic of the forward pass, and the type in which a base that is frozen lies in memory. CPUs want
    `no`, recent GPUs `bf16`."""

    tf32: bool = True
    """Let NVIDIA GPUs multiply float32 matrices in TF32."""

    compile: bool = False
    """Compile both UNets with `torch.compile` for the steps; what validation draws is not compiled."""

    channels_last: bool = False
    """Keep kernels and feature maps with their channels last, as tensor cores want them."""

    gradient_accumulation: Annotated[int, Gt(0)] = 1
    """Parts into which each process splits its share of a batch, to hold fewer samples at a time."""

    cache_encodings: bool = True
    """Encode every sample once and keep the encodings in memory (a sample takes 185 kB for `tiny`, 3.4 MB for
    `sdxl`)."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentationParams:
    """Changes of picture, masks, keypoints and ratios together; each leaves every ratio true."""

    mirror: Annotated[float, Ge(0), Le(1)] = 0.0
    """Share of samples that are seen in a mirror, left and right joints and DensePose parts swapped."""

    colour: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Largest change of each colour channel's gain, the same in the photo and in the garment's."""

    zoom: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Largest share of height and width cut away at random, so far as garment and body frame stay in."""

    size: Annotated[float, Ge(0), Lt(1)] = 0.0
    """Largest share by which each ratio of a worn garment changes, in the photo too, of half of the samples
    that are known on all axes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationParams:
    """Short fit ladders of a few held-out people during training; the best checkpoint is chosen by them.

    But for `num_steps` they are drawn by the defaults of `DrawingOptions`, whatever `evaluate_tryon` says.
    """

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
    given = {name: getattr(augmentation, name) for name in ("colour", "zoom", "size")}
    if runtime.cache_encodings and max(given.values()) > 0:
        raise ValueError(
            "augmentation.colour, augmentation.zoom and augmentation.size make new pictures each time, whose "
            f"encodings can't be kept, got {', '.join(map(str, given.values()))}: set "
            "runtime.cache_encodings to false, or use augmentation.mirror alone, whose two variants are kept"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimisationParams:
    """How one network, or one set of networks, is trained."""

    steps: Annotated[int, Gt(0)]
    """Optimizer steps."""

    batch_size: Annotated[int, Gt(0)]
    """Samples a step, over all processes."""

    learning_rate: Annotated[float, Gt(0)]
    """Peak learning rate."""

    warmup_steps: Annotated[int, Ge(0)] = 20
    """Steps over which the learning rate rises linearly; it then falls along a cosine to zero."""

    weight_decay: Annotated[float, Ge(0)] = 0.01
    """Decoupled weight decay."""

    max_grad_norm: Annotated[float, Gt(0)] = 1.0
    """The gradient's norm is clipped to this."""

    ema_decay: Annotated[float, Ge(0), Le(1)] = 0.99
    """Largest decay of the moving average of the weights, which is what is saved; 0 saves the raw weights."""

    optimizer: Literal["adamw", "adamw_8bit", "muon"] = "adamw"
    """`muon` makes the steps of matrices and kernels orthogonal and leaves the rest to AdamW: networks made
    from scratch learn in far fewer steps. `adamw_8bit` keeps AdamW's moments in 8 bits (bitsandbytes): a
    quarter of their memory on GPUs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DenoisingLossParams:
    """What networks learn from that denoise."""

    min_snr_gamma: Annotated[float, Gt(0)] = 5.0
    """Cap of the signal-to-noise ratio in the diffusion loss's weight."""

    noise_bias: Annotated[float, Ge(1)] = 1.0
    """Timesteps are drawn as t = 1 - (1 - u)^noise_bias, u even from 0 to 1: 1 draws all alike, more draws
    the noisy ones more often, on which alone a picture of few sampling steps depends."""

    pixels: Annotated[float, Ge(0)] = 0.0
    """Weight of the absolute error of the predicted picture, and of its steps from pixel to pixel, against
    what the autoencoder makes of the true one, where the inpainting mask hides it: edges stay sharp where
    squared errors of latents blur them. It runs the decoder in every step. What is decoded is clamped to
    the colours there are: a value beyond them has an error, but no gradient."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainBaseParams:
    """Section `train_base` of params.yaml."""

    preset: str = "tiny"
    """One of `model.bases.BASES`: the tiny ones and `small` are made here, others come from `pretrained`."""

    pretrained: str | None = None
    """For bases that aren't made here: their folder, for `sdxl` in IDM-VTON's layout (docs/bases.md)."""

    seed: int = 0
    """Seed of weights, order, noise and dropout."""

    autoencoder: OptimisationParams = field(
        default_factory=lambda: OptimisationParams(steps=1000, batch_size=8, learning_rate=2e-3)
    )
    """Of bases that are made here: photo to latents and back."""

    encoders: OptimisationParams = field(
        default_factory=lambda: OptimisationParams(steps=100, batch_size=64, learning_rate=1e-3)
    )
    """`tiny` and `small` only, others train none: text and image encoders, by contrasting garments with
    captions."""

    unets: OptimisationParams = field(
        default_factory=lambda: OptimisationParams(steps=800, batch_size=16, learning_rate=1.5e-3)
    )
    """Of bases that are made here: the networks that denoise, ignorant of size."""

    segmenter: OptimisationParams = field(
        default_factory=lambda: OptimisationParams(steps=5000, batch_size=4, learning_rate=2e-3)
    )
    """Finds the worn garment in a picture; evaluation measures with it."""

    critic: OptimisationParams = field(
        default_factory=lambda: OptimisationParams(steps=1200, batch_size=16, learning_rate=2e-3)
    )
    """Reads the size ratios from latents; frozen, it is the size loss."""

    loss: DenoisingLossParams = field(default_factory=DenoisingLossParams)
    """Of bases that are made here: how their UNets learn."""

    dropout: Annotated[float, Ge(0), Le(1)] = 0.1
    """Share of samples whose text and garment image tokens are left out, both together."""

    runtime: RuntimeParams = field(default_factory=RuntimeParams)
    """Where and how the work runs."""

    def __post_init__(self) -> None:
        if entry_of(self.preset).pretrained and self.pretrained is None:
            raise ValueError(f"preset {self.preset} needs `pretrained`: the folder of its networks")


@dataclass(frozen=True, kw_only=True, slots=True)
class LossParams(DenoisingLossParams):
    """Weights of the parts of the training loss, with sizes."""

    layout: Annotated[float, Ge(0)] = 0.5
    """Weight of the size map's loss."""

    size: Annotated[float, Ge(0)] = 0.5
    """Weight of the size critic's loss: the ratios that it reads."""

    coverage: Annotated[float, Ge(0)] = 0.5
    """Weight of where the critic finds the garment, cell by cell, against where it is."""

    size_min_snr: Annotated[float, Ge(0)] = 0.25
    """The critic looks at predicted latents only where the signal-to-noise ratio is at least this; 0 for
    networks that predict velocity and draw in a step or two, whose first prediction is the picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeStageParams:
    """What both stages that teach size have in common."""

    seed: int = 0
    """Seed of weights, order, noise and dropout."""

    train_controller: bool = True
    """False leaves the size controller as it comes, without layout loss: an ablation."""

    loss: LossParams = field(default_factory=LossParams)
    """Weights of the loss's parts."""

    dropout: Annotated[float, Ge(0), Le(1)] = 0.1
    """Share of samples whose size is hidden, so that size guidance has an unknown to guide away from."""

    augmentation: AugmentationParams = field(default_factory=AugmentationParams)
    """Changes of the samples. `colour`, `zoom` and `size` need `runtime.cache_encodings: false`."""

    validation: ValidationParams = field(default_factory=ValidationParams)
    """Ladders drawn while training."""

    runtime: RuntimeParams = field(default_factory=RuntimeParams)
    """Where and how the work runs."""

    def __post_init__(self) -> None:
        require_encodable(self.augmentation, self.runtime)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSizeParams(SizeStageParams):
    """Section `train_size` of params.yaml: the adapter learns, the base is frozen."""

    encoder: Literal["simple", "hybrid"] = "simple"
    """What the size embedding reads: the ratios, or also the fit label and the garment's picture."""

    controller: Literal["full", "simple"] = "full"
    """What the size map reads: the embedding and the body, or the embedding alone."""

    parts: tuple[Literal["tokens", "time", "map"], ...] = ("tokens", "time", "map")
    """Ways in which size enters the base; tokens only where it has layers for them."""

    num_tokens: Annotated[int, Gt(0)] = 4
    """Size tokens in each of those layers."""

    rank: Annotated[int, Gt(0)] = 32
    """Channels of a size token before each layer's projection."""

    optimisation: OptimisationParams = field(
        default_factory=lambda: OptimisationParams(steps=800, batch_size=8, learning_rate=1.5e-3)
    )
    """Schedule of the adapter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainJointParams(SizeStageParams):
    """Section `train_joint` of params.yaml: the adapter and part of the try-on UNet learn together."""

    base_layers: Literal["lora", "attention", "all"] = "lora"
    """What of the try-on UNet learns: low-rank updates, its attention layers in full, or all of it."""

    lora_rank: Annotated[int, Gt(0)] = 16
    """Rank of the low-rank updates of the try-on UNet's transformer and residual blocks, for `lora`."""

    base_learning_rate: Annotated[float, Gt(0)] = 1e-3
    """Peak learning rate of those layers; the adapter has the one of `optimisation`."""

    optimisation: OptimisationParams = field(
        default_factory=lambda: OptimisationParams(steps=500, batch_size=8, learning_rate=5e-4)
    )
    """Schedule of both."""
