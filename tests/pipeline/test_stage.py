"""What a stage prints."""

import subprocess
import sys

import pytest

from preprocess.identity import ROOT


@pytest.mark.parametrize("stage", ["write_shards", "train_joint", "evaluate_tryon"])
def test_a_stage_starts_without_a_word_of_the_libraries(stage: str) -> None:
    command = [sys.executable, "-m", f"pipeline.{stage}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert f"python -m pipeline.{stage}" in done.stdout
