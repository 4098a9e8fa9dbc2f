"""One person drawn at several sizes."""

import numpy as np
import pytest
import torch

from model.adapter.adapter import SizeAdapter
from model.bases.sdxl.networks import TryOnBase
from model.sized_drawing import DrawingOptions, OnePerson, draw_sizes
from tests.model.conftest import jolt, keypoints, photos


@pytest.mark.parametrize("encoder", ["simple", "hybrid"])
def test_only_the_hybrid_encoder_plans_the_size_by_the_garment(shared_base: TryOnBase, encoder: str) -> None:
    torch.manual_seed(0)
    adapter = jolt(SizeAdapter.for_unet(shared_base.tryon_unet, encoder=encoder))
    maps = []
    for seed in (0, 1):
        wearer, garment = photos(0, 1), photos(seed, 1).cloth
        person = OnePerson(**vars(wearer) | {"cloth": garment, "keypoints": keypoints(1).numpy()})
        ratios = np.array([[1.0, 1.2, 0.9], [1.0, np.nan, 0.9]])
        pictures, size_maps = draw_sizes(shared_base, adapter, person, ratios, DrawingOptions(num_steps=1))
        assert pictures.shape == (2, *wearer.image.shape[1:])
        maps.append(size_maps)
    assert np.array_equal(*maps) == (encoder == "simple")
