"""The task of both size-aware stages: an adapter learns on the base, a frozen critic reads the sizes."""

from dataclasses import replace
from pathlib import Path

from model.adapter.adapter import SizeAdapter
from model.bases import entry_of
from model.bases.base import TryOnBase
from model.judges.critic import SizeCritic
from model.weights import load_network
from pipeline.training.run import TrainingRun
from pipeline.training.sample_encodings import encoder_of
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import TRIED_ON
from train.params import LossParams
from train.tryon import TryOnTask


def size_task(run: TrainingRun, networks: TryOnBase, adapter: SizeAdapter, base: Path) -> TryOnTask:
    """Open the adapter and encode the samples; what else may learn of the base is opened by the stage.

    Raises:
        ValueError: The base doesn't learn in the precision that is asked for.
    """
    params = run.params
    key = f"{run.stage}.runtime.mixed_precision"
    entry_of(networks.name).require_trainable(params.runtime.mixed_precision, key)
    if params.runtime.gradient_checkpointing:
        networks.denoiser.enable_gradient_checkpointing()
    encoder = encoder_of(run, networks)
    encoder.add_lasting()
    return TryOnTask(
        networks,
        encoder,
        loss=open_adapter(adapter, params.loss, params.train_controller),
        adapter=adapter,
        critic=load_critic(base / "size_critic"),
        size_dropout=params.dropout,
    )


def load_critic(folder: Path) -> SizeCritic:
    """Load the frozen critic.

    Raises:
        ValueError: It reads ratios of other axes, or of other categories, than there are; or weights are
            missing.
    """
    critic: SizeCritic = load_network(SizeCritic.from_pretrained, folder).requires_grad_(False)
    wanted, found = (AXIS_NAMES, TRIED_ON), (critic.config.axes, critic.config.categories)
    if tuple(map(tuple, found)) != wanted:
        told = [f"{', '.join(axes)} of {', '.join(categories)}" for axes, categories in (wanted, found)]
        raise ValueError(f"{folder} must read {told[0]}, got {told[1]}: run `dvc repro train_base` again")
    return critic


def open_adapter(adapter: SizeAdapter, loss: LossParams, train_controller: bool) -> LossParams:
    """Let the adapter learn, its size controller only if told so.

    Returns:
        The weights of the losses: a controller that doesn't learn has no layout loss, which would bend the
        size encoder to its random map.
    """
    adapter.requires_grad_(True)
    if train_controller:
        return loss
    if "map" in adapter.config.parts:
        adapter.controller.requires_grad_(False)
    return replace(loss, layout=0.0)
