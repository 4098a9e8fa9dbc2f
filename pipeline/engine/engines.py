"""Which engine runs: `--engine`, CINDERELLA_ENGINE or engine.yaml say it, none of which changes a result.

No stage imports this module or an engine: they are found by name, so that editing one reruns nothing.
"""

import os
from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal, get_args

from annotated_types import Ge
from pydantic import BaseModel, ConfigDict
from pydantic.dataclasses import dataclass

from pipeline.engine.local import Processes
from pipeline.engine.parts import Engine, Inline
from pipeline.params import read_yaml
from pipeline.stage import ENGINE_VARIABLE

SETTINGS = Path("engine.yaml")
"""Beside params.yaml; may be missing."""

Name = Literal["inline", "process"]
STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ProcessSettings:
    """Section `process`: local processes."""

    workers: Annotated[int, Ge(0)] | None = None
    """How many; 0 takes every core, null as many as the stage's section of params.yaml says."""


class EngineSettings(BaseModel):
    """engine.yaml."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    engine: Name | None = None
    """Runs where neither `--engine` nor CINDERELLA_ENGINE names one."""

    process: ProcessSettings = field(default_factory=ProcessSettings)


def open_engine(workers: int) -> Engine:
    """Open the engine that was chosen; see `pipeline.engine.parts.open_engine`."""
    settings = read_yaml(SETTINGS, EngineSettings) if SETTINGS.is_file() else EngineSettings()
    name = os.environ.get(ENGINE_VARIABLE) or settings.engine
    if name == "inline" or (name is None and workers == 1):
        return Inline()
    if name in (None, "process"):
        given = settings.process.workers
        return Processes((workers if given is None else given) or os.cpu_count() or 1)
    raise ValueError(f"the engine must be one of {', '.join(get_args(Name))}, got {name!r}")
