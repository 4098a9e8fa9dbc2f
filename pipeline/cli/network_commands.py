"""Commands of `cinderella` about the networks themselves: ablate, assemble."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def ablate(
    shards: Annotated[Path, typer.Option(help="Folder with train/ and test/ shards.")],
    size_annotations: Annotated[Path, typer.Option(help="size_annotations.parquet of the same data.")],
    base: Annotated[Path, typer.Option(help="Folder of train_base; its segmenter measures.")],
    out: Annotated[Path, typer.Option(help="Folder for the variants and the table.")],
    params: Annotated[Path, typer.Option(help="Schedule and protocol.")] = Path("params.yaml"),
    variant: Annotated[
        list[str] | None, typer.Option(help="As the table names it, such as 'time+map (full)'; repeatable.")
    ] = None,
) -> None:
    """Train the adapter with every combination of parts and controllers, and tabulate their ladders.

    Example: `cinderella ablate --shards artifacts/shards --size-annotations
    artifacts/size_annotations.parquet --base artifacts/base --out artifacts/ablation`
    """
    from pipeline.cli.ablations import ablate as run
    from pipeline.params import load_params

    loaded = load_params(params)
    table = run(
        loaded.train_size,
        loaded.evaluate_tryon,
        variant or (),
        shards=shards,
        size_annotations=size_annotations,
        base=base,
        out=out,
    )
    typer.echo(table)


@app.command()
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
    from pipeline.tryon.assemble import assemble as run

    run(
        inpainting=inpainting,
        garment=garment,
        ip_adapter=ip_adapter,
        image_encoder=image_encoder,
        out=out,
        half=half,
    )
    typer.echo(f"{out}: set train_base.preset to sdxl and train_base.pretrained to this folder")
