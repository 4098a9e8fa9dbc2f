"""Checkpoints on a disk that is full, and after a crash in the middle of one."""

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.train.small_run import Counting, CrashError, Regression, run
from train.checkpoint import LATEST, PARTIAL, checkpoint_at, explaining_full_disk, pointed, remove


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


@contextmanager
def full_disk() -> Iterator[None]:
    """The system refuses larger files, as it does when none of the disk is left."""
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, allowed[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)


def test_a_full_disk_is_said_and_leaves_the_last_checkpoint(
    broken: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        pytest.raises(OSError, match=r"no checkpoint could be written .*: step-000006 is whole"),
        full_disk(),
    ):
        run(Regression(), broken)
    assert not list(broken.glob(f"*{PARTIAL}"))
    assert ends_as_the_unbroken(broken, tmp_path_factory.mktemp("unbroken"))


WRITERS: dict[str, Callable[[Path], object]] = {
    "open": lambda folder: (folder / "progress.json").write_text(1000 * "0"),
    "torch": lambda folder: torch.save(torch.zeros(1000), folder / "optimizer.bin"),
    "safetensors": lambda folder: save_file({"w": torch.zeros(1000)}, folder / "weights.safetensors"),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_whoever_writes_the_full_disk_is_said(tmp_path: Path, write: Callable[[Path], object]) -> None:
    with (
        pytest.raises(OSError, match=r"no checkpoint could be written .* there is none yet"),
        full_disk(),
        explaining_full_disk(checkpoint_at(tmp_path, 1)),
    ):
        write(tmp_path)


def test_what_has_nothing_to_do_with_a_disk_is_not_blamed_on_it(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"^CUDA out of memory$"),
        explaining_full_disk(checkpoint_at(tmp_path, 1)),
    ):
        raise RuntimeError("CUDA out of memory")


def test_what_a_crash_left_half_written_or_half_removed_counts_for_nothing(
    broken: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shutil.copytree(broken / "step-000006", broken / f"step-000009{PARTIAL}")
    os.truncate(broken / f"step-000009{PARTIAL}" / "optimizer.bin", 100)
    shutil.copytree(broken / "step-000003", broken / "step-000009")  # renamed, but `latest` not yet moved
    assert pointed(broken, LATEST) == broken / "step-000006"
    assert ends_as_the_unbroken(broken, tmp_path_factory.mktemp("unbroken"))


def test_a_removal_that_was_cut_off_is_in_nobodys_way(tmp_path: Path) -> None:
    checkpoint = checkpoint_at(tmp_path, 3)
    for folder in (checkpoint, tmp_path / f"step-000003.old{PARTIAL}"):
        folder.mkdir()
        (folder / "optimizer.bin").touch()
    remove(checkpoint)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_holds_no_frozen_weight(broken: Path) -> None:
    class Larger(Regression):
        def __init__(self) -> None:
            super().__init__()
            self.large = nn.Parameter(torch.zeros(100_000), requires_grad=False)

    run(Larger(), broken)
    sizes = [file.stat().st_size for file in (broken / "step-000012").iterdir()]
    assert sum(sizes) < 100_000
