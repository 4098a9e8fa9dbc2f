"""Paper dolls in trousers, shorts, skirts and dresses."""

from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from preprocess.body.densepose import DENSEPOSE_COLOURS
from preprocess.body.legs import LEG_JOINTS
from preprocess.sizes.axes import MEASURED_NAMES
from preprocess.sources.paper_dolls.dataset import PaperDolls, render_dataset
from preprocess.sources.paper_dolls.render import DollPicture
from preprocess.sources.paper_dolls.sample import (
    DRAWN,
    DollSample,
    described,
    doll_sample,
    flat_sample,
    render_sample,
    sample_of_key,
)
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import GARMENT_LABELS, Category, Lip, ParseLabels

MIXED = PaperDollParams(
    train=6,
    test=6,
    image_height=256,
    image_width=192,
    seed=3,
    categories=(Category.UPPER, Category.LOWER, Category.DRESS),
)
LOWER = PaperDollParams(train=1, test=2, seed=3, categories=(Category.LOWER,))
DRESS = replace(LOWER, categories=(Category.DRESS,))


def truth_ratios(sample: DollSample, picture: DollPicture) -> NDArray[np.float64]:
    return np.array([picture.truth[f"{name}_ratio"] for name in DRAWN[sample.category]])


@cache
def bottoms(count: int) -> tuple[tuple[DollSample, DollPicture], ...]:
    """Upright people whose garment of the lower body, and whose legs, are seen from top to hem."""
    samples = (doll_sample(LOWER, "train", index) for index in range(100))
    upright = (replace(sample, doll=replace(sample.doll, tilt_deg=0.0)) for sample in samples)
    drawn = ((sample, render_sample(LOWER, sample)) for sample in upright)
    return tuple(islice((one for one in drawn if is_whole(one[1])), count))


def is_whole(picture: DollPicture) -> bool:
    """Whether waist, hem and all joints of the legs are seen."""
    hidden = picture.truth["waist_covered"] or picture.truth["arm_hangs"] or not picture.truth["hem_in_frame"]
    return not hidden and bool(picture.keypoints[np.array(LEG_JOINTS), 2].all())


def counted(picture: DollPicture) -> NDArray[np.float64]:
    """docs/design.md's measures of somebody upright, counted pixel by pixel on the parse map."""
    hips, knees, ankles = (
        picture.keypoints[[leg[joint] for leg in LEG_JOINTS], :2] for joint in range(3)
    )  # right, left
    worn = np.isin(picture.parse, (Lip.PANTS, Lip.SKIRT))
    width = np.hypot(*(hips[1] - hips[0]))
    bones = [np.hypot(*(knees - hips).T), np.hypot(*(ankles - knees).T)]
    leg, thigh = (bones[0] + bones[1]).mean(), knees[:, 1].mean() - hips[:, 1].mean()
    middle, top = hips[:, 0].mean(), np.flatnonzero(worn.any(axis=1))[0]
    waist = [np.ptp(np.flatnonzero(row)) + 1 for row in worn[top + 1 : int(top + 0.05 * leg)]]
    first, last = (round(hips[0, 1] + share * thigh) for share in (0.35, 0.55))
    hem = np.flatnonzero(worn[:, round(middle - 0.8 * width) : round(middle + 0.8 * width)].any(axis=1))[-1]
    last = min(last, round(hem - 0.03 * thigh))
    down = (hem + 1 - hips[:, 1].mean()) / (ankles[:, 1].mean() - hips[:, 1].mean())
    return np.array([np.median(waist) / width, worn[first:last].sum(axis=1).mean() / width, down])


def test_truth_is_what_the_parse_map_shows_of_trousers_and_skirts() -> None:
    """The hem is counted along the picture's columns, not the bones, which lean by up to 5.5 degrees."""
    people = bottoms(12)
    assert {sample.design.kind for sample, _ in people} == {"trousers", "shorts", "skirt"}
    errors = np.array([counted(picture) / truth_ratios(sample, picture) - 1 for sample, picture in people])
    assert np.abs(np.median(errors, axis=0)).max() < 0.006
    assert np.abs(errors[:, :2]).max() < 0.02
    assert np.abs(errors[:, 2]).max() < 0.05


@pytest.mark.parametrize("params", [LOWER, DRESS], ids=["lower", "dress"])
def test_draws_the_ratios_that_were_asked_for(params: PaperDollParams) -> None:
    for index in range(8):
        sample = doll_sample(params, "train", index)
        np.testing.assert_allclose(
            truth_ratios(sample, render_sample(params, sample)), sample.ratios, rtol=2e-3
        )


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("params", [LOWER, DRESS], ids=["lower", "dress"])
def test_one_ratio_changes_alone(params: PaperDollParams, which: int) -> None:
    sample = doll_sample(params, "test", 1)
    bounds = [*DRAWN[sample.category].values()]
    for value in np.linspace(*bounds[which], 4):
        ratios = np.mean(bounds, axis=1)
        ratios[which] = value
        picture = render_sample(params, sample, ratios)
        np.testing.assert_allclose(truth_ratios(sample, picture), ratios, rtol=2e-3)


