"""`cinderella inspect`: what stands in a file of size annotations, and the pictures behind it."""

import base64
import glob
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jinja2 import StrictUndefined, Template
from numpy.typing import NDArray

from pipeline.cli.overlay import draw_sample, save_png
from pipeline.compute_size_ratios import keypoint_rows
from pipeline.tables.incremental import Row, iter_manifest
from preprocess.body.keypoints import KeypointError
from preprocess.garment.known import BOUNDS_PARTS, MAX_UNCERTAINTY_KEY, known_ratios
from preprocess.garment.size_ratios import thresholds_key
from preprocess.places import RemotePath
from preprocess.sizes.axes import MEASURED_NAMES, axes_of
from preprocess.sources.same_photo import SAME_PHOTO, Copies
from preprocess.sources.source import ManifestRow
from preprocess.vocabulary import FIT_LABELS, SEGMENTED, Category, RowStatus

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
GALLERY = Path(__file__).with_name("gallery.html")
THUMBNAIL_HEIGHT = 360
HISTOGRAM_BINS = 30
SIDECARS = ("manifest", "keypoints")
SUMMARISED = (
    *("category", "status", "reason", "fit_label", "ease_ratio", "sleeve_ratio"),
    *(f"{name}_{part}" for name in MEASURED_NAMES for part in BOUNDS_PARTS),
)
"""Columns that a summary and its histograms are made of."""


def inspect(
    annotations: Path,
    *,
    where: str | None = None,
    key: str | None = None,
    png: Path | None = None,
    html: Path | None = None,
    manifest: Path | None = None,
    keypoints: Path | None = None,
    limit: int = 60,
) -> str:
    """Summarise a file of annotations; draw a sample or a gallery on demand.

    Args:
        annotations: Parquet file of `annotate` or of the stage `compute_size_ratios`, or a folder of some.
        where: DuckDB condition on its columns, e.g. "width_ratio > 1.5 and status = 'ok'".
        key: Sample to draw to `png`.
        png: Where to draw it; None writes `{key}.png`.
        html: Where to write a gallery of the worst `limit` rows.
        manifest: Where the files stand; None looks where `annotate` and the pipeline leave it.
        keypoints: The joints; None looks there too.
        limit: Pictures in the gallery.

    Returns:
        Text for the terminal.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The condition can't be understood, there is no such key, or the files of a folder weren't
            made alike.
    """
    if png is not None and key is None:
        raise ValueError("--png draws one sample: name it with --key, or write a gallery of many with --html")
    tables = tables_of(annotations)
    table = select(tables, where)
    thresholds = [thresholds_of(one) for one in tables]
    lines = summary(table, thresholds[0] if thresholds == thresholds[:1] * len(tables) else None)
    lines += copies_among(tables, where).lines()
    if key is not None or html is not None:
        if len(tables) > 1:
            raise ValueError(f"--key and --html draw from one file, got {len(tables)} of {annotations}")
        files = sidecars(tables[0], manifest, keypoints)
        if key is not None:
            segmented = segmented_keys(tables[0], [key])
            save_png(draw_key(key, *files, segmented), png or Path(f"{key}.png"))
            lines.append(f"{png or Path(f'{key}.png')}: {key}")
        if html is not None:
            html.parent.mkdir(parents=True, exist_ok=True)
            rows = least_certain(tables, where, limit)
            segmented = segmented_keys(tables[0], [row["key"] for row in rows])
            html.write_text(gallery(table, rows, lines, *files, segmented))
            lines.append(f"{html}: gallery")
    return "\n".join(lines)


