"""Commands that try garments on: `cinderella try-on`, `ladder` and `publish`."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.params import DrawingOptions
from preprocess.body.mediapipe import POSE_MODEL
from preprocess.sizes.axes import AXIS_NAMES, FIT_AXIS
from preprocess.vocabulary import TRIED_ON, Category

if TYPE_CHECKING:
    from pipeline.tryon.outfits import FilesFitting, Fitting
    from pipeline.tryon.size_aware import SizeAwareTryOn
    from pipeline.tryon.size_list import NamedSize

Model = Annotated[
    Path, typer.Option(help="Published folder, or one with base/ beside joint/ or size/, such as artifacts.")
]
Person = Annotated[Path | None, typer.Option(help="Photo of one person, seen from the front.")]
Garment = Annotated[Path | None, typer.Option(help="Photo of the garment alone.")]
KeypointsFile = Annotated[Path | None, typer.Option(help="OpenPose JSON of the photo; default: MediaPipe's.")]
ParseFile = Annotated[
    Path | None, typer.Option(help="LIP parse map (PNG): shields head and hands, gives the natural size.")
]
DenseposeFile = Annotated[
    Path | None, typer.Option(help="DensePose picture; default: drawn from the joints.")
]
Worn = Annotated[
    Category, typer.Option(help=f"Of the garment: {', '.join(TRIED_ON)}. A table may have it as a column.")
]
Out = Annotated[Path, typer.Option(help="Folder for pictures, strip.png and fit.json.")]
PoseModel = Annotated[
    Path, typer.Option(help="MediaPipe's pose landmarker, for photos without keypoints (fetch-models).")
]
LowMemory = Annotated[
    str, typer.Option(help="off, or the GB of GPU memory to stay within: 8, 16, 24 (see `doctor`).")
]

DRAWING_HELP = {
    "num_steps": "Denoising steps; else as many as the base is drawn in.",
    "seed": "Of the noise, which all sizes of a person share.",
    "text_guidance": "Weight of caption and garment, 1 is off; else as the base is drawn.",
    "size_guidance": "Weight of the size; 1 is off.",
    "size_scale": "Strength of the size; 0: the base alone.",
    "sampler": "Who walks from noise to picture.",
    "eta": "How much of each step's noise is new, for ddim: 1 as CatVTON's own code does.",
    "garment_refresh": "Look at the garment at every n-th step; 0: once; else as the base was trained.",
    "seam": "Blend inside the mask's edge (px of a picture of 1024 rows, less in a smaller one).",
}


def with_drawing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field of `DrawingOptions`; it gets them as one, `drawing`."""

    @wraps(command)
    def run(**given: Any) -> None:
        chosen = {field.name: given.pop(field.name) for field in fields(DrawingOptions)}
        command(**given, drawing=DrawingOptions(**chosen))

    own = [one for one in signature(command).parameters.values() if one.name != "drawing"]
    own += [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[field.type, typer.Option(help=DRAWING_HELP[field.name])],
        )
        for field in fields(DrawingOptions)
    ]
    run.__signature__ = Signature(own)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in own}
    return run


