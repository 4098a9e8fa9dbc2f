"""The data stages one after another on a folder of try-on data, for the commands that do without DVC."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline import compute_size_ratios, extract_keypoints, write_shards
from pipeline.engine.parts import open_engine
from pipeline.params import Params
from pipeline.tables.manifest import write_manifest
from preprocess.body.inpaint_mask import MaskParams
from preprocess.body.keypoints import ExtractKeypointsParams
from preprocess.garment.size_ratios import SizeRatioParams
from preprocess.places import RemotePath
from preprocess.sources.registry import open_source
from preprocess.vocabulary import Category
from preprocess.whole import folder_for
from shards.index import INDEX_NAME
from shards.params import WriteShardsParams


@dataclass(frozen=True, kw_only=True, slots=True)
class DataChain:
    """A data set's folder, and how it is measured and sharded."""

    source: str
    """Which data set it is, one of `preprocess.sources.registry.SOURCES`."""

    root: Path
    """Its folder."""

    split: str | None = None
    """`train` or `test`; None takes all there are."""

    category: Category | None = None
    """What is worn where the data set doesn't tell, the only one to read where it does; see `open_source`."""

    keypoints: ExtractKeypointsParams = field(default_factory=ExtractKeypointsParams)
    """Where joints come from."""

    sizes: SizeRatioParams | None = None
    """How ratios are judged; None: by the defaults, and with GrabCut in a `folder`, which may have no parse
    maps."""

    shards: WriteShardsParams = field(default_factory=WriteShardsParams)
    """How shards are written."""

    def annotate(self, work: Path, out: Path | None = None) -> dict[str, Path]:
        """List the samples, find their joints and measure them; what didn't change is kept.

        Args:
            work: Folder for the tables.
            out: The Parquet file of size annotations, where it isn't to be in `work`.

        Returns:
            Paths of `manifest`, `keypoints` and `size_annotations`.

        Raises:
            ValueError: There is no such data set, or the folder has no sample.
            FileNotFoundError: The folder, or a file that it names, is missing.
        """
        source = open_source(self.source, self.root, self.split, self.category)
        for model in filter(None, (self.keypoints.mediapipe_model, self.keypoints.bodypix_model)):
            if not Path(model).is_file():
                raise FileNotFoundError(
                    f"{model} not found: `cinderella fetch-models` says how to get models"
                )
        work.mkdir(parents=True, exist_ok=True)
        manifest, keypoints = work / "manifest.parquet", work / "keypoints.parquet"
        annotations = out or work / "size_annotations.parquet"
        sizes = self.sizes or SizeRatioParams(segmenter="grabcut" if self.source == "folder" else "none")
        write_manifest(source, manifest, engine=open_engine(workers=0))
        extract_keypoints.run(self.keypoints, manifest=manifest, out=keypoints)
        compute_size_ratios.run(sizes, manifest=manifest, keypoints=keypoints, out=annotations)
        return {"manifest": manifest, "keypoints": keypoints, "size_annotations": annotations}

    def shard(self, split: str, work: Path, out: Path) -> Path:
        """Measure, and write the shards of one split to `{out}/{split}`, which is returned.

        Raises:
            ValueError: See `annotate`; or there is nothing to write.
            FileNotFoundError: A part of the data set is missing.
        """
        write_shards.write(self.shards, **self.annotate(work), out=out, only=split, engine=None)
        return out / split


def annotate_to(chain: DataChain, out: Path) -> None:
    """Write size annotations to a file, here or in object storage, and the other tables beside it.

    Raises:
        ValueError: `out` is a folder, or has another suffix; see also `DataChain.annotate`.
    """
    if out.is_dir():
        raise ValueError(f"--out must be a file to write, got the folder {out}: try {out / 'sizes.parquet'}")
    if out.suffix != ".parquet":
        raise ValueError(f"--out is written as Parquet, so it must end in .parquet, got {out}")
    with folder_for(out.parent, out.name) as folder:
        chain.annotate(folder / f".{out.stem}", folder / out.name)


def shard_to(chain: DataChain, split: str, out: Path) -> Path:
    """Write the shards of one split to `{out}/{split}`, here or in object storage, and return that."""
    with folder_for(out, INDEX_NAME) as folder:
        made = {path.name for path in chain.shard(split, folder / ".work" / split, folder).iterdir()}
    if isinstance(out, RemotePath):
        for tar in (out / split).glob(f"{split}-*.tar"):
            if tar.name not in made:
                tar.unlink()
    return out / split


def evaluation_data(
    params: Params,
    *,
    root: Path | None,
    source: str,
    shards: Path | None,
    size_annotations: Path | None,
    work: Path,
    mask: MaskParams | None = None,
    category: Category | None = None,
) -> tuple[Path, Path]:
    """Find or make the shards of a test split and the annotations that ladders and fit labels follow.

    Args:
        params: How a data set's folder is measured and sharded.
        root: Folder of a data set; it is measured and its test split sharded below `work`.
        source: Which data set that is.
        shards: Folder with `test/`, in place of `root`.
        size_annotations: Whose train split sets the ladders' range and the fit labels; with `root` it may be
            left out: then that of the folder does, or its test split where nobody of a train split is known.
        work: Where to.
        mask: How inpainting masks are drawn where `root` is sharded; None: as `params` say.
        category: What is worn below `root`; see `DataChain`.

    Returns:
        The folder of shards, and size_annotations.parquet.

    Raises:
        ValueError: Neither or both of `root` and `shards` are given, or shards without annotations or with a
            category.
    """
    if (root is None) == (shards is None):
        raise ValueError("the data must be named by --root, or by --shards and --size-annotations")
    if shards is not None:
        if size_annotations is None:
            raise ValueError(
                "--shards needs --size-annotations, the size_annotations.parquet of the same data"
            )
        if category is not None:
            raise ValueError(
                "--category chooses what is read below --root; shards of one category are written by "
                "`cinderella shard --category`, or with prepare_dataset.category"
            )
        return shards, size_annotations
    assert root is not None
    chain = DataChain(
        source=source,
        root=root,
        # of a flat folder a split that is named takes every photo, those that were trained on as well
        split="test" if size_annotations and source != "folder" else None,
        category=category,
        keypoints=params.extract_keypoints,
        sizes=params.compute_size_ratios,
        shards=params.write_shards if mask is None else replace(params.write_shards, mask=mask),
    )
    chain.shard("test", work, work)
    return work, size_annotations or work / "size_annotations.parquet"