@contextmanager
def at_hand(annotations: Path) -> Iterator[Path]:
    """Yield annotations on this machine; those in object storage are fetched, a file with its sidecars."""
    if not isinstance(annotations, RemotePath):
        yield annotations
        return
    beside = (annotations.parent / f".{annotations.stem}" / f"{name}.parquet" for name in SIDECARS)
    wanted = annotations.glob("*.parquet") if annotations.is_dir() else (annotations, *beside)
    with TemporaryDirectory() as folder:
        for path in wanted:
            if path.is_file():
                copy = Path(folder) / path.relative_to(annotations.parent).as_posix()
                copy.parent.mkdir(exist_ok=True)
                copy.write_bytes(path.read_bytes())
        yield Path(folder) / annotations.name


def tables_of(annotations: Path) -> list[Path]:
    """Return a file of annotations, or those of a folder, which must have been made alike."""
    tables = sorted(annotations.glob("*.parquet")) if annotations.is_dir() else [annotations]
    if not tables or not tables[0].is_file():
        raise FileNotFoundError(f"{annotations} not found: run `cinderella annotate` or `dvc repro` first")
    first = schema_of(tables[0])
    if lacking := [name for name in SUMMARISED[:4] if name not in first.names]:
        raise ValueError(f"{tables[0]} must be size annotations, but has no {lacking[0]}")
    for table, schema in ((table, schema_of(table)) for table in tables[1:]):
        if not schema.equals(first) or max_uncertainty_of(schema) != max_uncertainty_of(first):
            raise ValueError(f"{table} must have the columns and max_uncertainty of {tables[0]}")
    return tables


def schema_of(table: Path) -> pa.Schema:
    """Return the columns of a Parquet file, or raise ValueError where it is none."""
    try:
        return pq.read_schema(table)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{table} must be a whole Parquet file: {error}") from error


def max_uncertainty_of(schema: pa.Schema) -> bytes | None:
    """Return what the metadata of annotations says that known means."""
    found: bytes | None = (schema.metadata or {}).get(MAX_UNCERTAINTY_KEY)
    return found


def query(tables: list[Path], where: str | None, choose: Callable[[Any], Any]) -> pa.Table:
    """Return what is chosen of DuckDB's view of the rows that meet a condition."""
    import duckdb

    rows = duckdb.read_parquet([glob.escape(str(table)) for table in tables])
    try:
        found: pa.Table = choose(rows if where is None else rows.filter(where)).to_arrow_table()
    except duckdb.Error as error:
        raise ValueError(f"where must be a DuckDB condition on columns, got {where!r}: {error}") from error
    return found


def select(tables: list[Path], where: str | None) -> pa.Table:
    """Read what a summary needs of the rows that meet a condition: some 150 bytes a row."""
    schema = pq.read_schema(tables[0])
    columns = [name for name in schema.names if name in SUMMARISED]
    found = query(tables, where, lambda rows: rows.select(*columns))
    known = max_uncertainty_of(schema)
    return found if known is None else found.replace_schema_metadata({MAX_UNCERTAINTY_KEY: known})


def least_certain(tables: list[Path], where: str | None, limit: int) -> list[Row]:
    """Return the rows of least confidence among those that meet a condition."""
    found = query(tables, where, lambda rows: rows.order("confidence, key").limit(limit))
    rows: list[Row] = found.to_pylist()
    return rows


def copies_among(tables: list[Path], where: str | None) -> Copies:
    """Count the photos that are copies, among the rows that meet a condition."""
    copies = Copies()
    if SAME_PHOTO in pq.read_schema(tables[0]).names:
        columns, wanted = ("split", "key", SAME_PHOTO), f"{SAME_PHOTO} IS NOT NULL"
        found = query(tables, where, lambda rows: rows.filter(wanted).select(*columns).order("split, key"))
        for row in found.to_pylist():
            copies.note(*(row[name] for name in columns))
    return copies


def thresholds_of(annotations: Path) -> dict[Category, list[float]]:
    """Width ratios at which the fit labels were cut, by the categories that have some."""
    metadata = pq.read_schema(annotations).metadata or {}
    keys = {category: thresholds_key(category) for category in Category}
    return {category: json.loads(metadata[key]) for category, key in keys.items() if key in metadata}


