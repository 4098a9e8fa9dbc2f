"""Samplers, guidance, and pictures put back into the photo."""

from dataclasses import replace
from typing import get_args

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import body_maps
from model.bases.catvton.networks import CatvtonBase
from model.bases.conditions import SizeCondition
from model.bases.flux2_klein.networks import KleinBase
from model.bases.noising import SAMPLERS
from model.bases.sdxl.conditioning import SdxlConditioning
from model.bases.sdxl.networks import SdxlBase
from model.composite import composite
from model.params import DrawingOptions, Sampler
from model.sampling import SizedDrawer, TryOnInputs, noise_of, sample_tryon, steps_of
from preprocess.person.window import Window
from tests.model.conftest import BATCH, LATENT_HW, jolt, keypoints, photos
from tests.sizes import MEANINGS

STEPS = 3
PLAIN = DrawingOptions(num_steps=STEPS, size_guidance=1.0)
NAN = float("nan")


@pytest.fixture(scope="module")
def adapter(shared_base: SdxlBase) -> SizeAdapter:
    torch.manual_seed(0)
    return jolt(SizeAdapter.for_sites(shared_base.sites(), MEANINGS))


@torch.no_grad()
def sizes(adapter: SizeAdapter, ratios: list[list[float]]) -> SizeCondition:
    return adapter(torch.tensor(ratios), body_maps(keypoints(len(ratios)), (64, 48), LATENT_HW))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_is_deterministic_and_finite(
    shared_base: SdxlBase, conditioning: SdxlConditioning, noise: Tensor, sampler: Sampler
) -> None:
    runs = [
        sample_tryon(shared_base, conditioning, replace(PLAIN, sampler=sampler), noise=noise)
        for _ in range(2)
    ]
    assert torch.equal(*runs)
    assert runs[0].isfinite().all()
    assert not torch.equal(runs[0][0], runs[0][1])


