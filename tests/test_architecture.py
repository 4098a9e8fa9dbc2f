"""The arrows between the folders, enforced: a new arrow is a decision, made here."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import imported_modules, plainly_imported

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "preprocess": set(),
    "model": set(),
    "shards": {"preprocess"},
    "train": {"shards", "model"},
    "eval": {"preprocess", "shards", "model"},
    "pipeline": {"preprocess", "shards", "model", "train", "eval"},
}
EXCEPTIONS = {("pipeline/tryon/size_aware.py", "preprocess")}
"""The user's door to the model also makes photos ready; the networks behind it know no preprocessing."""

DATA_STAGES = ("prepare_dataset", "extract_keypoints", "compute_size_ratios", "write_shards")


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_follow_the_arrows(package: str) -> None:
    forbidden = MAY_IMPORT.keys() - MAY_IMPORT[package] - {package}
    wrong = [
        f"{source.relative_to(ROOT)} imports {module}"
        for source in (ROOT / package).rglob("*.py")
        for module in imported_modules(source)
        if module.split(".")[0] in forbidden
        and (source.relative_to(ROOT).as_posix(), module.split(".")[0]) not in EXCEPTIONS
    ]
    assert not wrong, f"{package}/ may import only {sorted(MAY_IMPORT[package])}: {wrong}"


def test_own_packages_are_imported_with_from() -> None:
    """`import eval.report.page` would hide the builtin eval, and ruff A004 does not see it."""
    sources = [source for package in MAY_IMPORT for source in (ROOT / package).rglob("*.py")]
    wrong = [
        (str(source), name)
        for source in sources
        for name in plainly_imported(source)
        if name.split(".")[0] in MAY_IMPORT
    ]
    assert not wrong


@pytest.mark.parametrize("stage", DATA_STAGES)
def test_data_stages_start_without_torch(stage: str) -> None:
    code = f"import sys, pipeline.{stage}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not {"torch", "diffusers", "transformers", "mediapipe"} & set(loaded.stdout.split())


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_package_is_this_checkout(package: str) -> None:
    module = __import__(package)
    assert Path(str(module.__file__)).is_relative_to(ROOT), f"another distribution installed `{package}`"