def summary(table: pa.Table, thresholds: Mapping[Category, list[float]] | None) -> list[str]:
    """Counts by status and reason, of each axis how many rows are known and their quantiles, the labels.

    Args:
        table: The rows.
        thresholds: Where labels are cut; None: not at the same ratios in all files.
    """
    lines = [f"{len(table)} rows"]
    lines += [f"  {count:6d} {status:8s} {why}".rstrip() for status, why, count in kinds(table)]
    lines.append("known ratios:  rows" + "".join(f"{f'{share:.0%}':>8s}" for share in QUANTILES) + "  +-")
    for category, rows in by_category(table).items():
        if len(rows) < len(table):
            lines.append(f"  {category}")
        own = axes_of(category)
        lines += [ratio_line(name, known_ratios(rows, name), uncertainties(rows, name)) for name in own]
    lines.append("measured:")
    for name in ("ease", "sleeve"):
        lines.append(ratio_line(name, table[f"{name}_ratio"].drop_null().to_numpy(), np.array([])))
    labels = Counter({one["values"]: one["counts"] for one in table["fit_label"].value_counts().to_pylist()})
    lines.append("fit labels: " + ", ".join(f"{labels[label]} {label}" for label in FIT_LABELS))
    return lines + threshold_lines(thresholds)


def kinds(table: pa.Table) -> list[tuple[str, str, int]]:
    """Count rows by status and reasons; the most frequent come first."""
    found = table.group_by(["status", "reason"], use_threads=False).aggregate([([], "count_all")])
    counts = [(row["status"], row["reason"] or "", row["count_all"]) for row in found.to_pylist()]
    return sorted(counts, key=lambda row: -row[2])


def threshold_lines(thresholds: Mapping[Category, list[float]] | None) -> list[str]:
    """Say where the labels are cut; see `summary`."""
    if thresholds is None:
        return ["cut at other width ratios in each file"]
    lines = []
    for category, cuts in (thresholds or {Category.UPPER: []}).items():
        whose = f" of {category}" if len(thresholds) > 1 else ""
        cuts_text = ", ".join(f"{cut:.3f}" for cut in cuts)
        lines.append(f"cut at width ratios{whose} {cuts_text or '(none)'}")
    return lines


def by_category(table: pa.Table) -> dict[Category, pa.Table]:
    """The rows of each category that there is; all as `upper`'s where there is no row."""
    found = {category: table.filter(pc.field("category") == str(category)) for category in Category}
    return {category: rows for category, rows in found.items() if len(rows)} or {Category.UPPER: table}


def ratio_line(name: str, ratios: NDArray[np.floating], doubts: NDArray[np.floating]) -> str:
    """How many ratios there are, their quantiles, and half the median width of their bounds."""
    found = ratios[np.isfinite(ratios)]
    cuts = [f"{cut:8.3f}" for cut in np.quantile(found, QUANTILES)] if len(found) else []
    sure = doubts[np.isfinite(ratios)] if len(doubts) else doubts
    bounds = f" {np.median(sure) / 2:4.1%}" if len(sure) else ""
    return f"  {name:12s}{len(found):5d}" + "".join(cuts) + bounds


def uncertainties(table: pa.Table, name: str) -> NDArray[np.floating]:
    """(N,) width of the bounds over the ratio; NaN without bounds."""
    ratio, low, high = (
        table[f"{name}_{part}"].to_numpy(zero_copy_only=False).astype(np.float64) for part in BOUNDS_PARTS
    )
    return np.asarray((high - low) / ratio)


def segmented_keys(annotations: Path, keys: list[str]) -> set[tuple[str, str]]:
    """Split and key of those of some samples whose garment was found by its colours."""
    columns, wanted = ["split", "key", "reason"], pc.field("key").isin(pa.array(keys, pa.string()))
    rows = pq.read_table(annotations, columns=columns, filters=wanted).to_pylist()
    return {(row["split"], row["key"]) for row in rows if SEGMENTED in (row["reason"] or "").split("; ")}


