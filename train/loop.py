"""The training loop of every network in this project.

A *task* is an `nn.Module` whose forward takes a batch and keyed random numbers and returns named losses, the
sum to descend under `loss`. What requires a gradient is trained; the rest is frozen.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from tqdm import tqdm

from train.keyed_random import KeyedRandom
from train.params import OptimisationParams, RuntimeParams
from train.state import load_checkpoint, load_trainable, save_checkpoint, trainable_state

log = logging.getLogger(__name__)

MAX_SKIPPED_IN_A_ROW = 5


class Stream(Protocol):
    """Batches in a fixed, endless order, and the cursor that says how far it was consumed."""

    def __iter__(self) -> Iterator[Any]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class LogRow:
    """What one optimizer step did."""

    step: int
    losses: Mapping[str, float]


def fit(
    task: nn.Module,
    stream: Stream,
    params: OptimisationParams,
    runtime: RuntimeParams,
    *,
    name: str,
    seed: int,
    checkpoint_dir: Path,
    fingerprint: str,
    parameter_groups: list[dict[str, Any]] | None = None,
    on_step: Callable[[LogRow], None] | None = None,
) -> list[LogRow]:
    """Train `task` for `params.steps` optimizer steps; its weights end as their moving average.

    Args:
        task: Returns `{"loss": scalar, ...}` from `task(batch, KeyedRandom)`.
        stream: Yields batches with `positions`, and `keys`, `(B,)`.
        params: The schedule.
        runtime: Precision, checkpoints.
        name: Shown in the progress bar.
        seed: Keys noise, timesteps and dropout.
        checkpoint_dir: Where the run leaves checkpoints, and continues from.
        fingerprint: Identifies parameters and data; a checkpoint of another fingerprint is not continued.
        parameter_groups: For AdamW, where not everything has the same learning rate.
        on_step: Called with each step's losses.

    Returns:
        One row per optimizer step, those before an interruption included.

    Raises:
        ValueError: Several batches in a row had a loss or gradient that was not finite.
    """
    accelerator = Accelerator(mixed_precision=runtime.mixed_precision, cpu=not torch.cuda.is_available())
    trainable = [p for p in task.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameter_groups or trainable, lr=params.learning_rate, weight_decay=params.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine_with_warmup(step, params))
    ema = EMAModel(trainable, decay=params.ema_decay, use_ema_warmup=True, power=0.75)
    model, optimizer = accelerator.prepare(task.train(), optimizer)
    rows: list[LogRow] = []

    saved = load_checkpoint(checkpoint_dir, fingerprint)
    if saved is not None:
        load_trainable(task, saved["weights"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        ema.load_state_dict(saved["ema"])
        stream.load_state_dict(saved["stream"])
        rows = [LogRow(step, losses) for step, losses in saved["rows"]]

    def save(step: int) -> None:
        state = {
            "fingerprint": fingerprint,
            "weights": trainable_state(task),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "ema": ema.state_dict(),
            "stream": stream.state_dict(),
            "rows": [(row.step, dict(row.losses)) for row in rows],
        }
        if accelerator.is_main_process:
            save_checkpoint(checkpoint_dir, step, state)

    skipped = 0
    remaining = range(len(rows) + 1, params.steps + 1)
    batches = iter(stream) if remaining else iter(())
    with tqdm(remaining, desc=name, initial=len(rows), total=params.steps, disable=None) as progress:
        for step in progress:
            batch = next(batches)
            with accelerator.autocast():
                losses = model(batch, KeyedRandom(seed, batch.positions))
            accelerator.backward(losses["loss"])
            norm = accelerator.clip_grad_norm_(trainable, params.max_grad_norm)
            finite = bool(torch.isfinite(norm)) and bool(torch.isfinite(losses["loss"]))
            skipped = 0 if finite else report_skip(skipped + 1, step, batch.keys)
            if finite:
                optimizer.step()
                ema.step(trainable)
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            rows.append(LogRow(step, {part: float(value.detach()) for part, value in losses.items()}))
            progress.set_postfix({part: f"{value:.4f}" for part, value in rows[-1].losses.items()})
            if on_step:
                on_step(rows[-1])
            if step % runtime.checkpoint_every == 0 or step == params.steps:
                save(step)
    if params.ema_decay > 0:
        ema.copy_to(trainable)
    log_summary(name, rows)
    return rows


def report_skip(skipped: int, step: int, keys: list[str]) -> int:
    """Log a batch that was not learned from; stop when too many come in a row.

    Raises:
        ValueError: `skipped` is over the limit. The message names the last batch's samples.
    """
    log.warning("step %d: loss or gradient is not finite, batch skipped: %s", step, ", ".join(keys))
    if skipped > MAX_SKIPPED_IN_A_ROW:
        raise ValueError(
            f"{skipped} batches in a row gave a loss or gradient that is not finite, the last at step {step} "
            f"with samples {', '.join(keys)}: lower the learning rate, or look at these samples"
        )
    return skipped


def cosine_with_warmup(step: int, params: OptimisationParams) -> float:
    """Factor of the peak learning rate at `step`: a linear rise, then a cosine down to zero."""
    if step < params.warmup_steps:
        return (step + 1) / params.warmup_steps
    progress = (step - params.warmup_steps) / max(1, params.steps - params.warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def log_summary(name: str, rows: list[LogRow]) -> None:
    """Log the mean of each loss over the first and the last tenth of the steps."""
    tenth = max(1, len(rows) // 10)
    for part in rows[-1].losses:
        first, last = (sum(r.losses[part] for r in some) / tenth for some in (rows[:tenth], rows[-tenth:]))
        log.info("%s: %s %.4f -> %.4f over %d steps", name, part, first, last, len(rows))


def total(losses: Mapping[str, tuple[float, Tensor]]) -> dict[str, Tensor]:
    """Named losses with their weights, to named losses with their weighted sum under `loss`."""
    summed = sum((weight * value for weight, value in losses.values()), start=torch.zeros(()))
    return {"loss": summed} | {part: value.detach() for part, (_, value) in losses.items()}

