"""Whose sizes the ladders follow."""

import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.report.data_summary import summarize_data
from eval.report.plots import data_histograms
from preprocess.garment.known import BOUNDS_PARTS, MAX_UNCERTAINTY_KEY
from preprocess.garment.size_ratios import thresholds_key
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.sources.same_photo import SAME_PHOTO
from preprocess.vocabulary import Category


def annotations(
    path: Path, ratios: dict[str, list[float | None]], another: tuple[str, float] | None = None
) -> Path:
    """Write rows by split; all axes of a row have its ratio and bounds at it. `another` is of a category."""
    measures = [f"{axis}_{part}" for axis in AXIS_NAMES for part in BOUNDS_PARTS]
    rows = [
        {
            "key": f"{split}{number}",
            "split": split,
            "category": "upper",
            "status": "failed" if ratio is None else "ok",
            "reason": None,
        }
        | dict.fromkeys(measures, ratio)
        for split, found in ratios.items()
        for number, ratio in enumerate(found)
    ]
    if another is not None:
        rows.append(rows[0] | {"category": another[0]} | dict.fromkeys(measures, another[1]))
    columns = dict.fromkeys(("key", "split", "category", "status", "reason"), pa.string()) | dict.fromkeys(
        measures, pa.float64()
    )
    schema = pa.schema(columns, metadata={MAX_UNCERTAINTY_KEY: b"0.1"})
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize(
    ("ratios", "split", "widths", "warned"),
    [
        ({"train": [1.0, 1.2], "test": [2.0]}, "train", [1.0, 1.2], False),
        ({"test": [2.0, None]}, "test", [2.0, float("nan")], False),
        ({"train": [None, None], "test": [1.5]}, "test", [1.5], True),
    ],
    ids=["train", "test alone", "nobody known in train"],
)
def test_ladders_follow_the_train_split_where_somebody_of_it_is_known(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    ratios: dict[str, list[float | None]],
    split: str,
    widths: list[float],
    warned: bool,
) -> None:
    with caplog.at_level(logging.WARNING):
        data = summarize_data(annotations(tmp_path / "sizes.parquet", ratios))
    assert data.sizes[Category.UPPER].trusted_split == split
    assert data.sizes[Category.UPPER].trusted[:, 1].tolist() == pytest.approx(widths, nan_ok=True)
    assert ("nobody known in its train split" in caplog.text) == warned


def test_a_table_that_knows_nobody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nobody known in train or test split"):
        summarize_data(annotations(tmp_path / "sizes.parquet", {"train": [None], "test": [None]}))


def test_garments_that_are_not_tried_on_set_no_range(tmp_path: Path) -> None:
    table = annotations(tmp_path / "sizes.parquet", {"train": [1.0, 1.2]}, another=("hat", 9.0))
    data = summarize_data(table)
    assert data.sizes[Category.UPPER].trusted[:, 1].tolist() == [1.0, 1.2]
    assert data.statuses == {"train": {"ok": 2}}


def test_photos_that_train_has_too_are_told(tmp_path: Path) -> None:
    path = annotations(tmp_path / "sizes.parquet", {"test": [1.0, 1.1], "train": [1.0, 1.2]})
    assert summarize_data(path).copies == (), "an earlier version's table doesn't tell"
    same = pa.array(["train/train0", None, None, "train/train0"])
    pq.write_table(pq.read_table(path).append_column(SAME_PHOTO, same), path)
    leaked, twice = summarize_data(path).copies
    assert leaked.endswith("aren't held out: 1, such as test/test0 is train/train0")
    assert twice == "photos that are in their split already: 1, such as train/train1 is train/train0"


def test_without_a_known_width_there_are_no_fit_labels(tmp_path: Path) -> None:
    path = annotations(tmp_path / "sizes.parquet", {"train": [1.0, 1.2]}, another=("dress", 2.0))
    table = pq.read_table(path)
    for part in BOUNDS_PARTS:
        column = table[f"width_{part}"].to_pylist()
        place = table.column_names.index(f"width_{part}")
        table = table.set_column(place, f"width_{part}", pa.array([*column[:-1], None], pa.float64()))
    stale = {thresholds_key(Category.DRESS): b"[1.0, 1.1, 1.2]"}
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | stale), path)
    sizes = summarize_data(path).sizes
    assert [len(own.thresholds) for own in sizes.values()] == [3, 0]
    assert "svg" in data_histograms(sizes[Category.DRESS].ratios, sizes[Category.DRESS].thresholds)


def test_each_category_has_a_range_and_fit_labels_of_its_own(tmp_path: Path) -> None:
    table = annotations(tmp_path / "sizes.parquet", {"train": [1.0, 1.2]}, another=("lower", 9.0))
    sizes = summarize_data(table).sizes
    assert list(sizes) == ["upper", "lower"]
    assert [own.trusted[:, 1].tolist() for own in sizes.values()] == [[1.0, 1.2], [9.0]]
    assert sizes[Category.UPPER].thresholds.tolist() == pytest.approx([1.04, 1.1, 1.16])
    assert sizes[Category.LOWER].thresholds.tolist() == [9.0, 9.0, 9.0]
