"""The DVC stages, the `cinderella` command and the demo. Nothing imports this package."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from preprocess.vocabulary import AXES_VARIABLE, OPTIONAL_AXES

NOISE = {
    "bitsandbytes.backends.cpu.ops": "Failed to load CPU gemm_4bit_forward",
    "diffusers.models.modeling_utils": "should be kept in float32: []",
}
"""Lines of libraries, by logger, that nobody can act on: a kernel for 4-bit weights, which nothing here has,
and an empty list. The first is said when diffusers is imported, so it is hushed here, before."""


INTERRUPTED = 128 + signal.SIGINT
"""Exit status after Ctrl-C, as a shell has it."""


def end_in_a_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say in one line that Ctrl-C has ended this process; other errors keep their trace.

    Raises:
        SystemExit: It was Ctrl-C.
    """
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write("\ninterrupted\n")  # below the terminal's own ^C, or a progress bar
    raise SystemExit(INTERRUPTED)


if sys.argv[:1] == ["-m"]:  # a stage is being looked for: its imports alone take seconds
    sys.excepthook = end_in_a_line


def without(line: str) -> Callable[[logging.LogRecord], bool]:
    """Return a filter of log records that holds back a line."""
    return lambda record: line not in record.getMessage()


for _logger, _line in NOISE.items():
    logging.getLogger(_logger).addFilter(without(_line))


def switched_on(params: Path) -> str:
    """Return the optional axes that `axes` in a file like params.yaml names, with commas between."""
    try:
        names = YAML(typ="safe").load(params.read_text())["axes"]
        return ",".join(name for name in names if name in OPTIONAL_AXES)
    except (OSError, YAMLError, LookupError, TypeError, ValueError):
        return ""  # `load_params` tells what is wrong with it


def optional_axes(text: str) -> str:
    """Return what an environment variable names as every process writes it: identities take it in.

    Raises:
        SystemExit: There is no such axis to switch on.
    """
    names = sorted({name.strip() for name in text.split(",")} - {""})
    if not set(names) <= set(OPTIONAL_AXES):
        raise SystemExit(f"{AXES_VARIABLE} must name some of {', '.join(OPTIONAL_AXES)}, got {text!r}")
    return ",".join(names)


if AXES_VARIABLE in os.environ:
    os.environ[AXES_VARIABLE] = optional_axes(os.environ[AXES_VARIABLE])
elif _axes := switched_on(Path("params.yaml")):
    os.environ[AXES_VARIABLE] = _axes  # before anything imports the table of axes
