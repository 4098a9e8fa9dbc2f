"""What tests of trying on share."""

from pathlib import Path

import pytest

from model.tryon import SizeAwareTryOn
from pipeline.fitting_room import load_tryon
from tests.pipeline.fitting import build_artifacts


@pytest.fixture(scope="session")
def fitting_artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders as a run leaves them."""
    return build_artifacts(tmp_path_factory.mktemp("fitting"))


@pytest.fixture(scope="session")
def tryon(fitting_artifacts: Path) -> SizeAwareTryOn:
    """Its networks; tests leave them as they are."""
    return load_tryon(fitting_artifacts)
