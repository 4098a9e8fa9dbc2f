"""What the three training stages share: streams, encodings, checkpoints, and outputs that appear whole."""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import xxhash

from model.base import TryOnBase
from pipeline.checkpoints import RECORD
from shards.stream import SampleStream
from train.fingerprint import run_fingerprint
from train.loop import LogRow, fit
from train.params import OptimisationParams
from train.sample_encoder import SampleEncoder

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

log = logging.getLogger(__name__)

VERSIONED = ("torch", "diffusers", "transformers", "accelerate", "peft")
ENCODING_BATCH = 16


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
        """Identify the run by its parameters, the shards' index and `inputs`; work beside `out`."""
        index = shards / "train" / "index.json"
        if not index.is_file():
            raise FileNotFoundError(f"{index} not found: run `dvc repro write_shards` first")
        return cls(
            stage=stage,
            params=params,
            shards=shards,
            work=out.parent / "work",
            image_height=image_hw[0],
            image_width=image_hw[1],
            fingerprint=run_fingerprint(params, index, *inputs),
        )

    def stream(self, batch_size: int, seed: int) -> SampleStream:
        """Shuffled batches of the train split."""
        return SampleStream(
            self.shards / "train" / "index.json",
            batch_size=batch_size,
            image_height=self.image_height,
            image_width=self.image_width,
            seed=seed,
            num_threads=self.params.runtime.num_threads,
        )

    def encoder(self, base: TryOnBase) -> SampleEncoder:
        """Return the encoder of samples; it has encoded them all if the runtime parameters say so."""
        encoder = SampleEncoder(base)
        if self.params.runtime.cache_encodings:
            stream = self.stream(ENCODING_BATCH, seed=0)
            name = encodings_name(base, stream, self.image_height, self.image_width)
            encoder.fill(stream.epoch_batches(), len(stream), self.work / "encodings" / f"{name}.safetensors")
        return encoder

    def fit(
        self,
        task: torch.nn.Module,
        optimisation: OptimisationParams,
        name: str,
        parameter_groups: list[dict[str, Any]] | None = None,
    ) -> list[LogRow]:
        """Train `task` on the train split, continuing from a checkpoint of this very run."""
        return fit(
            task,
            self.stream(optimisation.batch_size, self.params.seed),
            optimisation,
            self.params.runtime,
            name=name,
            seed=self.params.seed,
            checkpoint_dir=self.checkpoint_dir / name,
            fingerprint=self.fingerprint,
            parameter_groups=parameter_groups,
        )

    @property
    def checkpoint_dir(self) -> Path:
        """Checkpoints of the stage; no output of it, so that DVC leaves them alone after a crash."""
        return self.work / "checkpoints" / self.stage

    @contextmanager
    def output(self, out: Path) -> Iterator[Path]:
        """Yield an empty folder that becomes `out` when the block ends well; checkpoints are then dropped."""
        partial = out.with_name(f".{out.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        record = {
            "stage": self.stage,
            "image_height": self.image_height,
            "image_width": self.image_width,
            "params": asdict(self.params),
            "fingerprint": self.fingerprint,
            "versions": {name: version(name) for name in VERSIONED},
        }
        (partial / RECORD).write_text(json.dumps(record, indent=2) + "\n")
        shutil.rmtree(out, ignore_errors=True)
        partial.replace(out)
        shutil.rmtree(self.checkpoint_dir, ignore_errors=True)


def encodings_name(base: TryOnBase, stream: SampleStream, image_height: int, image_width: int) -> str:
    """xxh3_128 (hex) of all that encodings depend on: data, picture size and the encoders' weights."""
    digest = xxhash.xxh3_128(f"{stream.reader.index.digest} {image_height} {image_width}".encode())
    digest.update(repr(base.vae.config.scaling_factor).encode())
    for module in (base.vae, base.text_encoder, base.text_encoder_2, base.image_encoder):
        for weight in module.state_dict().values():
            digest.update(weight.cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def write_losses(rows: list[LogRow], path: Path) -> None:
    """Write the losses of every step as CSV, for `dvc plots`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = list(rows[0].losses)
    lines = [",".join(["step", *parts])]
    lines += [",".join([str(row.step), *(f"{row.losses[part]:.6g}" for part in parts)]) for row in rows]
    path.write_text("\n".join(lines) + "\n")
