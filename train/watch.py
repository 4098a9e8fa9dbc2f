"""What a run tells people while it lasts: a progress bar, and a tracker of their choice."""

import logging
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from accelerate import Accelerator, DistributedType
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, patch_environment
from tqdm import tqdm

from train.params import OptimisationParams, RuntimeParams
from train.processes import PATIENCE
from train.sharding import ASKS_FOR_FSDP, ASKS_FOR_GROUPS
from train.state import LogRow, RunState

log = logging.getLogger(__name__)

SMOOTHING = 0.1
"""Weight of the last step in the running means of times."""

UNREACHED_WEIGHTS = DistributedDataParallelKwargs(find_unused_parameters=True)
"""The garment UNet is left at its last self-attention, so that what is behind it has no gradient."""

KNOWN_LAUNCHES = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


class Watch:
    """Progress bar and tracker of one run; times every step, split into waiting for data and computing.

    The tracker is told again what the state has of earlier processes.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        name: str,
        params: OptimisationParams,
        runtime: RuntimeParams,
        live_dir: Path,
        state: RunState,
    ) -> None:
        self.accelerator, self.params, self.runtime = accelerator, params, runtime
        self.bar = tqdm(
            desc=name,
            initial=len(state.rows),
            total=params.steps,
            disable=None if accelerator.is_main_process else True,
        )
        self.waited = self.computed = 0.0
        self.data_seconds = self.step_seconds = 0.0
        self.spent: dict[str, float] = defaultdict(float)
        self.mark = time.perf_counter()
        if accelerator.log_with:
            options = {"dir": str(live_dir), "save_dvc_exp": False, "dvcyaml": None}
            accelerator.init_trackers(name, init_kwargs={"dvclive": options})
            self.tell_again(state)
        self.lap("watching")  # the first step starts now

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()
        for tracker in self.accelerator.trackers:  # end_training() would also end the process group
            tracker.finish()

    def data_arrived(self) -> None:
        """Say that the step's batches are there."""
        self.waited = self.lap("data")

    def step_done(self, step: int, losses: Mapping[str, float], learning_rate: float) -> None:
        """Say what the step came to."""
        self.computed = self.lap("compute")
        speed = self.speed()
        shown = {part: f"{value:.4f}" for part, value in losses.items()}
        self.bar.set_postfix(
            shown | {"samples/s": f"{speed['samples_per_s']:.1f}", "data": f"{speed['data_share']:.0%}"},
            refresh=False,
        )
        self.bar.update()
        if step % self.runtime.log_every == 0:
            self.tell(dict(losses) | {"learning_rate": learning_rate} | speed, step)

    def speed(self) -> dict[str, float]:
        """Running means: samples a second, seconds a step, and the share of it that data was waited for."""
        weight = SMOOTHING if self.step_seconds else 1.0
        self.data_seconds += weight * (self.waited - self.data_seconds)
        self.step_seconds += weight * (self.waited + self.computed - self.step_seconds)
        return {
            "samples_per_s": self.params.batch_size / self.step_seconds,
            "step_s": self.step_seconds,
            "data_share": self.data_seconds / self.step_seconds,
        }

    def tell(self, figures: Mapping[str, float], step: int) -> None:
        """Tell the tracker."""
        self.accelerator.log(dict(figures), step=step)
        self.lap("watching")

    def tell_validation(self, figures: Mapping[str, float], step: int) -> None:
        """Say that validation is over, and tell the tracker what it found."""
        self.lap("validation")
        self.tell({f"validation/{figure}": value for figure, value in figures.items()}, step)

    def tell_again(self, state: RunState) -> None:
        """Tell the tracker losses and validation of the steps that were done before."""
        for row in state.rows:
            if row.step % self.runtime.log_every == 0:
                self.tell(row.losses, row.step)
            if row.step in state.figures:
                self.tell_validation(state.figures[row.step], row.step)

    def lap(self, spent_on: str) -> float:
        """Seconds since the last call, which were spent on something."""
        now = time.perf_counter()
        seconds, self.mark = now - self.mark, now
        self.spent[spent_on] += seconds
        return seconds


def accelerator_of(runtime: RuntimeParams, live_dir: Path) -> Accelerator:
    """Return the accelerator of a run, with its tracker: a GPU where there is one, all that were launched.

    Raises:
        ValueError: The tracker's package isn't installed, or the launcher asks for what isn't supported.
    """
    tracker = None if runtime.tracker == "none" else runtime.tracker
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = runtime.tf32
    left_out = dict.fromkeys(
        (ASKS_FOR_FSDP, ASKS_FOR_GROUPS), "false"
    )  # `train.sharding` shards, not accelerate
    with patch_environment(**left_out):
        accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),
            mixed_precision=runtime.mixed_precision,
            log_with=tracker,
            project_dir=str(live_dir),
            kwargs_handlers=[UNREACHED_WEIGHTS, InitProcessGroupKwargs(timeout=PATIENCE)],
        )
    if accelerator.distributed_type not in KNOWN_LAUNCHES:
        raise ValueError(
            f"processes must be launched with torchrun or `accelerate launch`, with or without FSDP, on GPUs "
            f"or CPUs, but this is {accelerator.distributed_type}"
        )
    if tracker and not accelerator.log_with:
        raise ValueError(
            f"runtime.tracker is {tracker}, but the package {tracker} isn't installed: "
            f"pip install {tracker}, or choose another tracker"
        )
    return accelerator


def log_summary(name: str, rows: list[LogRow], spent: Mapping[str, float]) -> None:
    """Log the mean of each loss over the first and the last tenth of the steps, and what took the time."""
    tenth = max(1, len(rows) // 10)
    for part in rows[-1].losses:
        first, last = (sum(r.losses[part] for r in some) / tenth for some in (rows[:tenth], rows[-tenth:]))
        log.info("%s: %s %.4f -> %.4f over %d steps", name, part, first, last, len(rows))
    seconds = sum(spent.values())
    shares = ", ".join(f"{part} {spent_on / seconds:.1%}" for part, spent_on in spent.items())
    log.info("%s: %.0f s since it was started: %s", name, seconds, shares)
