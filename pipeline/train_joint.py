"""DVC stage `train_joint`: shards + base/ + size/ -> joint/, adapter and low-rank updates of the base."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig

from model.size_conditioning import SizeAdapter
from model.size_critic import SizeCritic
from pipeline.checkpoints import image_size, load_base
from pipeline.stage import run_stage
from pipeline.training import TrainingRun, write_losses
from train.params import TrainJointParams
from train.tryon import TryOnTask

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"]
CONVOLUTIONS = ["conv1", "conv2"]


def run(params: TrainJointParams, *, shards: Path, base: Path, size: Path, out: Path) -> None:
    """Train the adapter together with LoRA layers in the try-on UNet's attention.

    Writes `adapter/`, `lora/` (what diffusers' `load_lora_adapter` reads) and the losses of every step.
    """
    run_ = TrainingRun.begin("train_joint", params, shards, out, image_size(base), base, size)
    networks = load_base(base)
    adapter = SizeAdapter.from_pretrained(size / "adapter").to(networks.device).requires_grad_(True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(params.seed)
        networks.tryon_unet.add_adapter(
            LoraConfig(
                r=params.lora_rank, lora_alpha=params.lora_rank, target_modules=ATTENTION + CONVOLUTIONS
            )
        )
    if params.runtime.gradient_checkpointing:
        networks.tryon_unet.enable_gradient_checkpointing()
    task = TryOnTask(
        networks,
        run_.encoder(networks),
        loss=params.loss,
        adapter=adapter,
        critic=SizeCritic.from_pretrained(base / "size_critic").requires_grad_(False),
        size_dropout=params.dropout,
    )
    lora = [weight for weight in networks.tryon_unet.parameters() if weight.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": list(adapter.parameters())},
        {"params": lora, "lr": params.base_learning_rate},
    ]
    rows = run_.fit(task, params.optimisation, "joint", groups)
    with run_.output(out) as partial:
        adapter.save_pretrained(partial / "adapter")
        networks.tryon_unet.save_lora_adapter(partial / "lora")
        write_losses(rows, partial / "losses" / "joint.csv")


if __name__ == "__main__":
    run_stage("train_joint", run)
