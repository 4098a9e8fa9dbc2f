"""Folders of this machine, or repositories of the hub."""

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
"""What a repository of the hub may be called: owner/name."""

HUB_KINDS = ("json", "txt", "safetensors", "bin")
"""Endings of the files that are fetched; the same weights for other frameworks stay where they are."""


def files_of(*parts: str) -> list[str]:
    """Return patterns of the files of a base's sub-folders, as the hub wants them."""
    return [f"{part}/*.{kind}" for part in parts for kind in HUB_KINDS]


def local_folder(folder: str | Path, patterns: list[str] | None = None) -> Path:
    """Return a folder of this machine; of a repository of the hub, files (of `patterns`) are fetched.

    Raises:
        FileNotFoundError: There is no such folder, and no such repository either.
    """
    if Path(folder).is_dir():
        return Path(folder)
    if not HUB_NAME.fullmatch(str(folder)):
        raise FileNotFoundError(f"no folder {folder}; a repository of the hub is named owner/name")
    try:
        return Path(snapshot_download(str(folder), allow_patterns=patterns, ignore_patterns="*openvino*"))
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise FileNotFoundError(f"no folder {folder}, and the hub did not give it: {error}") from error
