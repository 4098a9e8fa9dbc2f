"""The engine of Ray Core: tasks on a cluster, whose nodes see the same files at the same places."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import ray
from ray.exceptions import RayError, RayTaskError
from ray.job_config import JobConfig

from pipeline.engine.engines import RaySettings
from pipeline.engine.local import on_one_core
from pipeline.engine.parts import Part, Work
from preprocess.identity import ROOT
from preprocess.vocabulary import AXES_VARIABLE

GIGABYTE = 10**9


@dataclass(frozen=True, slots=True)
class RayTasks:
    """A task for each part. Ray carries what parts are made from; what is made of them lies in the store."""

    settings: RaySettings

    def map(self, work: Work, parts: Iterable[Part]) -> Iterator[Part]:
        """Keep the cluster at work with a bounded number of parts; see `Engine`.

        Raises:
            OSError: The cluster can't be reached, or workers died again and again.
        """
        rest = iter(parts)
        first = [*islice(rest, 1)]
        if not first:
            return  # all is done: a cluster would start for nothing
        started = connect(self.settings.address)
        flight: dict[ray.ObjectRef, Part] = {}
        try:
            task, shared = self.task(work.gpus), ray.put(work)
            for part in chain(first, rest):
                flight[task.remote(shared, part)] = part
                while len(flight) >= self.window(work.gpus):
                    yield landed(flight)
            while flight:
                yield landed(flight)
        finally:
            for reference in flight:
                ray.cancel(reference, force=True)
            if started:
                ray.shutdown()

    def task(self, gpus: int) -> "ray.remote_function.RemoteFunction":
        """Return what makes a part somewhere in the cluster, again where a worker or its node dies.

        Workers of a running cluster have the environment that it was started in, not this process' axes.
        """
        memory, axes = self.settings.memory_gb, os.environ.get(AXES_VARIABLE, "")
        options = {} if memory is None else {"memory": int(memory * GIGABYTE)}
        return ray.remote(on_one_core).options(
            num_cpus=self.settings.cpus,
            num_gpus=gpus,
            max_retries=self.settings.retries,
            runtime_env={"env_vars": {AXES_VARIABLE: axes}},
            **options,
        )

    def window(self, gpus: int) -> int:
        """Return how many parts are in flight: two for each that the cluster can make at once now."""
        resources = ray.cluster_resources()
        places = resources.get("GPU", 0) / gpus if gpus else resources.get("CPU", 0) / self.settings.cpus
        return self.settings.window or max(2, int(2 * places))


def connect(address: str | None) -> bool:
    """Connect to a cluster, or start one here; return False where this process was connected before.

    Each worker gets as many threads as its task has CPUs.
    """
    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else a cluster that starts here tells its makers
    local = {} if address else {"include_dashboard": False}
    code = JobConfig(code_search_path=[str(ROOT)])
    try:
        ray.init(address or "local", log_to_driver=False, job_config=code, **local)
    except (ConnectionError, RuntimeError, ValueError) as error:
        what = f"no Ray cluster at {address}" if address else "Ray can't start a cluster here"
        raise OSError(f"{what}: {error}") from error
    return True


def landed(flight: dict["ray.ObjectRef", Part]) -> Part:
    """Wait until a part is made, and take it out of the flight."""
    (ready, *_), _ = ray.wait(list(flight))
    part = flight.pop(ready)
    try:
        ray.get(ready)
    except RayTaskError as error:
        raise error.cause from error
    except RayError as error:
        raise OSError(
            f"a part was lost again and again: {error}: what is done is kept, so run it again"
        ) from error
    return part


def open_engine(settings: RaySettings) -> RayTasks:
    """Open the engine; see `pipeline.engine.engines.open_engine`."""
    return RayTasks(settings)
