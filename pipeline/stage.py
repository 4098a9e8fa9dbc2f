"""Turn a stage's `run` function into the command dvc.yaml calls."""

import argparse
import errno
import inspect
import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from pipeline.params import USAGE_ERROR, load_params, require_axes
from preprocess.places import StorageError, place

ENGINE_VARIABLE = "CINDERELLA_ENGINE"
"""Names the engine that data stages run on: `inline`, `process`, `ray` or `slurm`. It changes no result."""

SYSTEM_SAYS = {
    errno.ENOENT: "not found",
    errno.EISDIR: "is a folder, where a file is wanted",
    errno.ENOTDIR: "can't be there: a part of the path is a file, no folder",
    errno.EACCES: "you have no permission for it",
}
"""What Python words as `[Errno 21] Is a directory: 'path'`."""


def run_stage(name: str, run: Callable[..., None]) -> None:
    """Call `run(params, **paths)`: params from the section `name`, one --option per keyword-only path.

    A stage that takes an `engine` has the option `--engine`. A `ValueError` or `OSError` of the stage is the
    user's to mend: it is printed as one message, without a stack trace, and the process exits with status 2.
    Anything else is our bug and keeps its trace.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m pipeline.{name}",
        description=inspect.getdoc(run),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="default: params.yaml")
    for parameter in inspect.signature(run).parameters.values():
        if parameter.name == "engine":
            parser.add_argument(
                "--engine", help=f"inline, process, ray or slurm; default: ${ENGINE_VARIABLE}"
            )
        elif parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            parser.add_argument(f"--{parameter.name.replace('_', '-')}", type=place, required=True)
    paths = vars(parser.parse_args())
    configure_logging(name)
    choose_engine(paths.pop("engine", None))
    run = getattr(import_module(f"pipeline.{name}"), run.__name__)  # other processes know it by that name
    try:
        params = load_params(paths.pop("params"))
        require_axes(params)
        run(getattr(params, name), **paths)
    except (ValueError, OSError, StorageError) as error:
        fail(name, error)


def choose_engine(name: str | None) -> None:
    """Have the data stages that this process calls run on an engine; None leaves it to the environment."""
    if name is not None:
        os.environ[ENGINE_VARIABLE] = name


def configure_logging(name: str) -> None:
    """Log to stderr with the time and the stage; CINDERELLA_DEBUG=1 shows more, and stack traces."""
    level = logging.DEBUG if os.environ.get("CINDERELLA_DEBUG") else logging.INFO
    logging.basicConfig(level=level, format=f"%(asctime)s {name}: %(message)s", datefmt="%H:%M:%S")
    for chatty in ("matplotlib", "PIL", "urllib3", "fsspec", "httpx", "filelock", "h5py", "accelerate"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def fail(name: str, error: Exception) -> None:
    """Print what is wrong and exit with status 2; with CINDERELLA_DEBUG=1 keep the stack trace.

    Raises:
        SystemExit: Always.
    """
    if os.environ.get("CINDERELLA_DEBUG"):
        raise error
    sys.stderr.write(f"{name}: {words_of(error)}\n")
    raise SystemExit(USAGE_ERROR)


def words_of(error: Exception) -> str:
    """Return an error's message; where it is the file system's own, the file comes first.

    Of a missing file pyarrow says the name alone.
    """
    if isinstance(error, OSError) and error.errno in SYSTEM_SAYS and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {SYSTEM_SAYS[error.errno]}"
    words = str(error)
    return f"{words}: not found" if isinstance(error, FileNotFoundError) and " " not in words else words
