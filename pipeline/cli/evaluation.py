"""Commands of `cinderella` about networks: how they are put together, trained in other ways, and judged."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from preprocess.places import place
from preprocess.sources.registry import SOURCES
from preprocess.vocabulary import Category

Source = Annotated[str, typer.Option(help=f"What the folder is: one of {', '.join(SOURCES)}.")]
DataRoot = Annotated[
    Path | None, typer.Option(parser=place, help="Folder or URL of a data set; its test split is taken.")
]
DataCategory = Annotated[
    Category | None,
    typer.Option(help="What is worn below --root, where that doesn't tell; else the only one to read."),
]
DataShards = Annotated[
    Path | None, typer.Option(parser=place, help="Folder or URL with test/ shards, in place of --root.")
]
DataAnnotations = Annotated[
    Path | None, typer.Option(help="Whose train split sets the ladders' range; default: that of --root.")
]
Protocol = Annotated[Path, typer.Option(help="How everything is measured and sampled.")]
Base = Annotated[Path, typer.Option(help="Folder of train_base; its segmenter measures.")]


def requests(
    base: Base,
    out: Annotated[Path, typer.Option(help="CSV to write.")],
    root: DataRoot = None,
    source: Source = "viton_hd",
    category: DataCategory = None,
    shards: DataShards = None,
    size_annotations: DataAnnotations = None,
    params: Protocol = Path("params.yaml"),
) -> None:
    """Write which pictures, at which ratios, `cinderella evaluate --generated` wants of another system.

    Example: `cinderella requests --root data/zalando-hd-resized --base artifacts/base --out requests.csv`
    """
    from pipeline.cli.without_dvc import evaluation_data
    from pipeline.evaluation.generated import request_pictures
    from pipeline.params import load_params

    loaded = load_params(params)
    work = out.with_name(f".{out.stem}.data")
    found, annotations = evaluation_data(
        loaded,
        root=root,
        source=source,
        category=category,
        shards=shards,
        size_annotations=size_annotations,
        work=work,
    )
    request_pictures(loaded.evaluate_tryon, shards=found, size_annotations=annotations, base=base, out=out)


def evaluate(
    out: Annotated[Path, typer.Option(help="Folder for the report.")],
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of train_size or train_joint to draw with.")
    ] = None,
    generated: Annotated[Path | None, typer.Option(help="Pictures that any other system made.")] = None,
    base: Annotated[
        Path | None, typer.Option(help="Folder of train_base; default: base/ beside the checkpoint.")
    ] = None,
    root: DataRoot = None,
    source: Source = "viton_hd",
    category: DataCategory = None,
    shards: DataShards = None,
    size_annotations: DataAnnotations = None,
    params: Protocol = Path("params.yaml"),
) -> None:
    """Score a checkpoint, or pictures made by any other system, against the protocol of `evaluate_tryon`.

    Examples: `cinderella evaluate --checkpoint artifacts/joint --source viton_hd
    --root data/zalando-hd-resized --out report`,
    `cinderella evaluate --generated pictures --base artifacts/base --shards artifacts/shards
    --size-annotations artifacts/size_annotations.parquet --out report`
    """
    from eval.report.write import METRICS_FILE
    from pipeline.cli.without_dvc import evaluation_data
    from pipeline.evaluate_tryon import evaluate_checkpoint
    from pipeline.evaluation.generated import evaluate_generated
    from pipeline.params import load_params
    from pipeline.tryon.loading import trained_mask
    from preprocess.whole import require_replaceable

    if (checkpoint is None) == (generated is None):
        raise ValueError("what is judged must be named by one of --checkpoint and --generated")
    if base is None:
        if checkpoint is None:
            raise ValueError("--generated needs --base, whose segmenter measures the pictures")
        base = checkpoint.absolute().parent / "base"
    read = (checkpoint, generated, base, root, shards, size_annotations)
    require_replaceable(out, METRICS_FILE, *filter(None, read))
    loaded = load_params(params)
    found, annotations = evaluation_data(
        loaded,
        root=root,
        source=source,
        category=category,
        shards=shards,
        size_annotations=size_annotations,
        work=out.with_name(f".{out.name}.data"),
        mask=trained_mask(checkpoint) if checkpoint and root else None,
    )
    inputs = {"shards": found, "size_annotations": annotations, "base": base, "out": out}
    if generated is not None:
        evaluate_generated(loaded.evaluate_tryon, **inputs, generated=generated)
    else:
        assert checkpoint is not None
        evaluate_checkpoint(loaded.evaluate_tryon, **inputs, checkpoint=checkpoint)
    typer.echo(f"{out / 'report.html'}")


def compare(
    reports: Annotated[list[Path], typer.Argument(help="metrics.json files, or the folders that have them.")],
) -> None:
    """Tabulate several evaluations; those of different protocols are refused, with the differences.

    Example: `cinderella compare artifacts/reports other/report`
    """
    from rich.console import Console
    from rich.table import Table

    from eval.report.card import COVERAGE, PICTURES, read_card
    from eval.report.card import compare as tabulate

    cards = {str(path): read_card(path) for path in reports}
    table = Table("figure", *cards, "best")
    for row in tabulate(cards):
        figures = ["-" if value is None else f"{value:.4f}" for value in row["values"].values()]
        lacking = [f"{name} has {count} pictures" for name, count in row.get(PICTURES, {}).items()]
        thin = [f"{name} covers {share * 100:.0f} %" for name, share in row.get(COVERAGE, {}).items()]
        told = filter(None, (", ".join(row["best"] or lacking), ", ".join(thin)))
        table.add_row(row["figure"], *figures, "; ".join(told))
    console = Console(markup=False, emoji=False)  # the names are paths
    if not sys.stdout.isatty():  # nobody's window to fit into
        console.width = console.measure(table, options=console.options.update(max_width=sys.maxsize)).maximum
    console.print(table)


def recipes(
    names: Annotated[list[str] | None, typer.Argument(help="Which; all when none is named.")] = None,
    run: Annotated[bool, typer.Option("--run", help="Run them here, one after another.")] = False,
) -> None:
    """List the ablations and the `dvc exp run` command of each, or run them; `small` is a preset for a GPU.

    `dvc exp show` and `dvc metrics diff` compare what came out.

    Examples: `cinderella recipes`, `cinderella recipes --run map-full tokens+time`
    """
    import shlex

    from pipeline.cli.recipes import recipe_of, require_known, run_recipes

    chosen = require_known(names or [])
    if run:
        run_recipes(chosen)
        return
    for name in chosen:
        recipe = recipe_of(name)
        typer.echo(f"# {recipe.question}\n{shlex.join(recipe.command(name))}")


def assemble(
    inpainting: Annotated[str, typer.Option(help="SDXL pipeline, best one for inpainting: folder or hub.")],
    garment: Annotated[str, typer.Option(help="SDXL pipeline whose UNet reads the garment: folder or hub.")],
    ip_adapter: Annotated[Path, typer.Option(help="File of IP-Adapter Plus for SDXL.")],
    image_encoder: Annotated[str, typer.Option(help="Its CLIP vision encoder: folder or hub.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    half: Annotated[bool, typer.Option(help="Keep the weights in half precision.")] = False,
) -> None:
    """Put a base together for training from scratch; train_base.pretrained may then name its folder.

    Example: `cinderella assemble --inpainting diffusers/stable-diffusion-xl-1.0-inpainting-0.1
    --garment stabilityai/stable-diffusion-xl-base-1.0 --ip-adapter ip-adapter-plus_sdxl_vit-h.safetensors
    --image-encoder models/image_encoder --out models/base`
    """
    import torch

    from model.bases.sdxl.starting import start_from_inpainting
    from preprocess.whole import require_replaceable, whole_folder

    require_replaceable(out, None)
    base = start_from_inpainting(
        inpainting,
        garment=garment,
        ip_adapter=ip_adapter,
        image_encoder=image_encoder,
        torch_dtype=torch.float16 if half else None,
    )
    with whole_folder(out) as partial:
        base.save_pretrained(partial)
    typer.echo(f"{out}: set train_base.preset to sdxl and train_base.pretrained to this folder")