@with_drawing
def try_on(
    out: Out,
    person: Person = None,
    garment: Garment = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Ratios of {', '.join(AXIS_NAMES)}, such as width=1.4,length=1.1. Give it several times."
        ),
    ] = None,
    steps: Annotated[str | None, typer.Option(help="Sizes up and down from the natural one.")] = None,
    chart: Annotated[Path | None, typer.Option(help="Size chart (CSV or YAML, cm).")] = None,
    wearer: Annotated[Path | None, typer.Option(help="The wearer's measures (YAML, cm).")] = None,
    sizes: Annotated[str | None, typer.Option(help="Which sizes of the chart; default: all.")] = None,
    keypoints: KeypointsFile = None,
    parse: ParseFile = None,
    densepose: DenseposeFile = None,
    inpaint_mask: Annotated[Path | None, typer.Option(help="White where the photo may be painted.")] = None,
    caption: Annotated[str, typer.Option(help="Describes the garment, such as `a red t-shirt`.")] = "",
    category: Worn = Category.UPPER,
    table: Annotated[
        Path | None, typer.Option(help="CSV with the columns person and garment: try on all rows.")
    ] = None,
    shards: Annotated[
        str | None, typer.Option(help="Folder or URL of one split's shards: try on all samples.")
    ] = None,
    model: Model = Path("artifacts"),
    pose_model: PoseModel = POSE_MODEL,
    clamp: Annotated[bool, typer.Option(help="Move sizes out of range to the nearest one.")] = False,
    low_memory: LowMemory = "off",
    preview: Annotated[
        bool, typer.Option(help="Resize the garment worn in the photo instead: at once, without a network.")
    ] = False,
    *,
    drawing: DrawingOptions,
) -> None:
    """Show a person in a garment at the sizes you ask for, and measure how it fits.

    What VITON-HD's layout keeps beside `image/` (OpenPose, parse map, DensePose) is found by itself.

    For example:

    `cinderella try-on --person me.jpg --garment shirt.jpg --size width=1.4,length=1.1 --out me`

    `cinderella try-on --person artifacts/raw/test/image/90003_00.jpg --garment
    artifacts/raw/test/cloth/90001_00.jpg --steps -1,0,1,2 --out strip`

    `cinderella try-on --person artifacts/raw/test/image/90003_00.jpg --garment
    artifacts/raw/test/cloth/90001_00.jpg --chart chart.csv --wearer wearer.yaml --sizes S,M,L,XL --clamp
    --out brand`

    `cinderella try-on --person artifacts/raw/test/image/90003_00.jpg --preview --steps -1,0,1,2
    --out preview`

    `cinderella try-on --table people.csv --steps 0,2 --out batch`

    `cinderella try-on --shards artifacts/shards/test --steps 0,2 --out test`
    """
    from pipeline.tryon.outfits import shard_fittings, table_fittings
    from pipeline.tryon.size_list import SizeChoice

    choice = SizeChoice(
        size=tuple(size or ()), steps=steps, chart=chart, wearer=wearer, sizes=sizes, category=category
    )
    named = choice.named()
    if [person is not None, table is not None, shards is not None].count(True) != 1:
        raise ValueError("name who tries on: exactly one of --person, --table and --shards")
    given = {"keypoints": keypoints, "parse": parse, "densepose": densepose, "inpaint_mask": inpaint_mask}
    if preview:
        draw_preview(person, garment, given, named, pose_model, out, category=category, clamp=clamp)
        return
    if person is not None:
        files = files_of(person, garment, given, caption, category)
        draw_one(load(model, pose_model, low_memory), files, named, drawing, out, clamp=clamp)
        return
    require_none(given | {"garment": garment, "caption": caption or None})
    rows: list[Fitting] = []
    rows += table_fittings(table, category) if table is not None else shard_fittings(str(shards))
    draw_many(load(model, pose_model, low_memory), rows, named, drawing, out, clamp=clamp)


@with_drawing
def ladder(
    person: Annotated[Path, typer.Option(help="Photo of one person, seen from the front.")],
    garment: Annotated[Path, typer.Option(help="Photo of the garment alone.")],
    out: Out,
    ratio: Annotated[str, typer.Option(help=f"Which ratio rises: {', '.join(AXIS_NAMES)}.")] = FIT_AXIS,
    lowest: Annotated[float, typer.Option(help="Where it begins.")] = 1.0,
    highest: Annotated[float, typer.Option(help="Where it ends.")] = 1.8,
    rungs: Annotated[int, typer.Option(help="How many pictures.")] = 7,
    keypoints: KeypointsFile = None,
    parse: ParseFile = None,
    densepose: DenseposeFile = None,
    caption: Annotated[str, typer.Option(help="Describes the garment.")] = "",
    category: Worn = Category.UPPER,
    model: Model = Path("artifacts"),
    pose_model: PoseModel = POSE_MODEL,
    low_memory: LowMemory = "off",
    *,
    drawing: DrawingOptions,
) -> None:
    """Let one ratio rise while all else stays natural, and say whether the pictures follow.

    Example: `cinderella ladder --person artifacts/raw/test/image/90003_00.jpg --garment
    artifacts/raw/test/cloth/90001_00.jpg --ratio width --lowest 1.0 --highest 1.8 --rungs 7 --out ladder`
    """
    from pipeline.tryon.pictures import ladder_order
    from pipeline.tryon.size_list import ladder_sizes

    sizes = ladder_sizes(ratio, lowest, highest, rungs, category)
    given = {"keypoints": keypoints, "parse": parse, "densepose": densepose}
    files = files_of(person, garment, given, caption, category)
    report = draw_one(load(model, pose_model, low_memory), files, sizes, drawing, out)
    typer.echo(f"{ratio}: {ladder_order(report, ratio)}")


