"""`cinderella try-on`: one person, a table or shards; what is finished is kept, what is bad does no harm."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from model.params import DrawingOptions, MemorySwitches
from pipeline.cli.app import app
from pipeline.cli.without_dvc import DataChain
from pipeline.tryon.batch import write_fittings
from pipeline.tryon.loading import load_tryon
from pipeline.tryon.outfits import FilesFitting, beside, shard_fittings, table_fittings
from pipeline.tryon.pictures import file_name, ladder_order, told_pictures, write_fitting
from pipeline.tryon.preview import prepare_for_preview, preview, write_preview
from pipeline.tryon.size_aware import SizeAwareTryOn, SizeRequest
from pipeline.tryon.size_list import NamedSize, SizeChoice, ladder_sizes
from preprocess.body.inpaint_mask import MaskParams
from preprocess.person.prepare import PreparedPerson, prepare_person
from preprocess.sizes.axes import axes_of
from preprocess.vocabulary import Category, Joint
from tests.pipeline.fitting import files_of

FAST = DrawingOptions(num_steps=1)
SIZES = [NamedSize(name="M", request=SizeRequest(width=1.2)), NamedSize(name="10/12", request=SizeRequest())]


def fitting(artifacts: Path) -> FilesFitting:
    files = files_of(artifacts)
    person, garment = files["person"], files["garment"]
    return FilesFitting(key="ann", person=person, garment=garment, given=beside(person))


def test_pictures_strip_and_report_are_written(
    fitting_artifacts: Path, tryon: SizeAwareTryOn, tmp_path: Path
) -> None:
    outfit = fitting(fitting_artifacts).load(tryon)
    report = write_fitting(tryon, outfit.person, outfit.garment, SIZES, FAST, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "fit.json").read_text()) == report
    assert [entry["picture"] for entry in report["sizes"]] == ["00_M.png", "01_10_12.png"]
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "00_M.png",
        "01_10_12.png",
        "strip.png",
        "fit.json",
    }
    with Image.open(tmp_path / "out" / "00_M.png") as picture:
        assert picture.size == (96, 128)
    assert [entry["pixels_changed_outside_mask"] for entry in report["sizes"]] == [0, 0]
    assert report["sizes"][0]["regions"]["width"]["requested"] == 1.2
    assert report["notes"] == []
    assert report["keypoint_source"] == "openpose"


def test_what_viton_hd_keeps_beside_a_photo_is_found(fitting_artifacts: Path, tmp_path: Path) -> None:
    files = files_of(fitting_artifacts)
    assert beside(files["person"]) == {name: files[name] for name in ("keypoints", "parse", "densepose")}
    assert beside(tmp_path / "me.jpg") == {}


def test_sizes_come_from_one_place(tmp_path: Path) -> None:
    (tmp_path / "chart.csv").write_text("size,chest_cm\nS,96\nXL,122\n")
    (tmp_path / "wearer.yaml").write_text("chest_cm: 92\nheight_cm: 172\n")
    chart = {"chart": tmp_path / "chart.csv", "wearer": tmp_path / "wearer.yaml"}
    assert [size.name for size in SizeChoice(**chart).named()] == ["S", "XL"]
    assert [size.name for size in SizeChoice(**chart, sizes="XL").named()] == ["XL"]
    assert SizeChoice(steps="-1,0,2").named()[0] == NamedSize(
        name="-1 steps", request=SizeRequest.natural(-1)
    )
    assert SizeChoice(size=("width=1.4", "width=1.6")).named()[1].request == SizeRequest(width=1.6)
    assert SizeChoice().named() == [NamedSize(name="natural", request=SizeRequest.natural())]
    for choice, message in (
        (SizeChoice(size=("width=1",), steps="0"), "got several"),
        (SizeChoice(chart=tmp_path / "chart.csv"), "both --chart and --wearer"),
        (SizeChoice(sizes="S"), "both --chart and --wearer"),
        (SizeChoice(steps="a"), "steps must be numbers"),
        (SizeChoice(steps=",".join("0" * 30)), "at most 24 sizes"),
    ):
        with pytest.raises(ValueError, match=message):
            choice.named()


def test_a_ladder_rises_in_one_ratio() -> None:
    rungs = ladder_sizes("width", 1.0, 2.0, 3)
    assert [rung.request for rung in rungs] == [SizeRequest(width=v, steps=0) for v in (1.0, 1.5, 2.0)]
    report = {
        "sizes": [
            {"regions": {"width": {"requested": asked, "measured": found}}}
            for asked, found in ((1.0, 1.1), (1.5, 1.4), (2.0, 1.3))
        ]
    }
    assert ladder_order(report, "width") == "67 % of the pairs of pictures stand in the requested order"
    for ratio, lowest, highest, count in (("waist", 1, 2, 3), ("width", 2, 1, 3), ("width", 1, 2, 1)):
        with pytest.raises(ValueError, match="must"):
            ladder_sizes(ratio, lowest, highest, count)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "=cmd|'/c calc'!A1", "<img src=x>", "a\0b", "/", "x" * 500]
)
def test_hostile_names_make_harmless_files(name: str) -> None:
    made = file_name(name)
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+=-_")
    assert len(made) <= 60


@pytest.fixture
def table(fitting_artifacts: Path, tmp_path: Path) -> Path:
    """A table of two good rows among rows of every bad kind."""
    shutil.copytree(fitting_artifacts / "raw", tmp_path / "data" / "raw")
    person, garment = "raw/test/image/90000_00.jpg", "raw/test/cloth/90001_00.jpg"
    joints = "raw/test/openpose_json/90000_00_keypoints.json"
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "data" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "data" / "broken.jpg").write_bytes(b"\xff\xd8\xff no")
    rows = [
        "key,person,garment,keypoints,caption",
        f"ann,{person},{garment},{joints},a <b>shirt</b>",
        f"bob,{person},{garment},{joints},=1+1",
        f"ann,{person},{garment},{joints},twice",
        f"../../out,{person},{garment},{joints},key",
        f"=HYPERLINK(1),{person},{garment},{joints},key",
        f"away,../secret.jpg,{garment},{joints},path",
        f"link,link.jpg,{garment},{joints},path",
        f"gone,nobody.jpg,{garment},{joints},path",
        f"broken,broken.jpg,{garment},{joints},picture",
        f"none,,{garment},{joints},column",
        f"more,{person},{garment},{joints},a,b,c",
    ]
    path = tmp_path / "data" / "people.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


REASONS = {
    "ann": "the key is there twice",
    "../../out": "key must be letters",
    "=HYPERLINK(1)": "key must be letters",
    "away": "files must lie below",
    "link": "files must lie below",
    "gone": "No such file",
    "broken": "must be a whole picture",
    "none": "person is missing",
    "more": "more cells than the header",
}


def test_a_row_says_what_it_tries_on(fitting_artifacts: Path) -> None:
    files = files_of(fitting_artifacts)
    root = files["person"].parents[2]
    person, garment = (files[name].relative_to(root) for name in ("person", "garment"))
    rows = [f"{person},{garment},{category}" for category in ("lower", "", "sock")]
    (root / "worn.csv").write_text("\n".join(["person,garment,category", *rows]) + "\n")
    legs, usual, odd = table_fittings(root / "worn.csv", Category.DRESS)
    assert [one.files().category for one in (legs, usual)] == ["lower", "dress"]
    assert legs.digest() != usual.digest()
    with pytest.raises(ValueError, match="category must be one of upper, lower, dress, got 'sock'"):
        odd.files()
    shown = SIZES[1].of_category(Category.LOWER)
    assert (shown.name, shown.request.category) == ("10/12", "lower")
    shirt = NamedSize(name="S", request=SizeRequest(length=1.25), charted=True)
    with pytest.raises(ValueError, match="the chart is of garments of upper, not of dress"):
        shirt.of_category(Category.DRESS)
    with pytest.raises(ValueError, match="width of upper is over the shoulder"):
        SIZES[0].of_category(Category.LOWER)
    with pytest.raises(ValueError, match="lower has the axes waist, width, length, got shoulder"):
        NamedSize(name="M", request=SizeRequest(shoulder=1.2)).of_category(Category.LOWER)


def test_a_row_finds_what_lies_beside_its_photo_below_the_tables_folder(fitting_artifacts: Path) -> None:
    files = files_of(fitting_artifacts)
    root, person = files["person"].parents[2], files["person"]
    (root / "short.csv").write_text(
        f"person,garment\n{person.relative_to(root)},{person.relative_to(root)}\n"
    )
    (row,) = table_fittings(root / "short.csv")
    assert row.files().given == beside(person)
    assert {path.relative_to(root).parts[1] for path in beside(person).values()} == {
        "openpose_json",
        "image-parse-v3",
        "image-densepose",
    }
    (root / "named.csv").write_text(
        f"person,garment,parse\n{person.relative_to(root)},{person.relative_to(root)},short.csv\n"
    )
    (row,) = table_fittings(root / "named.csv")
    assert row.files().given == beside(person) | {"parse": root / "short.csv"}
    (person.parent / "here.csv").write_text(f"person,garment\n{person.name},{person.name}\n")
    (row,) = table_fittings(person.parent / "here.csv")
    assert row.files().given == {}


def results(out: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_bad_rows_are_reported_and_the_rest_is_drawn(
    tryon: SizeAwareTryOn, table: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    with caplog.at_level(logging.WARNING):
        counts = write_fittings(tryon, table_fittings(table), SIZES, FAST, out)
    assert counts == {"drawn": 2, "failed": 9}
    failed = {row["key"]: row["reason"] for row in results(out) if row["status"] == "failed"}
    assert failed.keys() == REASONS.keys()
    assert all(REASONS[key] in reason for key, reason in failed.items())
    assert {path.name for path in out.iterdir()} == {"ann", "bob", "results.jsonl"}
    assert "secret" not in "".join(path.read_text() for path in out.rglob("*.json*")).replace(
        "secret.jpg", ""
    )
    assert not (tmp_path.parent / "out").exists()


def test_finished_rows_are_kept_and_unfinished_ones_drawn_again(
    tryon: SizeAwareTryOn, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write_fittings(tryon, table_fittings(table), SIZES, FAST, out)
    times = {path: path.stat().st_mtime_ns for path in (out / "bob").iterdir()}
    (out / "ann" / "fit.json").unlink()  # as if stopped before the end
    counts = write_fittings(tryon, table_fittings(table), SIZES, FAST, out)
    assert counts == {"drawn": 1, "kept": 1, "failed": 9}
    assert {path: path.stat().st_mtime_ns for path in (out / "bob").iterdir()} == times
    counts = write_fittings(tryon, table_fittings(table), SIZES[:1], FAST, out)
    assert counts["drawn"] == 2, "other sizes are other pictures"


def test_rows_of_other_networks_masks_or_tiles_are_drawn_again(
    fitting_artifacts: Path, table: Path, tmp_path: Path
) -> None:
    tryon = load_tryon(fitting_artifacts, "cpu", pose_model=tmp_path / "pose.task")

    def num_drawn() -> int:
        return write_fittings(tryon, table_fittings(table), SIZES[:1], FAST, tmp_path / "out")["drawn"]

    assert [num_drawn(), num_drawn()] == [2, 0]
    for text in ("one pose model", "another"):
        (tmp_path / "pose.task").write_text(text)
        assert [num_drawn(), num_drawn()] == [2, 0]
    tryon.save_memory(MemorySwitches(batch_size=1), "cpu")
    assert num_drawn() == 0, "one size after the other makes the same pictures"
    tryon.save_memory(MemorySwitches(vae_tiling=True), "cpu")
    assert num_drawn() == 2
    tryon.mask = replace(tryon.mask, margin=0.2)
    assert num_drawn() == 2


def test_samples_of_shards_are_tried_on(
    fitting_artifacts: Path, tryon: SizeAwareTryOn, tmp_path: Path
) -> None:
    chain = DataChain(source="viton_hd", root=fitting_artifacts / "raw", split="test")
    chain.shard("test", tmp_path, tmp_path / "shards")
    fittings = list(shard_fittings(tmp_path / "shards" / "test"))
    counts = write_fittings(tryon, fittings, SIZES[:1], FAST, tmp_path / "out")
    assert counts["drawn"] >= 3
    assert counts["drawn"] + counts["failed"] == len(fittings) == 4
    key = next(row["key"] for row in results(tmp_path / "out") if row["status"] == "drawn")
    report = json.loads((tmp_path / "out" / key / "fit.json").read_text())
    assert report["natural"]["width"] == pytest.approx(natural_width(fittings, key, tryon), abs=1e-6)
    assert write_fittings(tryon, fittings, SIZES[:1], FAST, tmp_path / "out")["kept"] == counts["drawn"]


def natural_width(fittings: list, key: str, tryon: SizeAwareTryOn) -> float:
    (found,) = (fitting.load(tryon) for fitting in fittings if fitting.key == key)
    return found.person.natural_size["width"]


@pytest.mark.parametrize("text", ["", "person\nx\n", "person,garment,person\n", "person,garment,=1\n"])
def test_what_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "people.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match="must have the columns person and garment"):
        list(table_fittings(path))


def test_the_command_says_what_is_wrong(fitting_artifacts: Path, tmp_path: Path) -> None:
    files = files_of(fitting_artifacts)
    person = ["--person", str(files["person"]), "--garment", str(files["garment"])]
    for arguments, message in (
        (["--out", "x"], "exactly one of --person, --table and --shards"),
        ([*person, "--out", "x", "--size", "wide=2"], "a size must be like"),
        ([*person[:2], "--out", "x"], "--person needs --garment"),
        (["--table", "t.csv", *person[2:], "--caption", "red", "--out", "x"], "--garment, --caption go with"),
        (["--shards", "s", "--parse", "p.png", "--out", "x"], "--parse go with --person"),
        (["--shards", "memory://none/test", "--out", "x"], "memory://none/test/index.json"),
        ([*person, "--out", "x", "--model", str(tmp_path)], "make repro"),
        ([*person, "--out", "x", "--preview"], "with --person alone, not --garment"),
        (["--table", "t.csv", "--out", "x", "--preview"], "with --person alone"),
    ):
        result = CliRunner().invoke(app, ["try-on", *arguments])
        assert isinstance(result.exception, ValueError | OSError)
        assert message in str(result.exception)


def test_a_preview_needs_no_network_and_says_what_it_is(fitting_artifacts: Path, tmp_path: Path) -> None:
    photo = files_of(fitting_artifacts)["person"]
    arguments = ["--person", str(photo), "--preview", "--steps", "0,2", "--model", str(tmp_path / "none")]
    CliRunner().invoke(app, ["try-on", *arguments, "--out", str(tmp_path)], catch_exceptions=False)
    report = json.loads((tmp_path / "fit.json").read_text())
    assert report["preview"]
    assert report["notes"][-1].startswith("a preview")
    natural, larger = report["sizes"]
    for name, region in larger["regions"].items():
        assert region["requested"] > report["natural"][name]
        assert region["measured"] == pytest.approx(region["requested"], rel=0.03)
    own = np.asarray(Image.open(photo))
    same, changed = (np.asarray(Image.open(tmp_path / entry["picture"])) for entry in (natural, larger))
    assert own.shape == same.shape == changed.shape
    bottom = round(0.9 * len(own))  # the mark stands below
    np.testing.assert_array_equal(same[:bottom], own[:bottom])
    assert (same[bottom:] != own[bottom:]).any()
    assert (changed[:bottom] != own[:bottom]).any()


@pytest.fixture
def worn(fitting_artifacts: Path) -> PreparedPerson:
    """A person ready for a preview, whose width in the photo isn't known."""
    photo = files_of(fitting_artifacts)["person"]
    person = prepare_for_preview(photo, beside(photo))
    assert person.natural_size is not None
    known = {name: ratio for name, ratio in person.natural_size.asked if name != "width"}
    return replace(person, natural_size=SizeRequest.of(known))


