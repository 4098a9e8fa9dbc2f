"""What `cinderella evaluate` measures on: shards and annotations, made from a folder if need be."""

from pathlib import Path

from pipeline.cli.shard_folder import shard_folder
from pipeline.cli.without_dvc import annotate
from pipeline.params import Params


def evaluation_data(
    params: Params,
    *,
    root: Path | None,
    layout: str,
    shards: Path | None,
    size_annotations: Path | None,
    work: Path,
) -> tuple[Path, Path]:
    """Find or make the shards of a test split and the annotations that ladders and fit labels follow.

    Args:
        params: How a data set's folder is measured and sharded.
        root: Folder of a data set; its test split is measured and sharded below `work`, done work is kept.
        layout: How that folder is laid out.
        shards: Folder with `test/`, in place of `root`.
        size_annotations: Whose train split sets the ladders' range and the fit labels; with `root` it may be
            left out: then that of the folder does, or its test split where it has no other.
        work: Where to.

    Returns:
        The folder of shards, and size_annotations.parquet.

    Raises:
        ValueError: Neither or both of `root` and `shards` are given, or shards without annotations.
    """
    if (root is None) == (shards is None):
        raise ValueError("the data must be named by --root, or by --shards and --size-annotations")
    if shards is not None:
        if size_annotations is None:
            raise ValueError(
                "--shards needs --size-annotations, the size_annotations.parquet of the same data"
            )
        return shards, size_annotations
    assert root is not None
    shard_folder(
        layout,
        root,
        "test",
        work,
        keypoints=params.extract_keypoints,
        ratios=params.compute_size_ratios,
        shards=params.write_shards,
    )
    if size_annotations is None:
        size_annotations = annotate(
            root,
            work / "size_annotations.parquet",
            layout=layout,
            keypoints=params.extract_keypoints,
            sizes=params.compute_size_ratios,
        )
    return work, size_annotations
