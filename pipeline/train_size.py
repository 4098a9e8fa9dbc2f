"""DVC stage `train_size`: shards + base/ -> size/, the adapter that teaches size to the frozen base."""

import logging
from pathlib import Path

from model.adapter.adapter import SizeAdapter
from model.adapter.body_maps import ON_LEGS
from model.weights import seeded
from pipeline.checkpoints import image_size, load_base
from pipeline.stage import run_stage
from pipeline.training.run import FROZEN_TYPE, TrainingRun, write_losses
from pipeline.training.size_task import size_task
from pipeline.training.validation import ladder_validation
from preprocess.sizes.axes import MEANINGS
from preprocess.vocabulary import TRIED_ON
from shards.index import CATEGORIES, ShardIndex
from train.params import TrainSizeParams

log = logging.getLogger(__name__)


def run(params: TrainSizeParams, *, shards: Path, base: Path, out: Path) -> None:
    """Train the size adapter; the base's weights are not touched.

    Writes `adapter/`, and the losses of every step.
    """
    run_ = TrainingRun.begin("train_size", params, shards, out, image_size(base), base)
    networks = load_base(base, torch_dtype=FROZEN_TYPE[params.runtime.mixed_precision])
    with seeded(params.seed):
        adapter = SizeAdapter.for_sites(
            networks.sites(),
            MEANINGS,
            encoder=params.encoder,
            controller=params.controller,
            parts=params.parts,
            num_tokens=params.num_tokens,
            rank=params.rank,
            categories=TRIED_ON,
            reads_mask=shown_waistbands(shards),
        )
    log.info("the adapter has %d weights", sum(p.numel() for p in adapter.parameters()))
    task = size_task(run_, networks, adapter, base)
    judge = ladder_validation(run_, networks, adapter, base)
    rows = run_.fit(task, params.optimisation, "adapter", validation=judge, encoder=task.encoder)
    with run_.output(out, base) as partial:
        adapter.save_pretrained(partial / "adapter", run_.provenance)
        write_losses(rows, partial / "losses" / "adapter.csv")


def shown_waistbands(shards: Path) -> bool:
    """Whether the masks of the train split tell where somebody's trousers or skirt begins."""
    worn = ShardIndex(shards / "train").header.get(CATEGORIES, ())
    return not set(ON_LEGS).isdisjoint(worn)


if __name__ == "__main__":
    run_stage("train_size", run)
