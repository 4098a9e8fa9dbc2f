"""What a stage prints."""

import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from pipeline.stage import words_of
from preprocess.identity import ROOT


@pytest.mark.parametrize("stage", ["write_shards", "train_joint", "evaluate_tryon"])
def test_a_stage_starts_without_a_word_of_the_libraries(stage: str) -> None:
    command = [sys.executable, "-m", f"pipeline.{stage}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert f"python -m pipeline.{stage}" in done.stdout


def test_a_table_that_is_missing_is_said_to_be() -> None:
    with pytest.raises(FileNotFoundError) as found:
        pq.read_table("nowhere.parquet")
    assert words_of(found.value) == "nowhere.parquet: not found"
    assert words_of(FileNotFoundError("photos is not a folder")) == "photos is not a folder"