def publish(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    model: Annotated[Path, typer.Option(help="Folder with base/ beside joint/ or size/.")] = Path(
        "artifacts"
    ),
) -> None:
    """Write base and adapter as one folder for `SizeAwareTryOn.from_pretrained`, in diffusers' layout.

    Example: `cinderella publish --model artifacts --out published`
    """
    from model.publishing import PICTURE_FILE
    from pipeline.tryon.loading import load_tryon
    from pipeline.tryon.loading import publish as run
    from preprocess.whole import require_replaceable

    require_replaceable(out, PICTURE_FILE, model)
    run(load_tryon(model), out)
    typer.echo(f"{out}: SizeAwareTryOn.from_pretrained({str(out)!r}) loads it")


def require_none(options: Mapping[str, object]) -> None:
    """Refuse options of one person beside a table or shards, where each row has its own."""
    named = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    if named:
        raise ValueError(
            f"{', '.join(named)} go with --person; a row of --table or --shards names its own files"
        )


def load(model: Path, pose_model: Path, low_memory: str) -> "SizeAwareTryOn":
    """Load the networks; the choices about memory are checked first."""
    from pipeline.tryon.loading import load_tryon

    return load_tryon(model, pose_model=pose_model, low_memory=low_memory)


def files_of(
    person: Path, garment: Path | None, given: dict[str, Path | None], caption: str, category: Category
) -> "FilesFitting":
    """Collect the files of one person: those named, and those found beside the photo."""
    from pipeline.tryon.outfits import FilesFitting, beside

    if garment is None:
        raise ValueError("--person needs --garment, the photo of the garment alone")
    files = beside(person) | {name: path for name, path in given.items() if path is not None}
    return FilesFitting(
        key=person.stem, person=person, garment=garment, given=files, caption=caption, category=category
    )


def draw_one(
    tryon: "SizeAwareTryOn",
    files: "FilesFitting",
    sizes: "list[NamedSize]",
    options: DrawingOptions,
    out: Path,
    *,
    clamp: bool = False,
) -> dict[str, object]:
    """Try one garment on one person, and print what is to be known."""
    from tqdm import tqdm

    from model.sampling import steps_of
    from pipeline.tryon.pictures import write_fitting

    outfit = files.load(tryon)
    num_steps = steps_of(tryon.base, options)
    with tqdm(total=len(sizes) * num_steps, desc="try-on", unit="step", disable=None) as bar:

        def on_step(done: int, _total: int) -> None:
            bar.update(done - bar.n)

        report = write_fitting(
            tryon,
            outfit.person,
            outfit.garment,
            sizes,
            options,
            out,
            clamp=clamp,
            caption=outfit.caption,
            on_step=on_step,
        )
    tell(report, out)
    return report


def draw_preview(
    person: Path | None,
    garment: Path | None,
    given: dict[str, Path | None],
    sizes: "list[NamedSize]",
    pose_model: Path,
    out: Path,
    *,
    category: Category,
    clamp: bool,
) -> None:
    """Resize the garment that a person wears in the photo, and print what is to be known."""
    from pipeline.tryon.outfits import beside
    from pipeline.tryon.preview import prepare_for_preview, write_preview

    if person is None or garment is not None:
        raise ValueError(
            "--preview shows the garment worn in the photo: it goes with --person alone, not --garment"
        )
    files = beside(person) | {name: path for name, path in given.items() if path is not None}
    prepared = prepare_for_preview(person, files, pose_model=pose_model, category=category)
    tell(write_preview(prepared, sizes, out, clamp=clamp), out)


def tell(report: "Mapping[str, Any]", out: Path) -> None:
    """Print what `fit.json` says."""
    from pipeline.tryon.pictures import FIT_FILE, STRIP_FILE

    for note in report["notes"]:
        typer.echo(f"note: {note}", err=True)
    for entry in report["sizes"]:
        typer.echo(f"{entry['size']}: {entry['summary']}")
    typer.echo(f"{out / STRIP_FILE}, {out / FIT_FILE}")


def draw_many(
    tryon: "SizeAwareTryOn",
    rows: "list[Fitting]",
    sizes: "list[NamedSize]",
    options: DrawingOptions,
    out: Path,
    *,
    clamp: bool = False,
) -> None:
    """Try on every row; any that fails makes the exit status 1."""
    from pipeline.tryon.batch import RESULTS_FILE, write_fittings

    counts = write_fittings(tryon, rows, sizes, options, out, clamp=clamp, total=len(rows))
    said = ", ".join(f"{number} {status}" for status, number in sorted(counts.items())) or "no rows"
    typer.echo(f"{said}: {out / RESULTS_FILE}")
    if counts["failed"]:
        raise typer.Exit(1)
