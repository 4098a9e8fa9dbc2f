"""Encodings on disk: those used last stay."""

import os
from pathlib import Path

from pipeline.training.sample_encodings import KEPT_FILES, remember_use


def test_the_files_used_last_stay_and_an_old_one_that_is_used_again_is_among_them(tmp_path: Path) -> None:
    stores = [tmp_path / f"{age}.safetensors" for age in range(KEPT_FILES + 2)]
    for age, store in enumerate(stores):
        store.touch()
        os.utime(store, ns=(10**18 - age, 10**18 - age))
    writing = tmp_path / "other.partial"
    writing.touch()
    os.utime(writing, ns=(0, 0))

    remember_use(stores[-1])

    assert set(tmp_path.iterdir()) == {*stores[: KEPT_FILES - 1], stores[-1], writing}
    remember_use(stores[0])
    assert len(set(tmp_path.iterdir())) == KEPT_FILES + 1
