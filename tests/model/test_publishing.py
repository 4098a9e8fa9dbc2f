"""Base and adapter as a folder that a stock diffusers lists, and size maps as pictures."""

import json
from importlib.metadata import version
from pathlib import Path

from diffusers import DiffusionPipeline, UNet2DConditionModel
from torch.testing import assert_close

from model.adapter.adapter import SizeAdapter
from model.bases.sdxl.loading import PARTS
from model.bases.sdxl.networks import SdxlBase
from model.bases.tiny.autoencoder import PatchAutoencoder
from model.judges.segmenter import Segmenter
from model.publishing import load_pipeline, save_pipeline, trained_pictures
from tests.model.conftest import jolt
from tests.sizes import MEANINGS

PICTURE = {"image_height": 64, "image_width": 48, "mask": {"margin": 0.1}, "categories": ["upper", "dress"]}


def test_a_published_folder_is_a_diffusers_pipeline(base: SdxlBase, tmp_path: Path) -> None:
    adapter = jolt(SizeAdapter.for_sites(base.sites(), MEANINGS))
    segmenter = Segmenter(widths=(8, 16))
    adapter.save_pretrained(tmp_path / "trained", {"data_hash": "abc", "seed": 3})
    trained = SizeAdapter.from_pretrained(tmp_path / "trained")
    save_pipeline(base, trained, tmp_path, picture=PICTURE, segmenter=segmenter)

    listed = DiffusionPipeline.load_config(tmp_path)
    assert listed["_class_name"] == "SizeTryOnPipeline"
    assert {name for name, value in listed.items() if isinstance(value, list)} == set(PARTS)
    PatchAutoencoder.from_pretrained(tmp_path, subfolder="vae")
    UNet2DConditionModel.from_pretrained(tmp_path, subfolder="unet_encoder")

    loaded_base, loaded_adapter, loaded_segmenter = load_pipeline(tmp_path)
    assert loaded_segmenter is not None
    assert loaded_adapter.provenance == trained.provenance
    assert '"data_hash": "abc"' in (tmp_path / "README.md").read_text()
    assert_close(loaded_base.state_dict(), base.state_dict())
    assert_close(loaded_adapter.state_dict(), adapter.state_dict())
    assert_close(loaded_segmenter.state_dict(), segmenter.state_dict())
    assert trained_pictures(tmp_path) == PICTURE
    card = (tmp_path / "README.md").read_text()
    assert "one person, seen from the front, in garments of upper, dress.\n" in card
    assert base.tryon_unet.config.encoder_hid_dim_type is None


def test_the_card_and_the_config_tell_where_the_weights_come_from(base: SdxlBase, tmp_path: Path) -> None:
    adapter = SizeAdapter.for_sites(base.sites(), MEANINGS, parts=("time",))
    adapter.save_pretrained(tmp_path, provenance={"data_hash": "abc"})
    saved = json.loads((tmp_path / "size_adapter.json").read_text())
    assert saved["provenance"]["data_hash"] == "abc"
    assert saved["provenance"]["versions"]["torch"] == version("torch")
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: diffusers")
    assert "- parts: ('time',)" in card
    assert '"data_hash": "abc"' in card
    assert "in garments of the categories that it was trained on.\n" in card
