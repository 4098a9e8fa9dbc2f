"""The engine of Slurm: job arrays, whose nodes see the same files at the same places.

What a task makes is told by the parts in the store; Slurm is asked only which tasks are still there, so that
those that ended without having made their parts are sent again.
"""

import os
import pickle
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path

from submitit import SlurmExecutor, SlurmJob
from submitit.core.utils import FailedJobError
from submitit.helpers import Checkpointable

from pipeline.engine.engines import SlurmSettings
from pipeline.engine.local import on_one_core
from pipeline.engine.parts import Part, Work
from preprocess.identity import ROOT

JOBS = "jobs.txt"
"""Ids of the arrays that were sent, so that a run that takes over from a killed one can cancel them."""

GONE_AFTER = 2
"""Looks at the queue that miss a task: files may come later than the news."""

LEAST = 64
"""Samples that a part counts for at least: a shard that only loses some is copied, too."""

FIRST_LOOK_S = 0.2
WAITED = 0.05
"""Share of a run's time after which what is done is looked at again."""


@dataclass(frozen=True, slots=True)
class SlurmArrays:
    """Tasks of several parts in job arrays, not more at once than the site takes."""

    settings: SlurmSettings

    def map(self, work: Work, parts: Iterable[Part]) -> Iterator[Part]:
        """Keep the queue filled; see `Engine`.

        Raises:
            OSError: A part failed, or was lost again and again; or Slurm takes none.
        """
        folder = work.store.root / ".slurm"
        cancel(folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)  # a cancelled task may still write into it while it dies
        tasks = written_tasks(work, parts, folder, self.settings.samples_per_task)
        queues = looks(folder, self.settings.look_every)
        flight: list[Sent] = []
        again: list[Task] = []
        try:
            while True:
                room = self.settings.array_size - len(flight)
                if 2 * room >= self.settings.array_size:
                    flight += self.send(
                        [*again[:room], *islice(tasks, max(0, room - len(again)))], work, folder
                    )
                    del again[:room]
                if not flight:
                    return
                queue = next(queues)
                gone = [sent for sent in flight if sent.is_gone(queue)]
                there = {*work.store.list()}  # after the look at who is gone: they came before they went
                for sent in list(flight):
                    yield from sent.landed(there)
                    if not sent.waiting or sent in gone:
                        flight.remove(sent)
                        again += self.retried(sent)
        finally:
            cancel(folder)

    def send(self, tasks: list["Task"], work: Work, folder: Path) -> list["Sent"]:
        """Send tasks as one array.

        Raises:
            OSError: Slurm refuses it.
        """
        if not tasks:
            return []
        settings = self.settings
        executor = SlurmExecutor(folder / "jobs", max_num_timeout=settings.retries)
        options = {"partition": settings.partition, "mem": settings.memory_gb}
        executor.update_parameters(
            **{name: value for name, value in options.items() if value is not None},
            job_name="cinderella",
            time=settings.minutes,
            cpus_per_task=settings.cpus,
            array_parallelism=settings.at_once,
            setup=[f"export PYTHONPATH={ROOT}:$PYTHONPATH OMP_NUM_THREADS=1"],
            additional_parameters={"requeue": True, **settings.options}
            | ({"gpus-per-node": work.gpus} if work.gpus else {}),
        )
        try:
            with executor.batch():
                jobs = [executor.submit(task) for task in tasks]
        except FailedJobError as error:
            raise OSError(f"Slurm takes no tasks as `slurm` of engine.yaml has them: {error}") from error
        with (folder / JOBS).open("a") as file:
            file.writelines(f"{number}\n" for number in {job.job_id.split("_")[0] for job in jobs})
        return [Sent(task, job, list(task.parts)) for task, job in zip(tasks, jobs, strict=True)]

    def retried(self, sent: "Sent") -> list["Task"]:
        """Return what is to be sent again of a task that ended.

        Raises:
            OSError: Its work failed, or it ended without a word too often.
        """
        if not sent.waiting:
            return []
        error = sent.job.exception() if sent.job.paths.result_pickle.exists() else None
        if error is not None or sent.task.sent > self.settings.retries:
            raise OSError(
                f"a task failed on Slurm: {error or 'it ended without a word'}: {sent.job.paths.stderr}"
            )
        return [replace(sent.task, sent=sent.task.sent + 1)]


