"""What a run is at a moment: all that its next step depends on, written to and read from a checkpoint."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from train.sharding import like, whole


class Stream(Protocol):
    """Batches in a fixed, endless order, and the cursor that says how far it was consumed."""

    def __iter__(self) -> Iterator[Any]:
        """Yield batches without end, from the cursor on."""

    def state_dict(self) -> dict[str, Any]:
        """Return the cursor: numbers and strings."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put the cursor where it was."""


@dataclass(frozen=True)
class LogRow:
    """What one optimizer step did."""

    step: int
    losses: Mapping[str, float]


@dataclass
class RunState:
    """The parts of a run that accelerate doesn't save, or not safely.

    accelerate saves optimiser, scaler and the random states of every process. Of the weights only what is
    trained is saved, by its unwrapped name, so that a run may go on with another number of processes.
    `register_for_checkpointing` would unpickle whatever a file holds: here all is safetensors and JSON.
    """

    accelerator: Accelerator
    task: nn.Module
    ema: EMAModel
    schedule: LambdaLR
    stream: Stream
    rows: list[LogRow] = field(default_factory=list)
    """One an optimizer step, from the first on."""
    skipped: int = 0
    """Batches in a row that were not finite."""
    figures: dict[int, dict[str, float]] = field(default_factory=dict)
    """By step, what validation found."""

    def __post_init__(self) -> None:
        self.accelerator.register_save_state_pre_hook(self._write)
        self.accelerator.register_load_state_pre_hook(self._read)

    def best(self) -> int | None:
        """The step with the highest score, the latest of equals."""
        return max(self.figures, key=lambda step: (self.figures[step]["score"], step), default=None)

    def _write(self, _models: list[nn.Module], weights: list[dict[str, Tensor]], folder: str) -> None:
        weights.clear()
        ema = self.ema.state_dict()
        trained = trainable_weights(self.task)
        averages = dict(zip(trained, ema.pop("shadow_params"), strict=True))
        for name, tensors in (("weights", trained), ("ema", averages)):
            contiguous = {key: whole(tensor.detach()).contiguous() for key, tensor in tensors.items()}
            if self.accelerator.is_main_process:
                save_file(contiguous, f"{folder}/{name}.safetensors")
        if not self.accelerator.is_main_process:
            return
        progress = {
            "ema": ema,
            "schedule": self.schedule.state_dict(),
            "stream": self.stream.state_dict(),
            "skipped": self.skipped,
            "figures": list(self.figures.items()),
            "rows": [(row.step, dict(row.losses)) for row in self.rows],
        }
        (Path(folder) / "progress.json").write_text(json.dumps(progress))

    def _read(self, models: list[nn.Module], folder: str) -> None:
        models.clear()
        load_trainable(self.task, load_file(f"{folder}/weights.safetensors"))
        averages = load_file(f"{folder}/ema.safetensors")
        shadow = [like(averages[name], weight) for name, weight in trainable_weights(self.task).items()]
        progress = json.loads((Path(folder) / "progress.json").read_text())
        self.ema.load_state_dict(progress["ema"] | {"shadow_params": shadow})
        self.ema.to(self.accelerator.device)
        self.schedule.load_state_dict(progress["schedule"])
        self.stream.load_state_dict(progress["stream"])
        self.rows = [LogRow(step, losses) for step, losses in progress["rows"]]
        self.skipped = progress["skipped"]
        self.figures = dict(progress["figures"])


def trainable_weights(module: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Weights of `module` that require gradients, by name."""
    return {name: weight for name, weight in module.named_parameters() if weight.requires_grad}


def load_trainable(module: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Copy `state` into the weights of `module` that require gradients.

    Raises:
        ValueError: The names differ.
    """
    weights = trainable_weights(module)
    if weights.keys() != state.keys():
        raise ValueError(
            f"the checkpoint does not fit the network: missing {sorted(weights.keys() - state.keys())}, "
            f"unexpected {sorted(state.keys() - weights.keys())}"
        )
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(like(state[name], weight))
