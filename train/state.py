"""Checkpoints: everything a run needs to go on as if it had never stopped, in one file that appears whole."""

import logging
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger(__name__)

CheckpointState = dict[str, Any]
"""Tensors, numbers, strings and containers of them: what torch loads with `weights_only=True`."""


def save_checkpoint(folder: Path, step: int, state: CheckpointState) -> None:
    """Write `step-000123.pt` below `folder` atomically, then remove the older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"step-{step:06d}.pt"
    partial = final.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(final)
    for older in checkpoints(folder)[:-1]:
        older.unlink()


def load_checkpoint(folder: Path, fingerprint: str) -> CheckpointState | None:
    """The newest checkpoint below `folder` of a run with this `fingerprint`, or None.

    A checkpoint of another run (other parameters, data or base weights) is left alone and said so: going on
    from it would mix two experiments.
    """
    for path in reversed(checkpoints(folder)):
        state: CheckpointState = torch.load(path, map_location="cpu", weights_only=True)
        if state["fingerprint"] == fingerprint:
            log.info("continuing from %s", path)
            return state
        log.info("%s belongs to a run with other parameters or data: starting afresh", path)
    return None


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoint files below `folder`, oldest first."""
    return sorted(folder.glob("step-*.pt"))


def trainable_state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights of `module` that require gradients, by name, detached and on the CPU."""
    return {n: p.detach().cpu().clone() for n, p in module.named_parameters() if p.requires_grad}


def load_trainable(module: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Copy `state` into the weights of `module` that require gradients.

    Raises:
        ValueError: The names differ.
    """
    weights = {n: p for n, p in module.named_parameters() if p.requires_grad}
    if weights.keys() != state.keys():
        raise ValueError(
            f"the checkpoint does not fit the network: missing {sorted(weights.keys() - state.keys())}, "
            f"unexpected {sorted(state.keys() - weights.keys())}"
        )
    with torch.no_grad():
        for name, weight in weights.items():
            weight.copy_(state[name])