@pytest.mark.parametrize("params", [LOWER, DRESS], ids=["lower", "dress"])
def test_a_ladder_keeps_the_person_and_changes_only_the_garments_reach(params: PaperDollParams) -> None:
    sample = doll_sample(params, "test", 0)
    bounds = np.array([*DRAWN[sample.category].values()])
    middle = bounds.mean(axis=1)
    short, long = (render_sample(params, sample, np.array([*middle[:2], end])) for end in bounds[2])
    np.testing.assert_array_equal(short.densepose, long.densepose)
    np.testing.assert_array_equal(short.keypoints, long.keypoints)
    labels = GARMENT_LABELS[sample.category]
    worn = np.isin(short.parse, labels) | np.isin(long.parse, labels)
    far = cv2.dilate(worn.astype(np.uint8), np.ones((5, 5))) == 0
    np.testing.assert_array_equal(short.image[far], long.image[far])


def test_axes_are_drawn_independently_over_their_ranges() -> None:
    for params in (LOWER, DRESS):
        samples = [doll_sample(params, "train", index) for index in range(400)]
        ratios = np.array([sample.ratios for sample in samples])
        bounds = np.array([*DRAWN[samples[0].category].values()])
        ends = np.quantile(ratios, [0.02, 0.98], axis=0).T
        reached = (ends - bounds) / np.ptp(bounds, axis=1, keepdims=True)
        assert np.abs(reached).max() < 0.08
        assert np.abs(np.corrcoef(ratios.T) - np.eye(3)).max() < 0.15


def test_whoever_wears_a_top_in_a_mixed_set_is_the_doll_of_a_set_of_tops() -> None:
    alone = replace(MIXED, categories=(Category.UPPER,))
    for index in (0, 3):
        one, same = doll_sample(alone, "train", index), doll_sample(MIXED, "train", index)
        np.testing.assert_array_equal(render_sample(alone, one).image, render_sample(MIXED, same).image)
        assert described(one) == described(same)
    assert [doll_sample(MIXED, "test", index).category for index in range(3)] == list(MIXED.categories)
    assert sample_of_key(MIXED, "90004_00").category is Category.LOWER


def test_parse_map_and_densepose_show_legs_feet_and_what_is_worn() -> None:
    for sample, picture in bottoms(8):
        there = set(np.unique(picture.parse).tolist())
        assert {Lip.UPPER_CLOTHES, Lip.LEFT_SHOE, Lip.RIGHT_SHOE} <= there
        assert (Lip.SKIRT in there) == (sample.design.kind == "skirt")
        assert (Lip.PANTS in there) == (sample.design.kind != "skirt")
        assert np.isfinite(picture.keypoints).all()
        for part in (5, 6, 9, 10, 13, 14):
            assert (picture.densepose == DENSEPOSE_COLOURS[part]).all(axis=-1).any()


def test_a_flat_garment_tells_nothing_of_a_size() -> None:
    for params in (LOWER, DRESS):
        sample = doll_sample(params, "train", 0)
        other = replace(sample, ratios=sample.ratios * 0.9)
        cloth, mask = flat_sample(params, sample)
        np.testing.assert_array_equal(cloth, flat_sample(params, other)[0])
        rows, columns = np.nonzero(mask)
        assert max(np.ptp(rows) / 512, np.ptp(columns) / 384) > 0.85
        assert mask[:, 0].max() == mask[0].max() == 0


def test_captions_name_the_garment() -> None:
    captions = [described(doll_sample(LOWER, "train", index))["caption"] for index in range(12)]
    assert any("trousers" in words for words in captions)
    assert any(words.startswith("a ") and " skirt" in words for words in captions)
    assert "dress" in described(doll_sample(DRESS, "train", 0))["caption"]


def test_writes_several_categories_as_dress_code_does(tmp_path: Path) -> None:
    render_dataset(MIXED, tmp_path)
    samples = list(PaperDolls(tmp_path).samples())
    assert len({(sample.split, sample.key) for sample in samples}) == len(samples) == 12
    for sample in samples:
        parts = {name for name, _ in sample.parts()} - {"unpaired_cloth", "unpaired_cloth_mask"}
        assert parts == {"image", "cloth", "cloth_mask", "parse", "densepose", "openpose_json"}
        assert sample.caption
        assert sample.parse_labels is ParseLabels.LIP
    unpaired = {sample.key: sample.unpaired_key for sample in samples if sample.split == "test"}
    assert unpaired["90001_00"] == "90004_00"
    assert unpaired["90004_00"] == "90001_00"
    assert (tmp_path / "dresses" / "images" / "00002_00_0.jpg").is_file()
    truth = {row["key"]: row for row in pq.read_table(tmp_path / "truth.parquet").to_pylist()}
    assert {sample.key: str(sample.category) for sample in samples} == {
        key: row["category"] for key, row in truth.items()
    }
    lacking = [
        [name for name in MEASURED_NAMES if truth[f"0000{index}_00"][f"{name}_ratio"] is None]
        for index in range(3)
    ]
    assert lacking == [["waist"], ["shoulder"], ["waist"]]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"categories": ()}, "at least one of upper, lower and dress"),
        (
            {"categories": ("upper", "lower"), "test": 3},
            "train must be at least 2 and test 4, got 1200 and 3",
        ),
    ],
)
def test_categories_that_nobody_could_wear_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PaperDollParams(**given)
