"""Checkpoints on a disk that is full, and after a crash in the middle of one."""

import os
import resource
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.train.small_run import Counting, CrashError, Regression, run
from train.checkpoint import LATEST, PARTIAL, pointed


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A run that died after step 7; its last checkpoint is of step 6."""
    with pytest.raises(CrashError):
        run(Regression(), tmp_path, stream=Counting(crash_at=28))
    return tmp_path


def ends_as_the_unbroken(folder: Path, reference: Path) -> bool:
    resumed, unbroken = Regression(), Regression()
    assert run(resumed, folder) == run(unbroken, reference)
    return all(torch.equal(a, b) for a, b in zip(resumed.parameters(), unbroken.parameters(), strict=True))


def test_a_full_disk_is_said_and_leaves_the_last_checkpoint(
    broken: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The system refuses larger files, as it does when none of the disk is left."""
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, allowed[1]))
    try:
        with pytest.raises(OSError, match=r"no checkpoint could be written .*: step-000006 is whole"):
            run(Regression(), broken)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    assert not list(broken.glob(f"*{PARTIAL}"))
    assert ends_as_the_unbroken(broken, tmp_path_factory.mktemp("unbroken"))


def test_what_a_crash_left_half_written_or_half_removed_counts_for_nothing(
    broken: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shutil.copytree(broken / "step-000006", broken / f"step-000009{PARTIAL}")
    os.truncate(broken / f"step-000009{PARTIAL}" / "optimizer.bin", 100)
    shutil.copytree(broken / "step-000003", broken / "step-000009")  # renamed, but `latest` not yet moved
    assert pointed(broken, LATEST) == broken / "step-000006"
    assert ends_as_the_unbroken(broken, tmp_path_factory.mktemp("unbroken"))


def test_a_checkpoint_holds_no_frozen_weight(broken: Path) -> None:
    class Larger(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.large = nn.Parameter(torch.zeros(100_000), requires_grad=False)

    run(Larger(), broken)
    sizes = [file.stat().st_size for file in (broken / "step-000012").iterdir()]
    assert sum(sizes) < 100_000
