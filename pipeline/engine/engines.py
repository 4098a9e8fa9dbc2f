"""Which engine runs: `--engine`, CINDERELLA_ENGINE or engine.yaml say it, none of which changes a result.

No stage imports this module or an engine: they are found by name, so that editing one reruns nothing.
"""

import os
from dataclasses import field
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt
from pydantic import BaseModel, ConfigDict
from pydantic.dataclasses import dataclass

from pipeline.engine.local import Processes
from pipeline.engine.parts import Engine, Inline
from pipeline.params import read_yaml
from pipeline.stage import ENGINE_VARIABLE

SETTINGS = Path("engine.yaml")
"""Beside params.yaml; may be missing."""

INSTALLED = {"ray": "ray", "slurm": "submitit"}
"""Library that an engine needs, which is the extra of the engine's name."""

Name = Literal["inline", "process", "ray", "slurm"]
STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ProcessSettings:
    """Section `process`: local processes."""

    workers: Annotated[int, Ge(0)] | None = None
    """How many; 0 takes every core, null as many as the stage's section of params.yaml says."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RaySettings:
    """Section `ray`: tasks on a Ray cluster."""

    address: str | None = None
    """Of a running cluster, `auto` for the one of this computer; null starts one here for the run."""

    cpus: Annotated[float, Gt(0)] = 1.0
    """CPUs that a task takes; it uses one thread for pictures."""

    memory_gb: Annotated[float, Gt(0)] | None = None
    """Memory that a task takes; null leaves it to Ray."""

    window: Annotated[int, Gt(0)] | None = None
    """Parts in flight at once; null: twice as many as the cluster can make."""

    retries: Annotated[int, Ge(0)] = 3
    """How often a part is made again whose worker or node died."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SlurmSettings:
    """Section `slurm`: job arrays."""

    partition: str | None = None
    """Where jobs run; null: the site's default."""

    cpus: Annotated[int, Gt(0)] = 1
    """CPUs that a task takes; it uses one thread for pictures."""

    memory_gb: Annotated[float, Gt(0)] | None = None
    """Memory that a task takes; null: the site's default."""

    minutes: Annotated[int, Gt(0)] = 60
    """Time limit of a task. One that runs out of it is requeued, for the parts that aren't made."""

    samples_per_task: Annotated[int, Gt(0)] = 1024
    """Samples whose parts a task of an array makes, one after another: starting takes seconds."""

    array_size: Annotated[int, Gt(0)] = 1000
    """Tasks of an array: at most the site's MaxArraySize."""

    at_once: Annotated[int, Gt(0)] = 256
    """Tasks of an array that run at the same time."""

    retries: Annotated[int, Ge(0)] = 3
    """How often a task is sent again that ended without having made its parts."""

    look_every: Annotated[float, Gt(0)] = 10.0
    """Seconds between two looks at the queue; a short run looks sooner at what is done."""

    options: dict[str, Any] = field(default_factory=dict)
    """Further options of sbatch, as `{account: vision, qos: long}`."""


class EngineSettings(BaseModel):
    """engine.yaml."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    engine: Name | None = None
    """Runs where neither `--engine` nor CINDERELLA_ENGINE names one."""

    process: ProcessSettings = field(default_factory=ProcessSettings)
    ray: RaySettings = field(default_factory=RaySettings)
    slurm: SlurmSettings = field(default_factory=SlurmSettings)


def open_engine(workers: int) -> Engine:
    """Open the engine that was chosen; see `pipeline.engine.parts.open_engine`."""
    settings = read_yaml(SETTINGS, EngineSettings) if SETTINGS.is_file() else EngineSettings()
    name = os.environ.get(ENGINE_VARIABLE) or settings.engine
    if name == "inline" or (name is None and workers == 1):
        return Inline()
    if name in (None, "process"):
        given = settings.process.workers
        return Processes((workers if given is None else given) or os.cpu_count() or 1)
    if name not in INSTALLED:
        raise ValueError(f"the engine must be one of inline, process, {', '.join(INSTALLED)}, got {name!r}")
    try:
        module = import_module(f"pipeline.engine.on_{name}")
    except ModuleNotFoundError as error:
        if error.name != INSTALLED[name]:
            raise
        raise ValueError(f"the engine {name} needs `pip install -e .[{name}]`") from error
    engine: Engine = module.open_engine(getattr(settings, name))
    return engine