def test_every_sampler_that_may_be_asked_for_is_there() -> None:
    assert set(get_args(Sampler)) == SAMPLERS.keys()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"sampler": "euler"}, "one of ddim, unipc, dpmpp, got 'euler'"),
        ({"num_steps": 0}, "num_steps must be 1 to 1000, got 0"),
        ({"size_scale": NAN}, "size_scale must be 0 to 20, got nan"),
        ({"seam": -1}, "seam must be 0 to 64, got -1"),
    ],
)
def test_options_out_of_range_are_refused(option: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DrawingOptions(**option)


def test_size_guidance_needs_an_unknown_size(
    shared_base: SdxlBase, conditioning: SdxlConditioning, noise: Tensor, adapter: SizeAdapter
) -> None:
    options = replace(PLAIN, size_guidance=2.0)
    with pytest.raises(ValueError, match="needs size_unknown"):
        sample_tryon(
            shared_base, conditioning, options, size=sizes(adapter, [[1.0] * 3] * BATCH), noise=noise
        )


def test_without_a_size_there_is_none_to_guide(
    shared_base: SdxlBase, conditioning: SdxlConditioning, noise: Tensor
) -> None:
    plain, guided = (
        sample_tryon(shared_base, conditioning, replace(PLAIN, size_guidance=guidance), noise=noise)
        for guidance in (1.0, 3.0)
    )
    assert torch.equal(plain, guided)


def test_size_guidance_of_an_unknown_size_changes_nothing(
    shared_base: SdxlBase, conditioning: SdxlConditioning, noise: Tensor, adapter: SizeAdapter
) -> None:
    unknown = sizes(adapter, [[NAN] * 3] * BATCH)
    plain = sample_tryon(shared_base, conditioning, PLAIN, size=unknown, noise=noise)
    guided = sample_tryon(
        shared_base,
        conditioning,
        replace(PLAIN, size_guidance=3.0),
        size=unknown,
        size_unknown=sizes(adapter, [[NAN] * 3]),
        noise=noise,
    )
    assert_close(guided, plain, rtol=0, atol=1e-4)


def test_both_guidances_push_the_picture(
    shared_base: SdxlBase, conditioning: SdxlConditioning, noise: Tensor, adapter: SizeAdapter
) -> None:
    known = sizes(adapter, [[1.0, 1.5, 1.0]] * BATCH)
    unknown = sizes(adapter, [[NAN] * 3])
    given = {"size": known, "size_unknown": unknown, "noise": noise}
    plain = sample_tryon(shared_base, conditioning, PLAIN, **given)
    for options in (replace(PLAIN, text_guidance=2.0), replace(PLAIN, size_guidance=2.0)):
        pushed = sample_tryon(shared_base, conditioning, options, **given)
        assert not torch.allclose(pushed, plain, atol=1e-3)


def test_a_strip_of_sizes_equals_its_runs_one_by_one(
    shared_base: SdxlBase, conditioning: SdxlConditioning, noise: Tensor, adapter: SizeAdapter
) -> None:
    person, start = conditioning.map(lambda rows: rows[:1]), noise[:1]
    ratios = [[1.0, 0.8 + 0.2 * rung, 1.0] for rung in range(3)]
    strip = sample_tryon(shared_base, person, PLAIN, size=sizes(adapter, ratios), noise=start)
    assert strip.shape[0] == len(ratios)
    for row, ratio in enumerate(ratios):
        alone = sample_tryon(shared_base, person, PLAIN, size=sizes(adapter, [ratio]), noise=start)
        assert_close(strip[row : row + 1], alone, rtol=0, atol=1e-5)


EVERY_STEP = [999, 666, 332]


@pytest.mark.parametrize(
    ("follows", "every", "times"),
    [
        (False, 0, [0]),
        (False, 1, EVERY_STEP),
        (False, 2, [999, 332]),
        (False, None, [0]),
        (True, None, EVERY_STEP),
        (True, 0, [0]),
    ],
)
def test_the_garment_is_seen_as_in_training_or_as_asked_for(
    shared_base: SdxlBase,
    conditioning: SdxlConditioning,
    noise: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    follows: bool,
    every: int | None,
    times: list[int],
) -> None:
    monkeypatch.setattr(type(shared_base), "garment_follows_time", follows)
    seen: list[int] = []
    embedding = shared_base.garment_unet.time_proj
    hook = embedding.register_forward_hook(lambda _module, args, _out: seen.append(int(args[0][0])))
    sample_tryon(shared_base, conditioning, replace(PLAIN, garment_refresh=every), noise=noise)
    hook.remove()
    assert seen == times


@pytest.mark.parametrize("every", [0, 1, 2])
def test_the_unets_are_never_on_the_device_together(
    shared_base: SdxlBase,
    conditioning: SdxlConditioning,
    noise: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    every: int,
) -> None:
    """`cpu:0` stands for the device, and `cpu` for the computer's memory: torch takes them for the same."""
    there: set[str] = set()
    turns: list[set[str]] = []

    def watch(name: str, network: torch.nn.Module) -> None:
        def to(device: str) -> None:
            (there.add if device == "cpu:0" else there.discard)(name)
            turns.append(set(there))

        monkeypatch.setattr(network, "to", to)

    watch("try-on", shared_base.tryon_unet)
    watch("garment", shared_base.garment_unet)
    monkeypatch.setattr(shared_base, "run_on", "cpu:0")
    sample_tryon(shared_base, conditioning, replace(PLAIN, garment_refresh=every), noise=noise)
    assert [turn for turn in turns if turn] == [{"garment"}, {"try-on"}] * {0: 1, 1: 3, 2: 2}[every]


def test_refreshing_the_garment_changes_the_picture(
    shared_base: SdxlBase, conditioning: SdxlConditioning, noise: Tensor
) -> None:
    once, each = (
        sample_tryon(shared_base, conditioning, replace(PLAIN, garment_refresh=every), noise=noise)
        for every in (0, 1)
    )
    assert not torch.equal(once, each)


def test_conditioning_of_another_batch_is_refused(
    shared_base: SdxlBase, conditioning: SdxlConditioning, noise: Tensor, adapter: SizeAdapter
) -> None:
    with pytest.raises(ValueError, match="a batch of 3 needs 1 or 3 rows of conditioning, got 2"):
        sample_tryon(shared_base, conditioning, PLAIN, size=sizes(adapter, [[1.0] * 3] * 3), noise=noise)


def test_the_photo_stays_outside_the_mask_and_the_seam_lies_inside() -> None:
    photo, generated = np.full((24, 24, 3), 10, np.uint8), np.full((24, 24, 3), 210, np.uint8)
    mask = np.zeros((24, 24), np.uint8)
    mask[4:20, 4:20] = 1
    result = composite(photo, generated, mask, feather=4)
    np.testing.assert_array_equal(result[mask == 0], photo[mask == 0])
    np.testing.assert_array_equal(result[12, 12], generated[12, 12])
    assert abs(int(result[12, 4, 0]) - 60) <= 2, (
        "a quarter of the seam inside, three of the 200 are taken off"
    )
    assert 10 < result[12, 5, 0] < result[12, 6, 0] < 210
    np.testing.assert_array_equal(composite(photo[None], generated[None], mask[None], feather=4)[0], result)
    everywhere = composite(photo, generated, np.ones_like(mask), feather=4)
    np.testing.assert_array_equal(everywhere, generated)
    np.testing.assert_array_equal(
        composite(photo, generated, mask, feather=0)[mask != 0], generated[mask != 0]
    )


def test_what_was_under_the_mask_shows_nowhere() -> None:
    generator = np.random.default_rng(0)
    photo, generated = generator.integers(0, 256, (2, 24, 24, 3), dtype=np.uint8)
    mask = np.zeros((24, 24), np.uint8)
    mask[4:20, 4:24] = 1
    other = np.where(mask[..., None] != 0, 255 - photo, photo)
    np.testing.assert_array_equal(
        composite(photo, generated, mask, feather=4), composite(other, generated, mask, feather=4)
    )


def people(seed: int = 0) -> TryOnInputs:
    return TryOnInputs(**vars(photos(seed)), keys=["anna", "bela"])


def drawer(
    base: SdxlBase, adapter: SizeAdapter | None, options: DrawingOptions, batch_size: int = 8
) -> SizedDrawer:
    return SizedDrawer(base, adapter, people(), options, batch_size=batch_size)


def test_a_persons_noise_is_its_own_whoever_is_drawn_beside(
    shared_base: SdxlBase, adapter: SizeAdapter
) -> None:
    ratios = np.array([[1.0, 1.2, 0.9], [1.0, 1.5, 0.9]])
    draw = drawer(shared_base, adapter, PLAIN)
    everybody = draw.each(ratios)
    for person, row in enumerate(ratios):
        alone = draw(person, row[None])
        np.testing.assert_allclose(everybody[person].astype(int), alone[0].astype(int), atol=1)
    shape = (1, 4, *LATENT_HW)
    assert torch.equal(noise_of("anna", 0, shape), noise_of("anna", 0, shape))
    assert not torch.equal(noise_of("anna", 0, shape), noise_of("bela", 0, shape))
    assert not torch.equal(noise_of("anna", 0, shape), noise_of("anna", 1, shape))


def test_what_is_drawn_does_not_depend_on_how_many_are_drawn_together(
    shared_base: SdxlBase, adapter: SizeAdapter
) -> None:
    ratios = np.array([[1.0, 0.8 + 0.2 * rung, NAN] for rung in range(3)])
    steps: list[tuple[int, int]] = []
    two = drawer(shared_base, adapter, PLAIN, batch_size=2).draw(0, ratios, lambda *step: steps.append(step))
    all_at_once = drawer(shared_base, adapter, PLAIN).draw(0, ratios)
    np.testing.assert_allclose(two.pictures.astype(int), all_at_once.pictures.astype(int), atol=1)
    np.testing.assert_allclose(two.size_maps, all_at_once.size_maps, atol=1e-5)
    assert steps == [(2, 9), (4, 9), (6, 9), (7, 9), (8, 9), (9, 9)]


@torch.no_grad()
def test_half_precision_rounds_no_ratio_and_no_place(shared_base: SdxlBase, adapter: SizeAdapter) -> None:
    """In bf16 1.05 would be 1.0469."""
    drawn, ratios = drawer(shared_base, adapter, PLAIN), np.array([[1.05, 1.2, np.nan]])
    told = drawn.conditioning(0)
    full, half = (drawn.condition([0], ratios, told.to(kind)) for kind in (torch.float32, torch.bfloat16))
    assert torch.equal(half.embedding, full.embedding)
    assert torch.equal(half.layout_logits, full.layout_logits)


def test_at_no_strength_the_base_draws_alone(shared_base: SdxlBase, adapter: SizeAdapter) -> None:
    ratios = np.array([[1.0, 1.5, 0.9]])
    off, without = (
        drawer(shared_base, one, replace(PLAIN, size_scale=0.0, size_guidance=1.5))(0, ratios)
        for one in (adapter, None)
    )
    np.testing.assert_array_equal(off, without)


@pytest.mark.parametrize("encoder", ["simple", "hybrid"])
def test_only_the_hybrid_encoder_plans_the_size_by_the_garment(shared_base: SdxlBase, encoder: str) -> None:
    torch.manual_seed(0)
    adapter = jolt(SizeAdapter.for_sites(shared_base.sites(), MEANINGS, encoder=encoder))
    maps = []
    for seed in (0, 1):
        wearers = replace(people(), cloth=photos(seed).cloth)
        ratios = np.array([[1.0, 1.2, 0.9], [1.0, NAN, 0.9]])
        draw = SizedDrawer(shared_base, adapter, wearers, replace(PLAIN, num_steps=1), batch_size=8)
        pictures, size_maps = draw.draw(0, ratios)
        assert pictures.shape == (2, *wearers.image.shape[1:])
        maps.append(size_maps)
    assert np.array_equal(*maps) == (encoder == "simple")


def test_without_an_adapter_every_size_is_drawn_alike(shared_base: SdxlBase) -> None:
    draw = SizedDrawer(shared_base, None, people(), replace(PLAIN, num_steps=1), batch_size=2)
    pictures, size_maps = draw.draw(0, np.array([[1.0, 1.2, 0.9], [1.0, 1.6, 0.9], [1.0, 1.0, 1.0]]))
    assert len(pictures) == 3
    np.testing.assert_allclose(pictures.astype(int), pictures[[0, 0, 0]].astype(int), atol=1)
    assert size_maps.shape == (3, 0, 0)


def test_a_mask_that_ends_where_nothing_more_was_seen_has_a_seam_there() -> None:
    """A window of 400 px on a wide photo, filled by the mask: the drawing's edge tells how it goes on."""
    window = Window(top=0, left=100, height=300, width=400, image_height=300, image_width=400)
    photo, mask = np.full((300, 600, 3), 100, np.uint8), np.zeros((300, 600), np.uint8)
    mask[100:200, 100:500] = 1
    drawn = window.put_back(np.full((300, 400, 3), 140, np.uint8), 300, 600, cv2.BORDER_REPLICATE)
    row = composite(photo, drawn, mask, feather=20)[150, :, 0].astype(int)
    assert (row[:100] == 100).all()
    assert row[100] < 105
    assert (np.diff(row[95:130]) >= 0).all()
    assert row[125] == 140


@pytest.mark.parametrize("feather", [32, 64])
def test_a_wide_seam_takes_off_ever_less_of_the_mean_difference_beside_it(feather: int) -> None:
    """Two columns in eight of the photo are brighter by 120, in the mean by 30."""
    photo, drawn = np.full((2, 128, 256, 3), 100, np.uint8)
    photo[:, np.isin(np.arange(256) % 8, (3, 4))] = 220
    mask = np.zeros((128, 256), np.uint8)
    mask[:, 128:] = 1
    row = composite(photo, drawn, mask, feather=feather)[64, 128:, 0].astype(int)
    depth = np.arange(1, 129)
    expected = 100 + 30 * np.clip(1 - depth / feather, 0, 1)
    np.testing.assert_allclose(row, expected, atol=1)


@pytest.mark.parametrize(("rows", "seam"), [(1024, 4.0), (512, 2.0), (96, 0.375)])
def test_a_seam_reaches_as_far_across_the_body_in_any_picture(rows: int, seam: float) -> None:
    assert DrawingOptions().seam_px(rows) == seam


def test_a_small_picture_has_no_seam_that_would_reach_across_a_strap(shared_base: SdxlBase) -> None:
    ratios, options = np.array([[1.0, 1.5, 0.9]]), [replace(PLAIN, seam=seam) for seam in (0.0, 4.0, 64.0)]
    none, usual, wide = (drawer(shared_base, None, one)(0, ratios) for one in options)
    np.testing.assert_array_equal(usual, none)
    assert options[2].seam_px(none.shape[1]) > 1
    assert not np.array_equal(wide, none)


def test_a_base_says_in_how_many_steps_it_is_drawn(shared_base: SdxlBase) -> None:
    assert steps_of(shared_base, DrawingOptions()) == 1
    assert steps_of(shared_base, DrawingOptions(num_steps=7)) == 7
    assert SdxlBase.usual_steps == 30


def test_a_base_says_how_much_its_caption_and_garment_weigh(base: SdxlBase) -> None:
    ratios, unsaid = np.array([[1.0, 1.5, 0.9]]), replace(PLAIN, text_guidance=None)
    plain, alone = (drawer(base, None, one)(0, ratios) for one in (replace(PLAIN, text_guidance=1.0), unsaid))
    np.testing.assert_array_equal(alone, plain)
    base.usual_guidance = 3.0  # type: ignore[misc]
    guided, said = (drawer(base, None, one)(0, ratios) for one in (unsaid, replace(PLAIN, text_guidance=3.0)))
    np.testing.assert_array_equal(guided, said)
    assert not np.array_equal(guided, plain)
    assert [kind.usual_guidance for kind in (SdxlBase, CatvtonBase, KleinBase)] == [2.0, 2.5, 4.0]
