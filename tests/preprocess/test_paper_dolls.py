from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from preprocess.body.densepose import DENSEPOSE_COLOURS
from preprocess.sources.paper_dolls.canvas import BodyView, cover
from preprocess.sources.paper_dolls.dataset import FEW_ENTRIES, PaperDolls, render_dataset
from preprocess.sources.paper_dolls.fabric import flat_cloth
from preprocess.sources.paper_dolls.garment import COLOURS, DRAWN, caption, clipped
from preprocess.sources.paper_dolls.render import DollPicture
from preprocess.sources.paper_dolls.sample import doll_sample, render_sample
from preprocess.sources.params import PaperDollParams
from preprocess.vocabulary import Joint, Lip

PARAMS = PaperDollParams(train=4, test=3, image_height=256, image_width=192, seed=3)
LARGE = PaperDollParams(train=1, test=2, seed=3)


def truth_ratios(picture: DollPicture) -> NDArray[np.float64]:
    return np.array([picture.truth[f"{name}_ratio"] for name in DRAWN])


def measured_on_parse(picture: DollPicture) -> NDArray[np.float64]:
    """Read docs/design.md's measures off the parse map, pixel by pixel, where no arm is near the panel."""
    xy = picture.keypoints[:, :2]
    shoulders, hips = xy[[Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER]], xy[[Joint.RIGHT_HIP, Joint.LEFT_HIP]]
    middle = shoulders.mean(axis=0)
    spine = hips.mean(axis=0) - middle
    torso, width = np.linalg.norm(spine), np.linalg.norm(shoulders[1] - shoulders[0])
    down = spine / torso
    left = np.array([down[1], -down[0]])
    step = 0.5
    a, b = np.arange(0, 1.8 * torso, step), np.arange(-1.6 * width, 1.6 * width, step)
    at = np.floor(middle + a[:, None, None] * down + b[:, None] * left).astype(int)
    height, breadth = picture.parse.shape
    inside = ((at >= 0) & (at < (breadth, height))).all(axis=-1)
    at = np.where(inside[..., None], at, 0)
    worn = (picture.parse[at[..., 1], at[..., 0]] == Lip.UPPER_CLOTHES) & inside
    shoulder = [np.ptp(b[row]) + step for row in worn[a <= 0.05 * torso]]
    panel = [run_at(row, len(b) // 2) * step for row in worn[(a >= 0.35 * torso) & (a <= 0.55 * torso)]]
    near = np.abs(b) <= 0.25 * width
    hem = [a[column].max() for column in worn[:, near].T]
    panel = [run for run in panel if run]
    return np.array([np.median(shoulder) / width, np.mean(panel) / width, np.percentile(hem, 99) / torso])


def run_at(row: NDArray[np.bool_], centre: int) -> int:
    """Length of the run of True around `centre`."""
    if not row[centre]:
        return 0
    gaps = np.flatnonzero(~row)
    return int(gaps[gaps > centre].min() - gaps[gaps < centre].max() - 1)


def clear_samples(count: int) -> list[DollPicture]:
    """Dolls whose arms are clear of the garment and whose trunk was detected whole."""
    trunk = [Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER, Joint.RIGHT_HIP, Joint.LEFT_HIP]
    pictures = (render_sample(LARGE, doll_sample(LARGE, "train", index)) for index in range(100))
    clear = (
        picture
        for picture in pictures
        if not (picture.truth["arm_touches_panel"] or picture.truth["sleeve_touches_panel"])
        and not picture.truth["hand_raised"]
        and picture.keypoints[trunk, 2].all()
        and (picture.parse[-1] != Lip.UPPER_CLOTHES).all()
    )
    return [next(clear) for _ in range(count)]


def test_truth_is_what_the_parse_map_measures() -> None:
    pictures = clear_samples(8)
    errors = np.array([measured_on_parse(picture) / truth_ratios(picture) - 1 for picture in pictures])
    assert np.abs(np.median(errors, axis=0)).max() < 0.005
    assert np.abs(errors).max() < 0.02


@pytest.mark.parametrize("index", range(6))
def test_draws_the_ratios_that_were_asked_for(index: int) -> None:
    sample = doll_sample(PARAMS, "train", index)
    np.testing.assert_allclose(truth_ratios(render_sample(PARAMS, sample)), sample.ratios, rtol=1e-3)


@pytest.mark.parametrize("which", range(3))
def test_one_ratio_changes_alone(which: int) -> None:
    sample = doll_sample(PARAMS, "test", 1)
    for value in np.linspace(*[*DRAWN.values()][which], 4):
        ratios = np.array([1.1, 1.2, 1.0])
        ratios[which] = value
        np.testing.assert_allclose(truth_ratios(render_sample(PARAMS, sample, ratios)), ratios, rtol=1e-3)


def test_a_ladder_keeps_the_person_and_changes_only_the_garments_reach() -> None:
    sample = doll_sample(PARAMS, "test", 0)
    small, large = (render_sample(PARAMS, sample, np.array([1.1, width, 1.0])) for width in (0.9, 1.8))
    np.testing.assert_array_equal(small.densepose, large.densepose)
    np.testing.assert_array_equal(small.keypoints, large.keypoints)
    assert (large.parse == Lip.UPPER_CLOTHES).sum() > 1.3 * (small.parse == Lip.UPPER_CLOTHES).sum()
    worn = (small.parse == Lip.UPPER_CLOTHES) | (large.parse == Lip.UPPER_CLOTHES)
    far = cv2.dilate(worn.astype(np.uint8), np.ones((5, 5))) == 0
    np.testing.assert_array_equal(small.image[far], large.image[far])


def test_a_garment_too_small_shows_the_body_beside_it() -> None:
    sample = doll_sample(PARAMS, "test", 0)
    small, large = (render_sample(PARAMS, sample, np.array([1.1, width, 1.0])) for width in (0.8, 1.5))
    assert (small.parse == Lip.TORSO_SKIN).sum() > (large.parse == Lip.TORSO_SKIN).sum()


def test_the_same_seed_draws_the_same_bytes_and_another_draws_others(tmp_path: Path) -> None:
    params = replace(PARAMS, train=2, test=2)
    for folder, chosen in (("a", params), ("b", params), ("c", replace(params, seed=4))):
        render_dataset(chosen, tmp_path / folder)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 4 * 6 + 4
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    image = "train/image/00000_00.jpg"
    assert (tmp_path / "a" / image).read_bytes() != (tmp_path / "c" / image).read_bytes()


def test_worker_processes_draw_what_one_process_draws(tmp_path: Path) -> None:
    small = replace(PARAMS, image_height=64, image_width=48)
    render_dataset(replace(small, train=FEW_ENTRIES, test=2), tmp_path / "many")
    render_dataset(replace(small, train=2, test=2), tmp_path / "one")
    for file in (path.relative_to(tmp_path / "one") for path in (tmp_path / "one" / "train").rglob("*.*")):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "many" / file).read_bytes(), file


def test_more_people_change_nobody() -> None:
    more = replace(PARAMS, train=400, test=90)
    for split in ("train", "test"):
        one, same = doll_sample(PARAMS, split, 2), doll_sample(more, split, 2)
        assert (one.key, one.doll, one.design) == (same.key, same.doll, same.design)
        np.testing.assert_array_equal(one.ratios, same.ratios)
    assert doll_sample(PARAMS, "train", 0).doll != doll_sample(PARAMS, "test", 0).doll


def test_the_cloth_photo_shows_the_design_and_nothing_of_a_size() -> None:
    design = doll_sample(PARAMS, "train", 0).design
    cloth, mask = flat_cloth(design, 256, 192)
    rows, columns = np.nonzero(mask)
    assert max(np.ptp(rows) / 256, np.ptp(columns) / 192) > 0.85
    assert mask[:, 0].max() == mask[0].max() == 0
    centre = cloth[150, 96].astype(int)
    assert np.abs(centre - COLOURS[design.colour]).max() < 90 or design.pattern != "plain"
    assert all(word not in caption(design) for word in ("size", "loose", "tight", "long ", "wide"))


def test_densepose_shows_the_torso_under_the_garment_in_vitonhds_colours() -> None:
    picture = render_sample(PARAMS, doll_sample(PARAMS, "train", 1))
    torso = (picture.densepose == (20, 80, 194)).all(axis=-1)
    assert (torso & (picture.parse == Lip.UPPER_CLOTHES)).sum() > 0.05 * torso.size
    colours = {tuple(colour) for colour in DENSEPOSE_COLOURS.tolist()}
    assert {
        tuple(colour) for colour in np.unique(picture.densepose.reshape(-1, 3), axis=0).tolist()
    } <= colours


def test_keypoints_are_the_joints_truth_is_measured_from() -> None:
    picture = render_sample(PARAMS, doll_sample(PARAMS, "train", 1))
    right, left = picture.keypoints[[Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER], :2]
    assert left[0] > right[0]
    assert np.linalg.norm(left - right) == pytest.approx(picture.truth["body_shoulder_px"], abs=0.01)


def test_writes_vitonhds_layout(tmp_path: Path) -> None:
    render_dataset(PARAMS, tmp_path)
    samples = list(PaperDolls(tmp_path).samples())
    assert [(sample.split, sample.key) for sample in samples][::4] == [
        ("train", "00000_00"),
        ("test", "90000_00"),
    ]
    for sample in samples:
        parts = {name for name, _ in sample.parts()} - {"unpaired_cloth", "unpaired_cloth_mask"}
        assert parts == {"image", "cloth", "cloth_mask", "parse", "densepose", "openpose_json"}
        assert sample.caption
    assert [s.unpaired_key for s in samples if s.split == "test"] == ["90001_00", "90002_00", "90000_00"]
    truth = pq.read_table(tmp_path / "truth.parquet").to_pylist()
    assert [row["key"] for row in truth] == [sample.key for sample in samples]


def test_a_polygon_covers_the_pixels_it_reaches_half_of() -> None:
    square = np.array([(2.0, 3.0), (6.5, 3.0), (6.5, 5.0), (2.0, 5.0)])
    patch = cover(square, 10, 10)
    assert patch is not None
    covered = np.zeros((10, 10))
    covered[patch.where] = patch.coverage / 255
    assert covered.sum() == pytest.approx(9, abs=1.8)
    assert cover(square + 20, 10, 10) is None


def test_body_coordinates_map_to_pixels_and_back() -> None:
    view = BodyView(np.array([20.0, 10.0]), 30.0, 8.0)
    patch = cover(np.array([(15.0, 12.0), (25.0, 12.0), (25.0, 30.0)]), 60, 40)
    assert patch is not None
    a, b = view.to_body(patch)
    corner = view.to_image(np.array([[a[0, 0], b[0, 0]]]))[0]
    np.testing.assert_allclose(corner, (patch.columns.start + 0.5, patch.rows.start + 0.5), atol=1e-4)


def test_clips_a_polygon_at_a_line() -> None:
    square = np.array([(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)])
    kept = clipped(square, square[:, 0] - 1)
    assert sorted(map(tuple, kept.tolist())) == [(1, 0), (1, 2), (2, 0), (2, 2)]


def test_too_many_people_for_five_digits_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 90000"):
        PaperDollParams(train=90_001)
