"""DVC stage `train_joint`: shards + base/ + size/ -> joint/, the adapter and part of the base."""

from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from model.weights import seeded
from pipeline.checkpoints import LAYERS_FILE, image_size, load_adapter, load_base, require_base
from pipeline.stage import run_stage
from pipeline.training.run import FROZEN_TYPE, TrainingRun, write_losses
from pipeline.training.size_task import size_task
from pipeline.training.validation import ladder_validation
from train.params import TrainJointParams


def run(params: TrainJointParams, *, shards: Path, base: Path, size: Path, out: Path) -> None:
    """Train the adapter together with LoRA layers or other layers of the try-on UNet.

    Writes `adapter/`, `lora/` (what diffusers' `load_lora_adapter` reads) or `layers.safetensors`, and the
    losses of every step.
    """
    require_base(size, base)
    run_ = TrainingRun.begin("train_joint", params, shards, out, image_size(base), base, size)
    networks = load_base(base, torch_dtype=FROZEN_TYPE[params.runtime.mixed_precision])
    adapter = load_adapter(size).to(networks.device)
    with seeded(params.seed):
        opened = networks.trainable(params.base_layers, params.lora_rank)
    for weight in opened.values():
        # what learns keeps full precision, whatever the frozen weights have
        weight.data = weight.data.float()
    task = size_task(run_, networks, adapter, base)
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in adapter.parameters() if weight.requires_grad]},
        {"params": list(opened.values()), "lr": params.base_learning_rate},
    ]
    judge = ladder_validation(run_, networks, adapter, base)
    rows = run_.fit(task, params.optimisation, "joint", groups, judge, task.encoder)
    with run_.output(out, base) as partial:
        adapter.save_pretrained(partial / "adapter", run_.provenance)
        if params.base_layers == "lora":
            networks.denoiser.save_lora_adapter(partial / "lora")
        else:
            trained = {name: networks.denoiser.get_parameter(name).detach() for name in opened}
            save_file(trained, partial / LAYERS_FILE)
        write_losses(rows, partial / "losses" / "joint.csv")


if __name__ == "__main__":
    run_stage("train_joint", run)
