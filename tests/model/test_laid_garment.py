"""The garment's photo laid over the body."""

import numpy as np
import pytest
import torch
from torch import Tensor

from model.adapter.body_maps import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from model.bases.conditions import Photos
from model.bases.tiny.laid_garment import (
    LAID,
    UPPER,
    Flat,
    Mirrors,
    extent,
    lay_on_body,
)
from model.bases.tiny.networks import TinyPreset, build_tiny_base
from shards.batch import Batch
from tests.train.small_try_on import PRESET, batch

HEIGHT, WIDTH = 96, 72


def wearer(shoulders: tuple[float, float], torso: tuple[float, float]) -> Tensor:
    """(1, 25, 3) joints: the middle of the shoulders and the way from there to the hips, x and y in px."""
    joints = torch.full((1, 25, 3), torch.nan)
    start, along = torch.tensor(shoulders), torch.tensor(torso)
    left = torch.stack([along[1], -along[0]]) / 4
    for joint, at in (
        (RIGHT_SHOULDER, start - left),
        (LEFT_SHOULDER, start + left),
        (RIGHT_HIP, start + along - left / 2),
        (LEFT_HIP, start + along + left / 2),
    ):
        joints[0, joint] = torch.tensor([*at, 1.0])
    return joints


def flat() -> Tensor:
    """(1, 3, 96, 72): a garment of 50 rows and 40 columns on white, its print a dark square."""
    cloth = torch.ones(1, 3, HEIGHT, WIDTH)
    cloth[..., 20:70, 16:56] = 0.0
    cloth[..., 35:45, 31:41] = -1.0
    return cloth


def centre(shown: Tensor) -> tuple[float, float]:
    """Middle row and column of the (H, W) pixels that are set, in px from the edge."""
    rows, columns = (where.float() for where in torch.nonzero(shown, as_tuple=True))
    return rows.mean().item() + 0.5, columns.mean().item() + 0.5


def test_the_print_lies_where_the_body_wears_it() -> None:
    laid, known = lay_on_body(flat(), wearer((36.0, 30.0), (0.0, 20.0)), ["upper"])
    px = 20 * UPPER.height / 50  # the garment's 50 rows reach so far on a torso of 20 px
    near = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    near[30:45, 31:41] = True  # the mirror shows the print again further down
    assert known.tolist() == [True]
    assert centre((laid[0, 0] < -0.5) & near) == pytest.approx((30 + 20 * UPPER.top + 20 * px, 36.0), abs=0.3)
    assert ((laid[0, 0] < -0.5) & near).sum() == pytest.approx((10 * px) ** 2, rel=0.25)
    assert (laid[0, :, :26] > 0.999).all()  # above the garment its background
    assert (laid[0, :, 29:74] < 0.5).all()  # and cloth wherever one may be wide or long


def test_it_leans_with_the_torso_and_its_left_is_the_wearers() -> None:
    cloth = flat()
    cloth[..., 35:45, 31:41] = 0.0
    cloth[..., 35:45, 37:41] = -1.0  # on the right of the photo, which is the wearer's left
    laid, _ = lay_on_body(cloth, wearer((20.0, 48.0), (20.0, 0.0)), ["upper"])  # lying, hips to the right
    near = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    near[43:53, 20:36] = True
    row, column = centre((laid[0, 0] < -0.5) & near)
    px = 20 * UPPER.height / 50
    assert (row, column) == pytest.approx((48 - 3 * px, 20 + 20 * UPPER.top + 20 * px), abs=0.6)  # left is up


def test_trousers_lie_on_the_legs_and_a_dress_on_both() -> None:
    joints = wearer((36.0, 10.0), (0.0, 20.0))  # hips at row 30
    for joint, x, y in ((10, 33, 50), (13, 39, 50), (11, 33, 70), (14, 39, 70)):  # legs of 40 px
        joints[0, joint] = torch.tensor([x, y, 1.0])
    joints[0, [RIGHT_HIP, LEFT_HIP], 0] = torch.tensor([33.0, 39.0])
    first = {}
    for category, begins, length in (("lower", 30, 40), ("dress", 10, 20)):
        laid, known = lay_on_body(flat(), joints, [category])
        rows = torch.nonzero(laid[0, 0, :, 36] < 0.9).flatten()
        first[category] = begins + LAID[category].top * length
        assert known.item()
        assert rows[0].item() == pytest.approx(first[category], abs=1)
    both, _ = lay_on_body(flat().expand(2, -1, -1, -1), joints.expand(2, -1, -1), ["dress", "lower"])
    assert torch.equal(both[1], lay_on_body(flat(), joints, ["lower"])[0][0])
    joints[0, 10] = torch.nan
    assert not lay_on_body(flat(), joints, ["lower"])[1].item(), "without a knee there are no legs"


