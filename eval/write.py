"""Write the reports folder, all of it or nothing; equal results give equal bytes."""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eval.pictures import strip
from eval.report import Report, render
from eval.scoring import asked_cells
from eval.summary import masked_mean
from eval.trials import Trials
from preprocess.vocabulary import FIT_LABELS, SIZE_RATIOS

READINGS = pa.schema(
    [
        pa.field("method", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("ladder", pa.string(), nullable=False),
        pa.field("rung", pa.int16(), nullable=False),
        *(pa.field(f"requested_{name}", pa.float64()) for name in SIZE_RATIOS),
        *(pa.field(f"measured_{name}", pa.float64()) for name in SIZE_RATIOS),
        *(pa.field(name, pa.float64()) for name in ("gfd", "hd95", "width_bias", "hem_error")),
    ]
)
"""readings.parquet: a row for every picture, null where it couldn't be measured. Ratios are dimensionless."""


LADDER_COLUMNS = ("method", "ratio", "requested", "measured", "gfd")
CONFUSION_COLUMNS = ("requested", "measured")


def write_report(report: Report, keys: Sequence[str], out: Path) -> None:
    """Write metrics.json, report.html, strip.png, readings.parquet and the DVC plots below `out`."""
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "plots").mkdir(parents=True)
    metrics = json.dumps(report.metrics, indent=2, sort_keys=True, allow_nan=False)
    (partial / "metrics.json").write_text(metrics + "\n")
    (partial / "report.html").write_text(render(report), encoding="utf-8")
    strip(report.strip).save(partial / "strip.png", optimize=True)
    pq.write_table(readings(report.trials, keys), partial / "readings.parquet", compression="zstd")
    write_csv(partial / "plots" / "ladder.csv", LADDER_COLUMNS, ladder_points(report.trials))
    counts = report.metrics["size_accuracy"]["confusion"]
    write_csv(partial / "plots" / "confusion.csv", CONFUSION_COLUMNS, confusion_points(counts))
    shutil.rmtree(out, ignore_errors=True)
    partial.replace(out)


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
            "ladder": SIZE_RATIOS[dimension],
            "rung": rung,
        }
        row |= {
            f"requested_{n}": v for n, v in zip(SIZE_RATIOS, trials.requested[cell].tolist(), strict=True)
        }
        row |= {f"measured_{n}": known(v) for n, v in zip(SIZE_RATIOS, trials.measured[cell], strict=True)}
        row |= {n: known(getattr(trials, n)[cell]) for n in ("gfd", "hd95", "width_bias", "hem_error")}
        yield row


def known(value: float) -> float | None:
    """None for NaN."""
    return None if np.isnan(value) else float(value)


def ladder_points(trials: Mapping[str, Trials]) -> Iterator[dict[str, object]]:
    """Yield mean measured ratio and mean GFD by method, ratio and rung, for `dvc plots`."""
    for method, trial in trials.items():
        for dimension, name in enumerate(SIZE_RATIOS):
            requested, measured = trial.along(dimension)
            if not np.isfinite(requested).all():
                continue
            columns = zip(
                requested.mean(axis=0),
                masked_mean(measured.T),
                masked_mean(trial.gfd[:, dimension].T),
                strict=True,
            )
            for asked, found, gfd in columns:
                row = {"requested": asked, "measured": found, "gfd": gfd}
                yield {"method": method, "ratio": name} | {k: round(float(v), 6) for k, v in row.items()}


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
