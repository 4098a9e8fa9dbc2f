"""What tests of stages and of trying on share."""

import time
from copy import copy
from pathlib import Path

import pytest

from pipeline import prepare_dataset
from pipeline.demo.visit import FittingRoom, Garment, read_examples
from pipeline.tryon.loading import load_tryon
from pipeline.tryon.size_aware import SizeAwareTryOn
from preprocess.sources.params import PaperDollParams, PrepareDatasetParams
from preprocess.vocabulary import TRIED_ON, Category
from tests.pipeline.fitting import build_artifacts


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is an hour ahead: what a test writes is old."""
    monkeypatch.setattr(time, "time_ns", lambda now=time.time_ns: now() + 3600 * 10**9)


@pytest.fixture(scope="session")
def fitting_artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders as a run leaves them."""
    return build_artifacts(tmp_path_factory.mktemp("fitting"))


@pytest.fixture(scope="session")
def tryon(fitting_artifacts: Path) -> SizeAwareTryOn:
    """Its networks; tests leave them as they are."""
    return load_tryon(fitting_artifacts)


@pytest.fixture(scope="session")
def tryon_of_all(tryon: SizeAwareTryOn) -> SizeAwareTryOn:
    """The same networks, as if data of every category had trained them."""
    trained = copy(tryon)
    trained.categories = list(TRIED_ON)
    return trained


@pytest.fixture(scope="session")
def room(
    fitting_artifacts: Path, tryon: SizeAwareTryOn, tmp_path_factory: pytest.TempPathFactory
) -> FittingRoom:
    """The demo's work without its page: two dolls and the garments of two others."""
    folder = tmp_path_factory.mktemp("examples")
    source = PrepareDatasetParams(source="viton_hd", root=str(fitting_artifacts / "raw"))
    prepare_dataset.run(source, raw=folder / "unused", out=folder / "manifest.parquet")
    return FittingRoom(tryon, *read_examples(folder / "manifest.parquet", 2))


@pytest.fixture
def wardrobe(tryon_of_all: SizeAwareTryOn, tmp_path: Path) -> FittingRoom:
    """A doll in trousers, whole, a garment like hers and a top."""
    dolls = PaperDollParams(
        train=1, test=2, categories=(Category.LOWER,), image_height=256, image_width=192, seed=3
    )
    drawn = PrepareDatasetParams(source="paper_dolls", paper_dolls=dolls)
    prepare_dataset.run(drawn, raw=tmp_path / "raw", out=tmp_path / "manifest.parquet")
    people, garments = read_examples(tmp_path / "manifest.parquet", 1)
    return FittingRoom(tryon_of_all, people, [*garments, Garment(photo=garments[0].photo)])
