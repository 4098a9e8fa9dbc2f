"""For all tests: nothing is judged by the clock, and code may be edited in a copy of it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from shutil import ignore_patterns
from tempfile import mkdtemp

import pytest
from hypothesis import settings

from preprocess import identity
from preprocess.identity import PACKAGES

settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Edit a file of this project as identities see it: in a copy, which takes the place of the sources."""

    def edit(file: str, old: str, new: str) -> None:
        copy = Path(mkdtemp(dir=tmp_path))
        for package in PACKAGES:
            shutil.copytree(identity.ROOT / package, copy / package, ignore=ignore_patterns("*.pyc"))
        text = (copy / file).read_text()
        assert old in text
        (copy / file).write_text(text.replace(old, new))
        monkeypatch.setattr(identity, "ROOT", copy)

    return edit
