"""What needs a CUDA device: every question of the report that isn't about speed, held to its bars."""

from pathlib import Path

import pytest
import torch

from tests.benchmarks.gpu_report import main

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize(
    "row",
    [
        "precision of",
        "GradScaler",
        "8-bit",
        "under checkpointing",
        "numbers sent",
        "torch.compile",
        "FSDP2",
        "launch",
        "noise prediction",
    ],
)
def test_the_device_computes_what_full_precision_computes(row: str, tmp_path: Path) -> None:
    report = main(["--out", str(tmp_path), "--only", row])
    assert report.rows
    for asked in report.rows:
        assert asked.error is None, asked
        assert not asked.missed, asked
