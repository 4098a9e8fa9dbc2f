"""`cinderella annotate`: measure a folder of try-on data into one Parquet file, without DVC."""

from pathlib import Path

from pipeline import compute_size_ratios, extract_keypoints
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.sources.dress_code import DressCode
from preprocess.sources.folder import Folder
from preprocess.sources.manifest import write_manifest
from preprocess.sources.source import Source
from preprocess.sources.viton_hd import VitonHd

LAYOUTS = ("viton-hd", "dress-code", "folder")


def annotate(
    root: Path,
    out: Path,
    *,
    layout: str = "viton-hd",
    split: str | None = None,
    keypoints: ExtractKeypointsParams | None = None,
    sizes: SizeRatioParams | None = None,
) -> Path:
    """Write one row of size annotations for every sample of a folder.

    Manifest and keypoints are kept in `.{out.stem}/` beside `out`: a second run measures only what changed.

    Args:
        root: The data set's folder.
        out: Parquet file with the columns of `size_annotations.parquet`.
        layout: How the folder is laid out, one of `LAYOUTS`.
        split: `train` or `test`; None takes all there are.
        keypoints: Where keypoints come from; None takes the defaults.
        sizes: How ratios are judged; None takes the defaults, and `grabcut` as the segmenter of `folder`.

    Returns:
        `out`.

    Raises:
        ValueError: The layout is unknown, or the folder has no sample.
        FileNotFoundError: The folder, or a file that it names, is missing.
    """
    work = out.parent / f".{out.stem}"
    work.mkdir(parents=True, exist_ok=True)
    manifest, found = work / "manifest.parquet", work / "keypoints.parquet"
    write_manifest(source_of(layout, root, split), manifest)
    extract_keypoints.run(keypoints or ExtractKeypointsParams(), manifest=manifest, out=found)
    compute_size_ratios.run(sizes or default_sizes(layout), manifest=manifest, keypoints=found, out=out)
    return out


def default_sizes(layout: str) -> SizeRatioParams:
    """Measure a layout by the defaults; a folder of photos has no parse maps to measure by."""
    return SizeRatioParams(segmenter="grabcut" if layout == "folder" else "none")


def source_of(layout: str, root: Path, split: str | None) -> Source:
    """Open a folder by the name of its layout."""
    if layout == "viton-hd":
        present = tuple(name for name in ("train", "test") if (root / f"{name}_pairs.txt").is_file())
        return VitonHd(root, splits=(split,) if split else present or ("train", "test"))
    if layout == "dress-code":
        return DressCode(root, splits=(split,) if split else ("train", "test"))
    if layout == "folder":
        return Folder(root, split=split or "test")
    raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
