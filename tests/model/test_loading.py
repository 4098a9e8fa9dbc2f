"""Where weights come from: the hub's cache, pickles of strangers, names that are nobody's."""

import shutil
from pathlib import Path

import huggingface_hub.constants as hub
import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close
from transformers.utils.logging import is_progress_bar_enabled

from model.adapter.adapter import CONFIG_FILE, WEIGHTS_FILE, SizeAdapter
from model.bases import open_base
from model.bases.folders import header_of
from model.bases.sdxl.networks import SdxlBase
from model.publishing import load_pipeline, save_pipeline
from model.weights import load_weight_file
from tests.model.conftest import jolt
from tests.sizes import MEANINGS

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no way to the network."""
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_into_cache(cache: Path, name: str, folder: Path) -> None:
    """Lay a folder out as the hub's client does once it has fetched it."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    shutil.copytree(folder, repository / "snapshots" / COMMIT)


def test_base_and_adapter_load_from_a_repository_of_the_hub(
    base: SdxlBase, tmp_path: Path, hub_cache: Path
) -> None:
    adapter = jolt(SizeAdapter.for_sites(base.sites(), MEANINGS))
    save_pipeline(base, adapter, tmp_path / "whole", picture={})
    adapter.save_pretrained(tmp_path / "adapter")
    put_into_cache(hub_cache, "someone/tryon", tmp_path / "whole")
    put_into_cache(hub_cache, "someone/size", tmp_path / "adapter")

    loaded = open_base("someone/tryon")
    assert type(loaded) is type(base), "the folder says which base it is"
    assert_close(loaded.state_dict(), base.state_dict())
    assert_close(SizeAdapter.from_pretrained("someone/size").state_dict(), adapter.state_dict())
    assert_close(load_pipeline("someone/tryon")[1].state_dict(), adapter.state_dict())


def test_no_bar_is_drawn_over_files_of_this_machine(
    base: SdxlBase, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert is_progress_bar_enabled()
    base.save_pretrained(tmp_path)
    open_base(tmp_path)
    assert capfd.readouterr().err == ""
    assert is_progress_bar_enabled()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/models/IDM-VTON", "no folder /models/IDM-VTON; a repository of the hub is named owner/name"),
        ("someone/nothing", "no folder someone/nothing, and the hub did not give it"),
    ],
)
def test_what_is_neither_a_folder_nor_a_repository_is_said(hub_cache: Path, name: str, message: str) -> None:
    for load in (open_base, SizeAdapter.from_pretrained):
        with pytest.raises(FileNotFoundError, match=message):
            load(name)
    assert not hub_cache.exists()


class Intruder:
    """An object whose unpickling would write a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


def test_a_pickle_with_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    file, trace = tmp_path / "diffusion_pytorch_model.bin", tmp_path / "was here"
    torch.save({"conv_in.weight": torch.ones(1), "more": Intruder(trace)}, file)
    with pytest.raises(ValueError, match=r"holds more than weights and is not loaded: use safetensors"):
        load_weight_file(file)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "model.bin"])
def test_weights_that_were_cut_are_named(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    weights = {"weight": torch.ones(1000)}
    save_file(weights, file) if file.suffix == ".safetensors" else torch.save(weights, file)
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(ValueError, match=rf"{name} must have whole weights, so copy or download it again"):
        load_weight_file(file)


@pytest.mark.parametrize("text", [b'{"a": ', b"[]", b"\xff"])
def test_a_config_that_is_not_whole_is_named(base: SdxlBase, tmp_path: Path, text: bytes) -> None:
    SizeAdapter.for_sites(base.sites(), MEANINGS).save_pretrained(tmp_path)
    (tmp_path / CONFIG_FILE).write_bytes(text)
    with pytest.raises(ValueError, match=rf"{CONFIG_FILE} must be a whole JSON object, so copy it again: "):
        SizeAdapter.from_pretrained(tmp_path)


def test_what_git_lfs_left_in_the_place_of_weights_is_named(base: SdxlBase, tmp_path: Path) -> None:
    SizeAdapter.for_sites(base.sites(), MEANINGS).save_pretrained(tmp_path)
    file = tmp_path / WEIGHTS_FILE
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ValueError, match=rf"{WEIGHTS_FILE} must have whole weights"):
        SizeAdapter.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match=rf"{WEIGHTS_FILE} must have whole weights"):
        header_of(file)