def test_a_preview_says_what_it_can_not_resize_and_what_it_moved(
    worn: PreparedPerson, tmp_path: Path
) -> None:
    sizes = [
        NamedSize(name="wide", request=SizeRequest(width=1.8)),
        NamedSize(name="long", request=SizeRequest(width=9, length=9)),
    ]
    report = write_preview(worn, sizes, tmp_path, clamp=True)
    wide, long = report["sizes"]
    note = "width was asked for, but stays as it is: its ratio in the photo isn't known"
    assert [line for line in report["notes"] if "stays as it is" in line] == [note]
    assert wide["regions"]["width"]["requested"] is None
    assert wide["clamped"] == []
    longest = axes_of(Category.UPPER)["length"].asked
    assert long["clamped"] == [f"length: 9 asked for, {longest[1]:.3g} drawn ({longest[0]} to {longest[1]})"]
    assert json.loads((tmp_path / "fit.json").read_text()) == report


def test_a_folder_has_the_pictures_of_its_last_run_alone(worn: PreparedPerson, tmp_path: Path) -> None:
    """Of another person, or at other sizes, they would pass for this one's; what isn't ours stays."""
    (tmp_path / "01_mine.png").write_bytes(b"")
    wide, long = (SizeRequest(width=1.8), SizeRequest(length=1.1))
    for sizes in ({"long": long, "wide": wide}, {"wide": wide}):
        write_preview(worn, [NamedSize(name=name, request=size) for name, size in sizes.items()], tmp_path)
    expected = ["00_wide.png", "01_mine.png", "fit.json", "strip.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == expected
    (tmp_path / "fit.json").write_text(
        '{"sizes": [{"picture": "../elsewhere.png"}, {"picture": "mine.png"}]}'
    )
    assert told_pictures(tmp_path / "fit.json") == []


def test_no_garment_is_resized_that_leaves_the_chest_bare(worn: PreparedPerson) -> None:
    assert worn.garment_mask is not None
    belt = worn.garment_mask.copy()
    waist = worn.keypoints.xy[[Joint.LEFT_SHOULDER, Joint.LEFT_HIP], 1].mean()
    belt[: round(waist)] = False
    assert belt.any()
    with pytest.raises(ValueError, match="nothing of it covers the shoulders and the chest"):
        preview(replace(worn, garment_mask=belt), [SizeRequest.natural(1)])


def test_nobody_is_shown_in_a_garment_that_is_not_known(fitting_artifacts: Path) -> None:
    files = files_of(fitting_artifacts)
    joints = beside(files["person"])["keypoints"]
    person = prepare_person(files["person"], keypoints=joints, mask=MaskParams())
    with pytest.raises(ValueError, match="give a parse map"):
        preview(person, [SizeRequest.natural(1)])
