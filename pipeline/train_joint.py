"""DVC stage `train_joint`: shards + base/ + size/ -> joint/, the adapter and part of the base."""

from pathlib import Path
from typing import Any

from diffusers import UNet2DConditionModel
from peft import LoraConfig
from safetensors.torch import save_file
from torch import nn

from model.adapter.adapter import SizeAdapter
from model.weights import seeded
from pipeline.checkpoints import ATTENTION_FILE, image_size, load_base
from pipeline.stage import run_stage
from pipeline.training.run import TrainingRun, write_losses
from pipeline.training.size_task import size_task
from pipeline.training.validation import ladder_validation
from train.params import TrainJointParams

ATTENTION = ("attn1", "attn2")
TRANSFORMER = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"]
CONVOLUTIONS = ["conv1", "conv2"]


def run(params: TrainJointParams, *, shards: Path, base: Path, size: Path, out: Path) -> None:
    """Train the adapter together with LoRA layers or the attention layers of the try-on UNet.

    Writes `adapter/`, `lora/` (what diffusers' `load_lora_adapter` reads) or `attention.safetensors`, and the
    losses of every step.
    """
    run_ = TrainingRun.begin("train_joint", params, shards, out, image_size(base), base, size)
    networks = load_base(base)
    adapter = SizeAdapter.from_pretrained(size / "adapter").to(networks.device)
    opened = open_base(networks.tryon_unet, params)
    task = size_task(run_, networks, adapter, base)
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in adapter.parameters() if weight.requires_grad]},
        {"params": list(opened.values()), "lr": params.base_learning_rate},
    ]
    judge = ladder_validation(run_, networks, adapter, base)
    rows = run_.fit(task, params.optimisation, "joint", groups, judge, task.encoder)
    with run_.output(out) as partial:
        adapter.save_pretrained(partial / "adapter", run_.provenance)
        if params.base_layers == "lora":
            networks.tryon_unet.save_lora_adapter(partial / "lora")
        else:
            trained = {name: networks.tryon_unet.get_parameter(name).detach() for name in opened}
            save_file(trained, partial / ATTENTION_FILE)
        write_losses(rows, partial / "losses" / "joint.csv")


def open_base(unet: UNet2DConditionModel, params: TrainJointParams) -> dict[str, nn.Parameter]:
    """Let part of a frozen UNet learn; return its weights by name."""
    if params.base_layers == "lora":
        with seeded(params.seed):
            targets = TRANSFORMER + CONVOLUTIONS
            unet.add_adapter(
                LoraConfig(r=params.lora_rank, lora_alpha=params.lora_rank, target_modules=targets)
            )
    else:
        for name, layer in unet.named_modules():
            if name.endswith(ATTENTION):
                layer.requires_grad_(True)
    return {name: weight for name, weight in unet.named_parameters() if weight.requires_grad}


if __name__ == "__main__":
    run_stage("train_joint", run)
