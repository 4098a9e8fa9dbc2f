"""DVC stage `train_base`: shards -> base/, the try-on networks without size, and the two judges of size."""

import logging
from pathlib import Path

from model.adapter.body_maps import NUM_BODY_MAPS
from model.bases import BASES
from model.judges.critic import SizeCritic
from model.judges.segmenter import Segmenter
from model.weights import seeded
from pipeline.stage import run_stage
from pipeline.training.run import FROZEN_TYPE, TrainingRun, processes_of_run, write_losses
from pipeline.training.sample_encodings import encoder_of
from pipeline.training.tiny import TWO_NETWORKS, train_tiny, train_two_networks
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import SPLITS, TRIED_ON
from shards.index import CATEGORIES, INDEX_NAME, ShardIndex
from shards.reader import ShardReader
from shards.storage import open_folder
from train.params import TrainBaseParams
from train.perception import CriticTask, SegmenterTask
from train.state import LogRow

log = logging.getLogger(__name__)

RECIPES = {
    "tiny": train_tiny,
    "small": train_tiny,
    **dict.fromkeys(TWO_NETWORKS, train_two_networks),
}
"""How the bases that are made from scratch are made, by the names of `BASES`."""


def run(params: TrainBaseParams, *, shards: Path, out: Path) -> None:
    """Make the base from scratch, or take pretrained networks; train the judges.

    Writes the base that was made, beside `segmenter/` and `size_critic/`.
    """
    entry = BASES[params.preset]
    kind = entry.load()
    run_ = TrainingRun.begin("train_base", params, shards, out, kind.picture_hw)
    require_known_people(shards)
    losses: dict[str, list[LogRow]] = {}
    if entry.pretrained:
        assert params.pretrained is not None
        frozen = FROZEN_TYPE[params.runtime.mixed_precision]
        base = kind.from_pretrained(params.pretrained, frozen).requires_grad_(False)
        base.to(processes_of_run().device)
        encoder = encoder_of(run_, base)
    else:
        base, encoder, losses = RECIPES[params.preset](run_, params)
    with seeded(params.seed):
        segmenter = Segmenter()
        critic = SizeCritic(base.latent_channels, NUM_BODY_MAPS, AXIS_NAMES, TRIED_ON)
    losses["segmenter"] = run_.fit(SegmenterTask(segmenter, encoder), params.segmenter, "segmenter")
    losses["critic"] = run_.fit(CriticTask(critic, encoder), params.critic, "critic", encoder=encoder)
    with run_.output(out) as partial:
        if not entry.pretrained:
            base.save_pretrained(partial)
        segmenter.save_pretrained(partial / "segmenter")
        critic.save_pretrained(partial / "size_critic")
        for name, rows in losses.items():
            write_losses(rows, partial / "losses" / f"{name}.csv")


def require_known_people(shards: Path) -> None:
    """Refuse data on which a later stage would stop, before anything is trained.

    Raises:
        FileNotFoundError: There is no test split.
        ValueError: Nobody of the train split is known on any axis, or of the test split, where validation and
            evaluation look for people; all of the train split are alike; or the test split has garments of a
            category that the train split lacks.
    """
    for split, use in (("train", "there is no size to learn"), ("test", "nobody can be judged")):
        index = shards / split / INDEX_NAME
        if not index.is_file():
            raise FileNotFoundError(
                f"{index} not found: the data has no {split} split, or no usable sample in it, so {use}. "
                "Training takes both; what prepare_dataset and write_shards log says what was found"
            )
        known = known_of(shards / split)
        log.info("%s: people known by axis: %s", split, known)
        if known is not None and not any(known.values()):
            raise ValueError(
                f"the {split} split has nobody whose size is known, so {use}: see the reasons with "
                "`cinderella inspect`; photos with parse maps and joints are known more often, and "
                "compute_size_ratios.max_uncertainty says what counts as known"
            )
    trained, tested = (ShardIndex(shards / split).header.get(CATEGORIES, {}) for split in SPLITS)
    further = [category for category in tested if category not in trained]
    if trained and further:
        raise ValueError(
            f"the train split has garments of {', '.join(trained)} alone, but the test split also of "
            f"{', '.join(further)}, on which nothing could be judged: leave these out "
            "(prepare_dataset.category), or add them to the train split"
        )
    if not sizes_vary(shards / "train"):
        raise ValueError(
            "the people of the train split whose size is known are all alike, so there is no size to learn: "
            "add photos in which the garments fit otherwise"
        )


def sizes_vary(folder: Path) -> bool:
    """Tell whether two people in garments of one category are known to differ; reads on until they do."""
    reader = ShardReader(open_folder(folder), 1, 1)  # whose pictures nobody decodes
    first: dict[tuple[str, int], float] = {}
    return any(
        ratio is not None and first.setdefault((record.category, axis), ratio) != ratio
        for record in reader.records()
        for axis, ratio in enumerate(record.ratios)
    )


def known_of(folder: Path) -> dict[str, int] | None:
    """On each axis, how many people in a split's shards are known; None where the shards don't say so."""
    known: dict[str, int] | None = ShardIndex(folder).header.get("known")
    return known


if __name__ == "__main__":
    run_stage("train_base", run)
