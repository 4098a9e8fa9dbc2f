"""Samplers, guidance, and pictures put back into the photo."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import body_maps
from model.bases.base import SizeCondition
from model.bases.sdxl.conditioning import Conditioning
from model.bases.sdxl.networks import TryOnBase
from model.sampling import SAMPLERS, composite, sample_tryon
from tests.model.conftest import BATCH, LATENT_HW, jolt, keypoints

STEPS = 3
NAN = float("nan")


@pytest.fixture(scope="module")
def adapter(shared_base: TryOnBase) -> SizeAdapter:
    torch.manual_seed(0)
    return jolt(SizeAdapter.for_unet(shared_base.tryon_unet))


@torch.no_grad()
def sizes(adapter: SizeAdapter, ratios: list[list[float]]) -> SizeCondition:
    return adapter(torch.tensor(ratios), body_maps(keypoints(len(ratios)), (64, 48), LATENT_HW))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_is_deterministic_and_finite(
    shared_base: TryOnBase, conditioning: Conditioning, noise: Tensor, sampler: str
) -> None:
    runs = [
        sample_tryon(shared_base, conditioning, num_steps=STEPS, noise=noise, sampler=sampler)
        for _ in range(2)
    ]
    assert torch.equal(*runs)
    assert runs[0].isfinite().all()
    assert not torch.equal(runs[0][0], runs[0][1])


def test_an_unknown_sampler_is_named(shared_base: TryOnBase, conditioning: Conditioning) -> None:
    with pytest.raises(ValueError, match=r"one of \['ddim', 'dpmpp', 'unipc'\], got 'euler'"):
        sample_tryon(shared_base, conditioning, sampler="euler")


def test_size_guidance_needs_a_size(shared_base: TryOnBase, conditioning: Conditioning) -> None:
    with pytest.raises(ValueError, match="needs size and size_unknown"):
        sample_tryon(shared_base, conditioning, size_guidance=2.0)


def test_size_guidance_of_an_unknown_size_changes_nothing(
    shared_base: TryOnBase, conditioning: Conditioning, noise: Tensor, adapter: SizeAdapter
) -> None:
    unknown = sizes(adapter, [[NAN] * 3] * BATCH)
    plain = sample_tryon(shared_base, conditioning, size=unknown, num_steps=STEPS, noise=noise)
    guided = sample_tryon(
        shared_base,
        conditioning,
        size=unknown,
        size_unknown=sizes(adapter, [[NAN] * 3]),
        size_guidance=3.0,
        num_steps=STEPS,
        noise=noise,
    )
    assert_close(guided, plain, rtol=0, atol=1e-4)


def test_both_guidances_push_the_picture(
    shared_base: TryOnBase, conditioning: Conditioning, noise: Tensor, adapter: SizeAdapter
) -> None:
    known = sizes(adapter, [[1.0, 1.5, 1.0]] * BATCH)
    unknown = sizes(adapter, [[NAN] * 3])
    given = {"size": known, "size_unknown": unknown, "num_steps": STEPS, "noise": noise}
    plain = sample_tryon(shared_base, conditioning, **given)
    for guidance in ({"text_guidance": 2.0}, {"size_guidance": 2.0}):
        assert not torch.allclose(
            sample_tryon(shared_base, conditioning, **given, **guidance), plain, atol=1e-3
        )


def test_a_strip_of_sizes_equals_its_runs_one_by_one(
    shared_base: TryOnBase, conditioning: Conditioning, noise: Tensor, adapter: SizeAdapter
) -> None:
    person, start = conditioning.select([0]), noise[:1]
    ratios = [[1.0, 0.8 + 0.2 * rung, 1.0] for rung in range(3)]
    strip = sample_tryon(shared_base, person, size=sizes(adapter, ratios), num_steps=STEPS, noise=start)
    assert strip.shape[0] == len(ratios)
    for row, ratio in enumerate(ratios):
        alone = sample_tryon(shared_base, person, size=sizes(adapter, [ratio]), num_steps=STEPS, noise=start)
        assert_close(strip[row : row + 1], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("every", "times"), [(0, [0]), (1, [999, 666, 332]), (2, [999, 332])])
def test_the_garment_is_seen_once_or_at_every_nth_step(
    shared_base: TryOnBase, conditioning: Conditioning, noise: Tensor, every: int, times: list[int]
) -> None:
    seen: list[int] = []
    embedding = shared_base.garment_unet.time_proj
    hook = embedding.register_forward_hook(lambda _module, args, _out: seen.append(int(args[0][0])))
    sample_tryon(shared_base, conditioning, num_steps=STEPS, noise=noise, garment_refresh=every)
    hook.remove()
    assert seen == times


def test_refreshing_the_garment_changes_the_picture(
    shared_base: TryOnBase, conditioning: Conditioning, noise: Tensor
) -> None:
    once, each = (
        sample_tryon(shared_base, conditioning, num_steps=STEPS, noise=noise, garment_refresh=every)
        for every in (0, 1)
    )
    assert not torch.equal(once, each)


def test_conditioning_of_another_batch_is_refused(
    shared_base: TryOnBase, conditioning: Conditioning, adapter: SizeAdapter
) -> None:
    with pytest.raises(ValueError, match="a batch of 3 needs 1 or 3 rows of conditioning, got 2"):
        sample_tryon(shared_base, conditioning, size=sizes(adapter, [[1.0] * 3] * 3), num_steps=STEPS)


def test_the_photo_stays_outside_the_mask_and_the_seam_lies_inside() -> None:
    photo, generated = np.full((24, 24, 3), 10, np.uint8), np.full((24, 24, 3), 210, np.uint8)
    mask = np.zeros((24, 24), np.uint8)
    mask[4:20, 4:20] = 1
    result = composite(photo, generated, mask, feather=4)
    np.testing.assert_array_equal(result[mask == 0], photo[mask == 0])
    np.testing.assert_array_equal(result[12, 12], generated[12, 12])
    assert 10 < result[12, 5, 0] < result[12, 6, 0] < 210
    np.testing.assert_array_equal(composite(photo[None], generated[None], mask[None])[0], result)