def test_beyond_its_photo_the_cloth_is_turned_back_and_again() -> None:
    mirrors = Mirrors(outer=torch.tensor([0.28]), inner=torch.tensor([0.12]), bottom=torch.tensor([1.05]))
    down, across = [-0.3, 0.5, 1.2, 1.6, 0.0], [0.1, 0.4, -0.4, 0.56, -0.7]
    a, b = mirrors.fold(torch.tensor([[down]]), torch.tensor([[across]]))
    assert a[0, 0].tolist() == pytest.approx([-0.3, 0.5, 0.9, 0.5, 0.0])
    assert b[0, 0].tolist() == pytest.approx([0.1, 0.16, -0.16, 0.24, -0.18], abs=1e-6)


def test_an_emblem_is_shown_once_however_wide_the_garment() -> None:
    torso = 40.0
    laid, _ = lay_on_body(flat(), wearer((36.0, 26.0), (0.0, torso)), ["upper"])
    dark = (laid[0, 0] < -0.5).any(0).nonzero().flatten()
    half = 5 * UPPER.height / 50 * torso  # the print's ten columns
    assert dark[0].item() == pytest.approx(36 - half, abs=1)
    assert dark[-1].item() == pytest.approx(35 + half, abs=1)


def test_a_collar_moves_nothing_below_it() -> None:
    collared = flat()
    collared[..., 12:20, 32:40] = 0.0
    (plain,), (bottom,), _ = extent(flat())
    (top,), (same,), _ = extent(collared)
    assert (top, same) == (pytest.approx(plain.item(), abs=0.2), bottom)


@pytest.mark.parametrize("colour", [-0.9, 0.7])
def test_edges_are_found_within_a_pixel_whatever_the_colour(colour: float) -> None:
    def edges(share: float) -> list[float]:
        cloth = torch.ones(1, 3, HEIGHT, WIDTH)
        cloth[..., 20:70, 16:56] = colour
        for row in (19, 70):
            cloth[..., row, 16:56] = 1 + share * (colour - 1)
        top, bottom, middle = extent(cloth)
        assert middle.item() == 36
        return [top.item(), bottom.item()]

    whole, half = edges(0.0), edges(0.5)
    assert whole == pytest.approx([20 - 1 / 6, 70], abs=0.01)
    assert half == pytest.approx([19 + 1 / 6, 70.5], abs=0.01)


def test_stripes_go_on_where_the_photo_ends() -> None:
    """In both directions, from whatever place the photo's stripes have."""
    length = 40.0
    joints = wearer((36.0, 26.0), (0.0, length))
    scale = 50 / UPPER.height
    for pitch in (0.11, 0.15):
        flat_print, worn = (
            0.4 * torch.cos(2 * torch.pi / pitch * (torch.arange(WIDTH) + 0.5 - 36) / px)
            for px in (scale, length)
        )
        cloth = flat()
        cloth[..., 20:70, 16:56] = flat_print[16:56]
        laid, _ = lay_on_body(cloth, joints, ["upper"])
        beyond = [*range(8, 24), *range(48, 64)]  # 0.3 lengths from the middle and more
        both = torch.stack([laid[0, 0, 50][beyond], worn[beyond]])
        assert torch.corrcoef(both)[0, 1] > 0.8


