"""Write the reports folder, all of it or nothing; equal results give equal bytes."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eval.images.meter import FIDELITY
from eval.ladder.pictures import strip
from eval.ladder.scoring import asked_cells
from eval.ladder.trials import Trials
from eval.report.card import lookup
from eval.report.page import Part, Report, render
from eval.report.summary import ADAPTER, masked_mean, without_nan
from preprocess.sizes.axes import AXIS_NAMES, FIT_AXIS
from preprocess.vocabulary import FIT_LABELS, Category
from preprocess.whole import whole_folder

READINGS = pa.schema(
    [
        pa.field("method", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("ladder", pa.string(), nullable=False),
        pa.field("rung", pa.int16(), nullable=False),
        *(pa.field(f"requested_{name}", pa.float64()) for name in AXIS_NAMES),
        *(pa.field(f"measured_{name}", pa.float64()) for name in AXIS_NAMES),
        *(pa.field(name, pa.float64()) for name in ("gfd", "hd95", "width_bias", "hem_error")),
    ]
)
"""readings.parquet: a row for every picture, null where it couldn't be measured. Ratios are dimensionless."""


LADDER_COLUMNS = ("requested", "measured", "gfd")
CONFUSION_COLUMNS = ("requested", "measured")


def write_report(report: Report, keys: Sequence[str], out: Path) -> None:
    """Write numbers, report.html, both strips, readings.parquet and DVC's plots below `out`.

    Raises:
        FileExistsError: Something else than a report lies there.
    """
    with whole_folder(out, METRICS_FILE) as partial:
        (partial / "plots").mkdir()
        metrics = json.dumps(report.metrics, indent=2, sort_keys=True, allow_nan=False)
        (partial / METRICS_FILE).write_text(metrics + "\n")
        headline = json.dumps(headline_figures(report.metrics), indent=2, allow_nan=False)
        (partial / HEADLINE_FILE).write_text(headline + "\n")
        (partial / "report.html").write_text(render(report), encoding="utf-8")
        for name, parts in (
            ("strip.png", [part.strip for part in report.parts]),
            ("strip_unpaired.png", [part.unpaired_strip for part in report.parts]),
        ):
            if any(parts):
                strip([row for rows in parts for row in rows]).save(partial / name, optimize=True)
        pq.write_table(readings(report.trials, keys), partial / "readings.parquet", compression="zstd")
        for place, part in enumerate(report.parts):
            write_plots(part, partial / "plots", f"{part.category}_" if place else "")


def write_plots(part: Part, folder: Path, prefix: str) -> None:
    """Write DVC's plots of a category; of all but the first one their names begin with it."""
    for dimension, name in enumerate(AXIS_NAMES):
        judged = ladder_points(part.trials[ADAPTER], dimension)
        write_csv(folder / f"{prefix}ladder_{name}.csv", LADDER_COLUMNS, judged)
    counts = part.metrics["size_accuracy"]["confusion"]
    write_csv(folder / f"{prefix}confusion.csv", CONFUSION_COLUMNS, confusion_points(counts))


METRICS_FILE, HEADLINE_FILE = "metrics.json", "headline.json"

FITTING = (
    *(f"ladder.{name}.{figure}" for name in AXIS_NAMES for figure in ("order_accuracy", "slope", "mae")),
    *(f"unpaired.{FIT_AXIS}.{figure}" for figure in ("order_accuracy", "slope", "mae")),
    "size_accuracy.balanced",
    "size_accuracy.coverage",
    "gfd.mean",
    "gfd.width_bias",
    "gfd.hem_error",
    "gfd.coverage",
)
"""Figures of headline.json that each category has."""

COUNTERFACTUAL = ("counterfactual.", "unpaired.counterfactual.")

HEADLINE = (
    *FITTING,
    *(f"{category}.{figure}" for category in Category for figure in FITTING),
    "image.ssim",
    "image.psnr",
    *(f"image.{which}{name}" for which in ("", *COUNTERFACTUAL) for name in FIDELITY),
    *(f"image.baselines.autoencoder.{name}" for name in ("psnr_garment", "garment_delta_e", "print_kept")),
    "image.lpips_alex",
    "image.fid",
    "image.unpaired.fid",
    "image.outside_mask_mean_abs_difference",
)
"""Figures of headline.json: few enough that `dvc metrics diff` can be read."""


def headline_figures(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The figures of `HEADLINE` that metrics.json has, by their dotted names."""
    found = {name: lookup(metrics, name) for name in HEADLINE}
    return {name: round(value, 6) for name, value in found.items() if isinstance(value, int | float)}


def readings(trials: Mapping[str, Trials], keys: Sequence[str]) -> pa.Table:
    """Every measured picture as a row of `READINGS`."""
    rows = [row for method, trial in trials.items() for row in reading_rows(method, trial, keys)]
    return pa.Table.from_pylist(rows, schema=READINGS)


def reading_rows(method: str, trials: Trials, keys: Sequence[str]) -> Iterator[dict[str, object]]:
    """Yield the rows of one method."""
    for cell in asked_cells(trials.requested):
        person, dimension, rung = cell
        row: dict[str, object] = {
            "method": method,
            "key": keys[person],
            "ladder": AXIS_NAMES[dimension],
            "rung": rung,
        }
        for kind, ratios in (("requested", trials.requested[cell]), ("measured", trials.measured[cell])):
            row |= {f"{kind}_{n}": value for n, value in zip(AXIS_NAMES, ratios.tolist(), strict=True)}
        row |= {n: float(getattr(trials, n)[cell]) for n in ("gfd", "hd95", "width_bias", "hem_error")}
        yield without_nan(row)


def ladder_points(trials: Trials, dimension: int) -> Iterator[dict[str, object]]:
    """Yield mean measured ratio and mean GFD of each rung of one ratio's ladder, if it was run."""
    requested, measured = trials.along(dimension)
    if not len(requested):
        return
    gfd = masked_mean(trials.gfd[:, dimension].T)
    for values in zip(requested.mean(axis=0), masked_mean(measured.T), gfd, strict=True):
        yield dict(zip(LADDER_COLUMNS, (round(float(value), 6) for value in values), strict=True))


def confusion_points(counts: Sequence[Sequence[int]]) -> Iterator[dict[str, object]]:
    """Yield one row for each picture of the confusion matrix, as DVC's `confusion` template wants it."""
    for asked, row in zip(FIT_LABELS, counts, strict=True):
        for found, count in zip(FIT_LABELS, row, strict=True):
            point: dict[str, object] = {"requested": asked, "measured": found}
            yield from [point] * count


def write_csv(path: Path, columns: Sequence[str], rows: Iterator[dict[str, object]]) -> None:
    """Write dicts with the keys `columns` as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
