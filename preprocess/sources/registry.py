"""Which data sets there are. A new one is a module and a line here."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from preprocess.sources.dress_code import DressCode
from preprocess.sources.folder import Folder
from preprocess.sources.paper_dolls.dataset import PaperDolls
from preprocess.sources.source import Source
from preprocess.sources.viton_hd import VitonHd
from preprocess.vocabulary import Category

SOURCES: dict[str, Callable[[Path, str | None], Source]] = {
    "paper_dolls": PaperDolls,
    "viton_hd": VitonHd,
    "dress_code": DressCode,
    "folder": Folder,
}
"""What opens a folder, and one split of it or all, by the name that params.yaml and the command line use."""


def require_source(name: str) -> None:
    """Raise ValueError unless there is such a data set."""
    if name not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}, got {name!r}")


def open_source(name: str, root: Path, split: str | None = None, category: Category | None = None) -> Source:
    """Open the folder of a data set.

    Args:
        name: A key of `SOURCES`.
        root: The folder.
        split: `train` or `test`; None: all there are.
        category: What is worn where the data set doesn't tell; the only one to read where it does. None:
            `upper`, and all.

    Raises:
        ValueError: There is no such data set, or it has nothing to choose.
    """
    require_source(name)
    source = SOURCES[name](root, split)
    if category is None:
        return source
    if not isinstance(source, VitonHd | DressCode | Folder):
        raise ValueError(f"category must be left out for {name}, which has its own, got {category}")
    return replace(source, category=category)