@pytest.mark.parametrize("pitch", [0.12, 0.14, 0.16])
def test_stripes_across_go_on_below_where_the_photo_ends(pitch: float) -> None:
    """The photo ends 1.12 lengths below the shoulders; what is laid is looked at from 1.11 to 1.49."""
    length, scale = 40.0, 50 / UPPER.height
    photo_a = (torch.arange(HEIGHT) + 0.5 - 20) / scale + UPPER.top
    worn_a = (torch.arange(HEIGHT) + 0.5 - 26) / length
    flat_print, worn = (0.2 * torch.cos(2 * torch.pi / pitch * a) for a in (photo_a, worn_a))
    cloth = flat()
    cloth[..., 20:70, 16:56] = flat_print[20:70, None]
    laid, _ = lay_on_body(cloth, wearer((36.0, 26.0), (0.0, length)), ["upper"])
    both = torch.stack([laid[0, 0, 70:86, 36], worn[70:86]])
    assert torch.corrcoef(both)[0, 1] > 0.8


def test_without_a_print_the_mirror_begins_as_late_as_it_may() -> None:
    cloth = flat()
    cloth[..., 20:70, 16:56] = 0.0
    mirrors = Flat.of(cloth, [UPPER]).mirrors()
    assert mirrors.outer.item() == pytest.approx(UPPER.half_width)
    assert mirrors.bottom.item() == pytest.approx(UPPER.bottom)


def test_a_torso_without_length_is_not_known() -> None:
    laid, known = lay_on_body(flat(), torch.full((1, 25, 3), 5.0), ["upper"])
    assert not known.item()
    assert laid.isfinite().all()


def test_where_the_torso_is_not_known_nothing_is_told() -> None:
    joints = wearer((36.0, 30.0), (0.0, 20.0))
    joints[0, LEFT_HIP, 2] = 0.0
    laid, known = lay_on_body(flat(), joints, ["upper"])
    assert known.tolist() == [False]
    assert laid.isfinite().all()
    base = build_tiny_base(PRESET, seed=0)
    people = batch()
    people.keypoints[1, RIGHT_HIP] = np.nan
    told = base.told(photos(people)).laid_garment
    assert (told[1] == 0).all()
    assert (told[[0, 2, 3]] != 0).any(dim=(1, 2, 3)).all()


def photos(people: Batch) -> Photos:
    """The batch as a base sees it."""
    return people  # type: ignore[return-value]


def test_it_changes_with_the_body_alone_and_never_with_the_worn_garment() -> None:
    base = build_tiny_base(PRESET, seed=0)
    people, others = batch(), batch()
    others.image[:] = 255 - others.image
    others.garment_mask[:] = 1 - others.garment_mask
    others.ratios[:] = 1.0
    one, other = (base.told(photos(some)).laid_garment for some in (people, others))
    assert torch.equal(one, other)
    others.keypoints[:, LEFT_HIP, 1] += 3
    assert not torch.equal(one, base.told(photos(others)).laid_garment)


def test_text_guidance_leaves_it_out_with_all_else_of_the_garment() -> None:
    base = build_tiny_base(PRESET, seed=0)
    told = base.told(photos(batch()))
    assert (told.unconditional().laid_garment == 0).all()
    some = told.unconditional(torch.tensor([True, False, False, True])).laid_garment
    assert (some[[0, 3]] == 0).all()
    assert torch.equal(some[1:3], told.laid_garment[1:3])


def test_the_try_on_unet_has_channels_for_it() -> None:
    assert TinyPreset(latent_channels=4).tryon_channels == 4 + 1 + 4 + 4 + 4


@torch.no_grad()
def test_where_the_unet_says_so_the_picture_is_the_laid_garment() -> None:
    base = build_tiny_base(PRESET, seed=0)
    last = base.tryon_unet.conv_out
    last.weight.zero_()
    last.bias[:] = torch.tensor(
        [0.0] * PRESET.latent_channels + [20.0]
    )  # nothing of its own, all of it shown
    told = base.told(photos(batch()))
    noise = torch.randn(told.canvas.shape, generator=torch.manual_seed(0))
    times = torch.full((len(noise),), 999)
    told = base.with_garment(told, times)
    clean = base.noising.clean_from(base.predict(noise, times, told), noise, times)
    torch.testing.assert_close(clean, told.laid_garment, atol=1e-4, rtol=1e-4)
    last.bias[-1] = -20.0
    clean = base.noising.clean_from(base.predict(noise, times, told), noise, times)
    torch.testing.assert_close(clean, torch.zeros_like(clean), atol=1e-4, rtol=0)
