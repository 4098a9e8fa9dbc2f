"""Read and write FLUX.2 klein's folder, in the layout of diffusers' pipelines."""

from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, Flux2KleinInpaintPipeline, Flux2Transformer2DModel
from transformers import Qwen2TokenizerFast, Qwen3ForCausalLM

from model.bases.autoencoded import load_autoencoder
from model.bases.base import BASE_FILE
from model.bases.flux2_klein.sequence import open_for_size
from model.weights import assign_weights, files_of, load_encoder, load_weights, local_folder, read_json

PARTS = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
"""Sub-folders of a base, whose names are those of its attributes."""

CHAT_TEMPLATE = "tokenizer/*.jinja"
"""What the tokenizer wraps a caption in, in a file of its own."""


def load_parts(
    folder: str | Path, autoencoder: Any, torch_dtype: torch.dtype | None = None
) -> dict[str, Any]:
    """Return the constructor arguments of a `KleinBase` from a folder, or from a repository of the hub.

    In place of fp16 they are bf16, as they are released: the text encoder's states may leave fp16's range.

    Raises:
        ValueError: Weights are missing or not expected, the message lists them; or distilled.
    """
    if torch_dtype == torch.float16:
        torch_dtype = torch.bfloat16
    root = local_folder(folder, [BASE_FILE, "model_index.json", *files_of(*PARTS), CHAT_TEMPLATE])
    if refused := distilled(root):
        raise ValueError(*refused)
    return {
        "transformer": load_transformer(root / "transformer", torch_dtype),
        "vae": load_autoencoder(autoencoder, root / "vae", torch_dtype),
        "text_encoder": load_encoder(Qwen3ForCausalLM, root / "text_encoder", torch_dtype),
        "tokenizer": Qwen2TokenizerFast.from_pretrained(root / "tokenizer"),
        "scheduler": FlowMatchEulerDiscreteScheduler.from_pretrained(root / "scheduler"),
    }


def distilled(folder: Path) -> list[str]:
    """Return a line where a folder says that its networks were distilled to few steps: they aren't guided.

    No weight's name or shape tells, so a folder must, unless it was written here.
    """
    index = folder / "model_index.json"
    if (folder / BASE_FILE).is_file() and not index.is_file():
        return []
    if not index.is_file():
        return [f"{index} is missing: it says whether the networks were distilled, whom nothing guides"]
    if not read_json(index).get("is_distilled"):
        return []
    return [f"{folder}: a distilled klein, drawn in 4 steps without guidance: take its base instead"]


def load_transformer(folder: Path, torch_dtype: torch.dtype | None = None) -> Flux2Transformer2DModel:
    """Load the transformer, open for a size; every name and shape of its weights must match."""
    with torch.device("meta"):
        transformer = make_transformer(Flux2Transformer2DModel.load_config(folder))
    return assign_weights(transformer, load_weights(folder), folder, torch_dtype)


def make_transformer(config: dict[str, Any]) -> Flux2Transformer2DModel:
    """Return a transformer of that configuration, open for a size, with random weights."""
    transformer = Flux2Transformer2DModel.from_config(config)
    open_for_size(transformer)
    return transformer


def pipeline_of(**parts: Any) -> Flux2KleinInpaintPipeline:
    """Return diffusers' own pipeline of a base's parts; those that it will not need may be left out."""
    return Flux2KleinInpaintPipeline(**dict.fromkeys(PARTS) | parts)
