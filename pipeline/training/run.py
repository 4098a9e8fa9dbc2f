"""What the three training stages share: streams, checkpoints, and outputs that appear whole."""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
import xxhash
from accelerate import PartialState

from pipeline.checkpoints import BASE, FINGERPRINT, RECORD, read_record
from preprocess.identity import identity
from preprocess.whole import require_replaceable, whole_folder
from shards.index import CATEGORIES, INDEX_NAME, MASK, ShardIndex
from shards.latents import LATENTS_FOLDER
from shards.stream import SampleStream
from train.augment import AugmentedStream
from train.loop import Validation, fit
from train.params import AugmentationParams, OptimisationParams
from train.processes import PATIENCE
from train.sample_encoder import SampleEncoder
from train.state import LogRow, Stream

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

log = logging.getLogger(__name__)

FROZEN_TYPE = {"no": None, "fp16": torch.float16, "bf16": torch.bfloat16}
"""What frozen weights lie in, by `runtime.mixed_precision`; None: as stored."""

VERSIONED = ("torch", "diffusers", "transformers", "accelerate", "peft")


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One run of a training stage: its data, its fingerprint, and where it keeps what is not yet finished."""

    stage: str
    params: Any
    shards: Path
    work: Path
    image_height: int
    image_width: int
    fingerprint: str

    @classmethod
    def begin(
        cls,
        stage: str,
        params: "DataclassInstance",
        shards: Path,
        out: Path,
        image_hw: tuple[int, int],
        *inputs: Path,
    ) -> "TrainingRun":
        """Identify the run by code, parameters, the indices of the shards and `inputs`; work beside `out`.

        Where and how the work runs (`runtime`) doesn't count: a run may go on with more processes or threads.

        Raises:
            FileNotFoundError: There is no train split.
            FileExistsError: Something else than a training stage's output lies at `out`.
            ValueError: `out` is or contains an input.
        """
        require_replaceable(out, RECORD, shards, *inputs)
        index = shards / "train" / INDEX_NAME
        if not index.is_file():
            raise FileNotFoundError(
                f"{index} not found: the data has no train split or no usable sample in it, as the log of "
                "write_shards says, or `dvc repro write_shards` wasn't run. A VITON-HD root needs "
                "train_pairs.txt; a finished checkpoint needs no training: `cinderella evaluate` it on the "
                "test split"
            )
        optional = (index.parent / LATENTS_FOLDER / INDEX_NAME, shards / "test" / INDEX_NAME)
        data = [index, *(path for path in optional if path.is_file())]
        learned = asdict(params) | {"runtime": None}
        return cls(
            stage=stage,
            params=params,
            shards=shards,
            work=out.parent / "work",
            image_height=image_hw[0],
            image_width=image_hw[1],
            fingerprint=identity(f"pipeline.{stage}", learned, [*data, *inputs]),
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """Where weights of this run come from, to be kept beside them."""
        return {
            "stage": self.stage,
            "params": asdict(self.params),
            "data_hash": xxhash.xxh3_128((self.shards / "train" / "index.json").read_bytes()).hexdigest(),
            "fingerprint": self.fingerprint,
        }

    def stream(
        self,
        batch_size: int,
        seed: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        folder: Path | None = None,
    ) -> SampleStream:
        """Shuffled batches of the train split: of its pictures, or of what `folder` has in their place."""
        return SampleStream(
            (folder or self.shards / "train") / "index.json",
            batch_size=batch_size,
            image_height=self.image_height,
            image_width=self.image_width,
            seed=seed,
            rank=rank,
            world_size=world_size,
            num_threads=self.params.runtime.num_threads,
        )

    def share(self, optimisation: OptimisationParams, folder: Path | None = None) -> Stream:
        """This process's part of every batch, in as many pieces as a step is split into, augmented.

        Raises:
            ValueError: The batch can't be dealt evenly.
        """
        processes = processes_of_run()
        pieces = processes.num_processes * self.params.runtime.gradient_accumulation
        if optimisation.batch_size % pieces:
            raise ValueError(
                f"batch_size must be a multiple of processes times gradient_accumulation ({pieces}), "
                f"got {optimisation.batch_size}"
            )
        stream = self.stream(
            optimisation.batch_size // pieces,
            self.params.seed,
            rank=processes.process_index,
            world_size=processes.num_processes,
            folder=folder,
        )
        return AugmentedStream(stream, self.augmentation, self.params.seed)

    @property
    def augmentation(self) -> AugmentationParams:
        """What the stage's parameters allow; `train_base` allows nothing."""
        return getattr(self.params, "augmentation", AugmentationParams())

    def fit(
        self,
        task: torch.nn.Module,
        optimisation: OptimisationParams,
        name: str,
        parameter_groups: list[dict[str, Any]] | None = None,
        validation: Validation | None = None,
        encoder: SampleEncoder | None = None,
    ) -> list[LogRow]:
        """Train `task` on the train split, continuing from a checkpoint of this very run.

        With an `encoder` the task needs nothing but encodings, so stored ones are read in place of pictures.
        """
        return fit(
            task,
            self.share(optimisation, encoder.stored if encoder else None),
            optimisation,
            self.params.runtime,
            name=name,
            seed=self.params.seed,
            checkpoint_dir=self.checkpoint_dir / name,
            live_dir=self.work / "live" / self.stage / name,
            parameter_groups=parameter_groups,
            validation=validation,
        )

    @property
    def checkpoint_dir(self) -> Path:
        """Checkpoints of this run; no output of the stage, so that DVC leaves them alone after a crash.

        Another run of the stage, with other parameters, data or code, has another folder.
        """
        return self.work / "checkpoints" / self.stage / self.fingerprint[:16]

    @property
    def validation_dir(self) -> Path:
        """What validation finds while the stage runs; it becomes `validation/` of the output."""
        return self.checkpoint_dir / "validation"

    @contextmanager
    def output(self, out: Path, base: Path | None = None) -> Iterator[Path]:
        """Yield an empty folder that becomes `out` when the block ends well; its checkpoints go then.

        Those of runs that didn't end stay, for whoever goes back to their parameters. What other processes
        than the first write is thrown away. The record names the `base` that was trained on.
        """
        if not processes_of_run().is_main_process:
            with TemporaryDirectory() as unused:
                yield Path(unused)
            return
        header = ShardIndex(self.shards / "train").header
        record = {
            "stage": self.stage,
            "image_height": self.image_height,
            "image_width": self.image_width,
            MASK: header.get(MASK),
            CATEGORIES: list(header[CATEGORIES]) if CATEGORIES in header else None,
            "params": asdict(self.params),
            FINGERPRINT: self.fingerprint,
            BASE: base and read_record(base).get(FINGERPRINT),
            "versions": {name: version(name) for name in VERSIONED},
        }
        with whole_folder(out, RECORD) as partial:
            yield partial
            (partial / RECORD).write_text(json.dumps(record, indent=2) + "\n")
            if self.validation_dir.is_dir():
                shutil.copytree(self.validation_dir, partial / "validation")
        shutil.rmtree(self.checkpoint_dir, ignore_errors=True)
        others = self.checkpoint_dir.parent
        if others.is_dir() and (left := sum(path.is_dir() for path in others.iterdir())):
            log.info("%s has checkpoints of %d other runs: remove those that won't go on", others, left)


def processes_of_run() -> PartialState:
    """The processes that were launched together; without a launcher this one alone."""
    return PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)


def write_losses(rows: list[LogRow], path: Path) -> None:
    """Write the losses of every step as CSV, for `dvc plots`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = list(rows[0].losses)
    lines = [",".join(["step", *parts])]
    lines += [",".join([str(row.step), *(f"{row.losses[part]:.6g}" for part in parts)]) for row in rows]
    path.write_text("\n".join(lines) + "\n")
