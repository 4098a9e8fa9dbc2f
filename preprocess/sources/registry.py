"""Which data sets there are. A new one is a module and a line here."""

from collections.abc import Callable
from pathlib import Path

from preprocess.sources.dress_code import DressCode
from preprocess.sources.folder import Folder
from preprocess.sources.paper_dolls.dataset import PaperDolls
from preprocess.sources.source import Source
from preprocess.sources.viton_hd import VitonHd

SOURCES: dict[str, Callable[[Path, str | None], Source]] = {
    "paper_dolls": PaperDolls,
    "viton_hd": VitonHd,
    "dress_code": DressCode,
    "folder": Folder,
}
"""What opens a folder, and one split of it or all, by the name that params.yaml and the command line use."""


def open_source(name: str, root: Path, split: str | None = None) -> Source:
    """Open the folder of a data set.

    Args:
        name: A key of `SOURCES`.
        root: The folder.
        split: `train` or `test`; None: all there are.

    Raises:
        ValueError: There is no such data set.
    """
    if name not in SOURCES:
        raise ValueError(f"source must be one of {', '.join(SOURCES)}, got {name!r}")
    return SOURCES[name](root, split)
