"""Data that lies beside the repository and is never committed; tests that need it skip without it."""

import os
from pathlib import Path

import pytest


def shared_data() -> Path:
    """Return the folder of shared data, or skip."""
    root = Path(__file__).parents[1]
    folder = Path(os.environ.get("CINDERELLA_SHARED", root.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set CINDERELLA_SHARED")
    return folder
