"""Find the golden folders made by IDM-VTON's own code, and name shapes to make further ones of."""

import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("CINDERELLA_SHARED", ROOT.parent / "shared"))
GOLDEN = sorted(path.parent for path in (SHARED / "golden" / "idm_vton").glob("*/config.json"))


def shapes(
    *,
    channels: tuple[int, ...],
    heads: tuple[int, ...],
    depths: tuple[int, ...],
    context: int,
    latent: tuple[int, int],
    batch: int,
    resampler: dict[str, int],
    layers_per_block: int = 1,
    linear: bool = True,
    tryon_in_channels: int = 13,
) -> dict[str, Any]:
    """Return the `config.json` of a golden folder; as in SDXL the first level has no attention."""
    attends = len(channels) - 1
    unet = {
        "sample_size": max(latent),
        "block_out_channels": channels,
        "down_block_types": ("DownBlock2D", *["CrossAttnDownBlock2D"] * attends),
        "up_block_types": (*["CrossAttnUpBlock2D"] * attends, "UpBlock2D"),
        "layers_per_block": layers_per_block,
        "transformer_layers_per_block": depths,
        "attention_head_dim": heads,
        "cross_attention_dim": context,
        "norm_num_groups": 8,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 6,
        "projection_class_embeddings_input_dim": 60,
        "use_linear_projection": linear,
        "out_channels": 4,
    }
    return {
        "unet": unet,
        "tryon_in_channels": tryon_in_channels,
        "garment_in_channels": 4,
        "resampler": resampler | {"output_dim": context},
        "batch": batch,
        "latent": latent,
    }


MADE = {
    "three levels, odd grid": shapes(
        channels=(16, 32, 64),
        heads=(1, 4, 2),
        depths=(1, 2, 3),
        layers_per_block=2,
        context=40,
        latent=(17, 13),
        batch=1,
        resampler={"dim": 24, "depth": 3, "dim_head": 12, "heads": 5, "num_queries": 5}
        | {"embedding_dim": 20, "ff_mult": 3},
    ),
    "wide grid, convolutions for projections, no densepose": shapes(
        channels=(16, 48),
        heads=(2, 3),
        depths=(1, 1),
        linear=False,
        context=56,
        latent=(6, 22),
        batch=3,
        tryon_in_channels=9,
        resampler={"dim": 72, "depth": 1, "dim_head": 64, "heads": 2, "num_queries": 16}
        | {"embedding_dim": 32, "ff_mult": 4},
    ),
    "no attention deep enough to halve": shapes(
        channels=(32,),
        heads=(1,),
        depths=(2,),
        context=16,
        latent=(5, 4),
        batch=2,
        resampler={"dim": 16, "depth": 2, "dim_head": 16, "heads": 1, "num_queries": 1}
        | {"embedding_dim": 8, "ff_mult": 1},
    ),
}
