"""The optimiser and its learning rate."""

import logging
import math
from functools import partial
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from train.params import OptimisationParams

log = logging.getLogger(__name__)


def make_optimizer(groups: list[dict[str, Any]], params: OptimisationParams) -> Optimizer:
    """Return AdamW over parameter groups, with moments in 8 bits where that is asked for and can be had."""
    options: dict[str, Any] = {"lr": params.learning_rate, "weight_decay": params.weight_decay}
    if params.optimizer == "adamw_8bit":
        try:
            from bitsandbytes.optim import AdamW8bit

            return AdamW8bit(groups, **options)
        except (ImportError, OSError, RuntimeError) as error:
            log.warning("8-bit AdamW can't be had here (%s): training with AdamW in full precision", error)
    return torch.optim.AdamW(groups, fused=True, **options)


def make_schedule(optimizer: Optimizer, params: OptimisationParams) -> LambdaLR:
    """Return the schedule of the learning rate, to be stepped once an optimizer step.

    It must not be `prepare()`d: accelerate would step it once a process.
    """
    return LambdaLR(optimizer, partial(cosine_with_warmup, params=params))


def cosine_with_warmup(step: int, params: OptimisationParams) -> float:
    """Factor of the peak learning rate at `step`: a linear rise, then a cosine down to zero."""
    if step < params.warmup_steps:
        return (step + 1) / params.warmup_steps
    progress = (step - params.warmup_steps) / max(1, params.steps - params.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
