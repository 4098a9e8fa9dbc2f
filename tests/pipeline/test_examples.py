"""Every example of `--help`, the README and docs/ is a command that runs."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pipeline.cli.app import app
from preprocess.sources.params import PrepareDatasetParams
from tests.data_stages import run_data_stages
from tests.object_storage import s3_server, upload
from tests.pipeline.test_cli import examples
from tests.shared_data import shared_data

ROOT = Path(__file__).parents[2]

ELSEWHERE = {
    "assemble": "it needs SDXL's released weights; test_assemble.py",
    "compare": "it needs two finished evaluations; tests/eval/test_card.py",
    "demo": "it serves until it is stopped; the demo's own tests",
    "doctor": "it looks for weights that are not here; test_cli.py and tests/model/test_doctor.py",
    "evaluate": "it needs another system's pictures; test_evaluate_tryon.py",
    "fetch-models": "it asks PyPI for a package; tests/preprocess/test_mediapipe.py builds from one",
}
"""Commands whose examples are not run here, and who runs the command."""

TRAINS = "--run"
"""Option of `recipes` whose examples train for hours; test_recipes.py."""

OWN_PHOTOS = {"me.jpg", "photos", "photos.parquet"}
"""Words of examples that need photos of one's own."""

BLOCKS = re.compile(r"```bash\n(.*?)```", re.DOTALL)


def written_examples() -> list[list[str]]:
    """Words of every example, without the command's own name."""
    commands = [get_command(app), *get_command(app).commands.values()]  # type: ignore[attr-defined]
    found = [words for command in commands for words in examples(command.help or "")]
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for block in BLOCKS.findall(page.read_text()):
            lines = re.sub(r"\\\n", " ", block).splitlines()
            quoted = [f"`{line.split('#')[0].strip()}`" for line in lines if line.startswith("cinderella ")]
            found += examples("\n".join(quoted))
    unique = {tuple(words): words for words in found if words[0] not in ELSEWHERE and TRAINS not in words}
    return list(unique.values())


def as_run(words: list[str]) -> list[str]:
    """Draw with one step, since what a picture looks like is another test's business; name a key there is."""
    there = ["90000_00" if word == "00006_00" else word for word in words]
    return [*there, "--num-steps", "1"] if words[0] in ("try-on", "ladder") else there


@pytest.fixture
def bucket(user: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the examples call `s3://bucket`, with the same data."""
    monkeypatch.setenv("HOME", str(user))  # where copies of shards are kept
    with s3_server(monkeypatch) as files:
        upload(files, user / "artifacts" / "raw", "zalando-hd-resized")
        yield


@pytest.fixture(scope="module")
def user(fitting_artifacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the examples name."""
    home = tmp_path_factory.mktemp("user")
    artifacts = home / "artifacts"
    shutil.copytree(fitting_artifacts, artifacts)
    shutil.copy(ROOT / "params.yaml", home)
    (home / "data").mkdir()
    (home / "data" / "zalando-hd-resized").symlink_to(artifacts / "raw")
    source = PrepareDatasetParams(source="viton_hd", root=str(artifacts / "raw"))
    annotations = run_data_stages(artifacts, source, raw="unused")["size_annotations"]
    (home / "months").mkdir()
    for month in ("may", "june"):
        shutil.copy(annotations, home / "months" / f"{month}.parquet")
    (home / "chart.csv").write_text(
        "size,chest_cm,shoulder_cm,length_cm\nS,96,44,68\nM,104,45.5,70\nL,112,47,72\nXL,122,49,74\n"
    )
    (home / "wearer.yaml").write_text("chest_cm: 92\nheight_cm: 172\n")
    row = "artifacts/raw/test/image/90000_00.jpg,artifacts/raw/test/cloth/90001_00.jpg"
    joints = "artifacts/raw/test/openpose_json/90000_00_keypoints.json"
    (home / "people.csv").write_text(
        f"person,garment,keypoints,parse\n{row},{joints},artifacts/raw/test/image-parse-v3/90000_00.png\n"
    )
    shutil.copy(artifacts / "raw/test/cloth/90000_00.jpg", home / "shirt.jpg")
    return home


def add_own_photo(home: Path) -> None:
    """Add `me.jpg`, a folder of photos, and the model that finds joints."""
    shared = shared_data()
    (home / "photos").mkdir()
    for copy in ("me.jpg", "photos/me.jpg"):
        shutil.copy(shared / "data/mediapipe_pose/pose.jpg", home / copy)
    shutil.copy(shared / "models/pose_landmarker_full.task", home / "data/pose_landmarker_full.task")


def failures(chosen: list[list[str]]) -> dict[str, str]:
    """Run examples in their order, since some read what others wrote, and return those that fail."""
    failed = {}
    for words in chosen:
        result = CliRunner().invoke(app, as_run(words))
        if result.exit_code:
            failed[" ".join(words)] = f"{result.output[-300:]} {result.exception!r}"
    return failed


@pytest.mark.usefixtures("bucket")
def test_every_example_runs(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(user)
    assert not failures([words for words in written_examples() if not OWN_PHOTOS & set(words)])


def test_examples_of_ones_own_photo_run(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_own_photo(user)
    monkeypatch.chdir(user)
    assert not failures([words for words in written_examples() if OWN_PHOTOS & set(words)])
