"""`cinderella inspect`: what stands in a file of size annotations, and the pictures behind it."""

import base64
import json
from collections import Counter
from collections.abc import Iterator, Mapping
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
from preprocess.garment.known import BOUNDS_PARTS, known_ratios
from preprocess.garment.size_ratios import thresholds_key
from preprocess.places import RemotePath
from preprocess.sizes.axes import MEASURED_NAMES, axes_of
from preprocess.sources.source import ManifestRow
from preprocess.vocabulary import FIT_LABELS, SEGMENTED, Category, RowStatus

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
GALLERY = Path(__file__).with_name("gallery.html")
THUMBNAIL_HEIGHT = 360
HISTOGRAM_BINS = 30
SIDECARS = ("manifest", "keypoints")


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
        annotations: Parquet file of `annotate` or of the stage `compute_size_ratios`.
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
        ValueError: The condition can't be understood, or there is no such key.
    """
    table = select(annotations, where)
    lines = summary(table, thresholds_of(annotations))
    if key is not None or html is not None:
        files = sidecars(annotations, manifest, keypoints)
        segmented = segmented_keys(annotations)
        if key is not None:
            save_png(draw_key(key, *files, segmented), png or Path(f"{key}.png"))
            lines.append(f"{png or Path(f'{key}.png')}: {key}")
        if html is not None:
            html.parent.mkdir(parents=True, exist_ok=True)
            html.write_text(gallery(table, lines, *files, segmented, limit=limit))
            lines.append(f"{html}: gallery")
    return "\n".join(lines)


@contextmanager
def at_hand(annotations: Path) -> Iterator[Path]:
    """Yield a file of annotations on this machine; one in object storage is fetched, with its sidecars."""
    if not isinstance(annotations, RemotePath):
        yield annotations
        return
    sidecars = (annotations.parent / f".{annotations.stem}" / f"{name}.parquet" for name in SIDECARS)
    with TemporaryDirectory() as folder:
        for path in (annotations, *sidecars):
            if path.is_file():
                copy = Path(folder) / path.relative_to(annotations.parent).as_posix()
                copy.parent.mkdir(exist_ok=True)
                copy.write_bytes(path.read_bytes())
        yield Path(folder) / annotations.name


def select(annotations: Path, where: str | None) -> pa.Table:
    """Read the rows that meet a condition, sorted by split and key."""
    if not annotations.is_file():
        raise FileNotFoundError(f"{annotations} not found: run `cinderella annotate` or `dvc repro` first")
    if where is None:
        return pq.read_table(annotations)
    import duckdb

    try:
        rows = duckdb.read_parquet(str(annotations)).filter(where).order("split, key")
        return rows.to_arrow_table()
    except duckdb.Error as error:
        raise ValueError(f"where must be a DuckDB condition on columns, got {where!r}: {error}") from error


def thresholds_of(annotations: Path) -> dict[Category, list[float]]:
    """Width ratios at which the fit labels were cut, by the categories that have some."""
    metadata = pq.read_schema(annotations).metadata or {}
    keys = {category: thresholds_key(category) for category in Category}
    return {category: json.loads(metadata[key]) for category, key in keys.items() if key in metadata}


def summary(table: pa.Table, thresholds: Mapping[Category, list[float]]) -> list[str]:
    """Counts by status and reason, of each axis how many rows are known and their quantiles, the labels."""
    status, reason = table["status"].to_pylist(), table["reason"].to_pylist()
    lines = [f"{len(table)} rows"]
    for (name, why), count in Counter(zip(status, reason, strict=True)).most_common():
        lines.append(f"  {count:6d} {name:8s} {why or ''}".rstrip())
    lines.append("known ratios:  rows" + "".join(f"{f'{share:.0%}':>8s}" for share in QUANTILES) + "  +-")
    for category, rows in by_category(table).items():
        if len(rows) < len(table):
            lines.append(f"  {category}")
        own = axes_of(category)
        lines += [ratio_line(name, known_ratios(rows, name), uncertainties(rows, name)) for name in own]
    lines.append("measured:")
    for name in ("ease", "sleeve"):
        lines.append(ratio_line(name, table[f"{name}_ratio"].drop_null().to_numpy(), np.array([])))
    labels = Counter(table["fit_label"].to_pylist())
    lines.append("fit labels: " + ", ".join(f"{labels[label]} {label}" for label in FIT_LABELS))
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
    cuts = np.quantile(found, QUANTILES) if len(found) else np.full(len(QUANTILES), np.nan)
    sure = doubts[np.isfinite(ratios)] if len(doubts) else doubts
    bounds = f" {np.median(sure) / 2:4.1%}" if len(sure) else ""
    return f"  {name:12s}{len(found):5d}" + "".join(f"{value:8.3f}" for value in cuts) + bounds


def uncertainties(table: pa.Table, name: str) -> NDArray[np.floating]:
    """(N,) width of the bounds over the ratio; NaN without bounds."""
    ratio, low, high = (
        table[f"{name}_{part}"].to_numpy(zero_copy_only=False).astype(np.float64) for part in BOUNDS_PARTS
    )
    return np.asarray((high - low) / ratio)


def segmented_keys(annotations: Path) -> set[tuple[str, str]]:
    """Split and key of the rows whose garment was found by its colours."""
    rows = pq.read_table(annotations, columns=["split", "key", "reason"]).to_pylist()
    return {(row["split"], row["key"]) for row in rows if SEGMENTED in (row["reason"] or "").split("; ")}


def sidecars(annotations: Path, manifest: Path | None, keypoints: Path | None) -> tuple[Path, Path]:
    """Find the manifest and the keypoints that belong to a file of annotations."""
    folders = (annotations.parent / f".{annotations.stem}", annotations.parent)
    folder = next((one for one in folders if (one / "manifest.parquet").is_file()), folders[-1])
    found = manifest or folder / "manifest.parquet", keypoints or folder / "keypoints.parquet"
    for path in found:
        if not path.is_file():
            raise FileNotFoundError(f"{path} not found: name it with --{path.stem}")
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
    lines: list[str],
    manifest: Path,
    keypoints: Path,
    segmented: set[tuple[str, str]],
    *,
    limit: int,
) -> str:
    """A page that needs nothing else: summary, histograms, least certain rows first, filters."""
    rows = sorted(table.to_pylist(), key=lambda row: (row["confidence"], row["key"]))[:limit]
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
    counts, edges = np.histogram(values, HISTOGRAM_BINS)
    heights = np.rint(100 * counts / counts.max()).astype(int).tolist()
    return {"name": name, "heights": heights, "cuts": (edges[0], edges[-1], np.median(values))}