@dataclass(frozen=True, kw_only=True)
class Task(Checkpointable):
    """Makes the parts of a file, those that aren't there; called again where Slurm requeues it."""

    file: Path
    """Pickled: the work and its parts."""

    parts: tuple[Part, ...]
    """The same parts, without what they are made from."""

    sent: int = 1
    """How often it was sent."""

    def __call__(self) -> None:
        """Make the parts."""
        work, parts = pickle.loads(self.file.read_bytes())
        for part in parts:
            if work.store.done(part.key) is None:
                on_one_core(work, part)


@dataclass(slots=True, eq=False)
class Sent:
    """A task in the queue or on a node."""

    task: Task
    job: SlurmJob[None]
    waiting: list[Part]
    missed: int = field(default=0)

    def landed(self, there: set[str]) -> list[Part]:
        """Take out the parts that are there."""
        made = [part for part in self.waiting if part.key in there]
        self.waiting = [part for part in self.waiting if part.key not in there]
        return made

    def is_gone(self, queue: set[str] | None) -> bool:
        """Tell whether the task has ended: it said so, or looks at the queue missed it."""
        if self.job.paths.result_pickle.exists():
            return True
        if queue is not None:
            self.missed = 0 if self.job.job_id in queue else self.missed + 1
        return self.missed >= GONE_AFTER


def written_tasks(work: Work, parts: Iterable[Part], folder: Path, samples_per_task: int) -> Iterator[Task]:
    """Write the parts of each task to a file, as they are planned, and yield the task."""
    rest = iter(parts)
    for number in count():
        some = share(rest, samples_per_task)
        if not some:
            return
        file = folder / f"{number:08d}.pkl"
        file.write_bytes(pickle.dumps((work, some)))
        yield Task(file=file, parts=tuple(replace(part, payload=None) for part in some))


def share(parts: Iterator[Part], num_samples: int) -> list[Part]:
    """Take the next parts, of that many samples together; one with less to make counts as `LEAST`."""
    some: list[Part] = []
    for part in parts:
        some.append(part)
        if sum(max(LEAST, one.size) for one in some) >= num_samples:
            break
    return some


def looks(folder: Path, every: float) -> Iterator[set[str] | None]:
    """Wait for the next look at what is done, and yield who is in the queue; None where it isn't asked.

    What is done is looked at soon, and then ever less often, so that no run takes much longer for it; the
    queue, whose controller everybody on the cluster shares, is asked every so many seconds.
    """
    began = asked = time.monotonic()
    while True:
        time.sleep(min(every, FIRST_LOOK_S + WAITED * (time.monotonic() - began)))
        ask = time.monotonic() - asked >= every
        asked = time.monotonic() if ask else asked
        yield in_queue(folder) if ask else None


def in_queue(folder: Path) -> set[str] | None:
    """Return the tasks of our arrays that wait or run; None where Slurm doesn't answer."""
    jobs = (folder / JOBS).read_text().split()
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--user={os.geteuid()}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        return None
    return {name for name in answer.stdout.split() if name.split("_")[0] in jobs}


def cancel(folder: Path) -> None:
    """Cancel the arrays that were sent from a folder."""
    jobs = (folder / JOBS).read_text().split() if (folder / JOBS).is_file() else []
    if jobs:
        subprocess.run(["scancel", *jobs], capture_output=True, check=False)


def open_engine(settings: SlurmSettings) -> SlurmArrays:
    """Open the engine; see `pipeline.engine.engines.open_engine`.

    Raises:
        ValueError: Slurm's commands aren't here.
    """
    if shutil.which("sbatch") is None:
        raise ValueError("the engine slurm must run where Slurm's commands are, but there is no sbatch")
    return SlurmArrays(settings)