def sidecars(annotations: Path, manifest: Path | None, keypoints: Path | None) -> tuple[Path, Path]:
    """Find the manifest and the keypoints that belong to a file of annotations."""
    folders = (annotations.parent / f".{annotations.stem}", annotations.parent)
    folder = next((one for one in folders if (one / "manifest.parquet").is_file()), folders[-1])
    found = manifest or folder / "manifest.parquet", keypoints or folder / "keypoints.parquet"
    for name, path in zip(SIDECARS, found, strict=True):
        if not path.is_file():
            raise FileNotFoundError(f"{path} is no file: name the table of {name} with --{name}")
        schema_of(path)
    return found


def samples_of(manifest: Path, keypoints: Path, keys: set[str]) -> Iterator[tuple[ManifestRow, Row]]:
    """Yield the files of some samples, and their rows of keypoints.parquet."""
    for sample, row in zip(iter_manifest(manifest), keypoint_rows(keypoints), strict=True):
        if sample.key in keys:
            yield sample, row


def draw_key(key: str, manifest: Path, keypoints: Path, segmented: set[tuple[str, str]]) -> Any:
    """Draw one sample.

    Raises:
        ValueError: There is no such sample, or it has no trunk to draw.
    """
    for sample, found in samples_of(manifest, keypoints, {key}):
        try:
            return draw_sample(sample, found, segmented=(sample.split, sample.key) in segmented)
        except KeypointError as problem:
            raise ValueError(f"{key} can't be drawn: {problem}") from problem
    raise ValueError(f"key must be one of {manifest}, got {key!r}")


def gallery(
    table: pa.Table,
    rows: list[Row],
    lines: list[str],
    manifest: Path,
    keypoints: Path,
    segmented: set[tuple[str, str]],
) -> str:
    """A page that needs nothing else: summary and histograms of a table, its least certain rows, filters."""
    drawn = {}
    for sample, found in samples_of(manifest, keypoints, {row["key"] for row in rows}):
        which = (sample.split, sample.key)
        drawn[which] = thumbnail(sample, found, segmented=which in segmented)
    page = Template(GALLERY.read_text(), autoescape=True, trim_blocks=True, undefined=StrictUndefined)
    return page.render(
        summary="\n".join(lines),
        statuses=list(RowStatus),
        histograms=histograms(table),
        rows=[row | {"picture": drawn.get((row["split"], row["key"]), "")} for row in rows],
        ratios=MEASURED_NAMES,
    )


def thumbnail(sample: ManifestRow, found: Row, *, segmented: bool) -> str:
    """The drawn sample as a data URL; empty when it can't be drawn."""
    try:
        picture = draw_sample(sample, found, segmented=segmented)
    except (KeypointError, OSError, ValueError):
        return ""
    width = round(picture.shape[1] * THUMBNAIL_HEIGHT / picture.shape[0])
    small = cv2.resize(picture, (width, THUMBNAIL_HEIGHT), interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()


def histograms(table: pa.Table) -> list[dict[str, Any]]:
    """The histogram of each axis, of each category where there are several."""
    categories = by_category(table)
    return [
        histogram(rows, name) | {"name": f"{category} {name}" if len(categories) > 1 else name}
        for category, rows in categories.items()
        for name in axes_of(category)
    ]


def histogram(table: pa.Table, name: str) -> dict[str, Any]:
    """The known values of a ratio: heights of bars (%), and lowest, highest and middle value."""
    values = known_ratios(table, name)
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return {"name": name, "heights": []}
    counts, _ = np.histogram(values.round(6), HISTOGRAM_BINS)  # equal but for rounding is one value
    heights = np.rint(100 * counts / counts.max()).astype(int).tolist()
    return {"name": name, "heights": heights, "cuts": (values.min(), values.max(), np.median(values))}
