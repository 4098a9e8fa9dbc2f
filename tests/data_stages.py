"""The data stages one after another, in this process."""

from pathlib import Path

from pipeline import compute_size_ratios, extract_keypoints, prepare_dataset, write_shards
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.sources.params import PrepareDatasetParams
from shards.params import WriteShardsParams

IN_THIS_PROCESS = WriteShardsParams(num_workers=0)


def run_data_stages(
    folder: Path,
    prepared: PrepareDatasetParams,
    shards: WriteShardsParams = IN_THIS_PROCESS,
    *,
    mediapipe_model: str | None = None,
    raw: str = "raw",
) -> dict[str, Path]:
    """Write three tables, which are returned by name, and `shards/` into a folder; beside them is `raw`."""
    tables = {name: folder / f"{name}.parquet" for name in ("manifest", "keypoints", "size_annotations")}
    manifest, keypoints, annotations = tables.values()
    prepare_dataset.run(prepared, raw=folder / raw, out=manifest)
    joints = ExtractKeypointsParams(workers=1, mediapipe_model=mediapipe_model)
    extract_keypoints.run(joints, manifest=manifest, out=keypoints)
    sizes = SizeRatioParams(workers=1)
    compute_size_ratios.run(sizes, manifest=manifest, keypoints=keypoints, out=annotations)
    write_shards.run(shards, **tables, out=folder / "shards")
    return tables
