"""Questions about the preset `small`: does the stream feed it, and what does it learn in the minutes left."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides

from model.bases.tiny.networks import SMALL, SmallBase, build_tiny_base
from pipeline import (
    compute_size_ratios,
    evaluate_tryon,
    extract_keypoints,
    prepare_dataset,
    train_base,
    train_joint,
    train_size,
    write_shards,
)
from pipeline.cli.recipes import recipe_of
from pipeline.params import load_params
from preprocess.identity import ROOT
from shards.stream import SampleStream
from tests.gpu.report import Question
from tests.gpu.setting import Setting
from tests.sizes import UPPER
from train.params import LossParams, OptimisationParams
from train.sample_encoder import SampleEncoder
from train.trainer import Trainer
from train.tryon import TryOnTask
from train.watch import Watch, accelerator_of

DOLLS, TEST_DOLLS = 800, 40
WATCHED_STEPS = 20
RESERVED_S = 60.0
"""For the evaluation."""

COMPILES_ABOVE_S = 400.0
"""With less left the stream feeds steps that aren't compiled: to compile them takes a minute or two."""

SHARES = {
    "autoencoder": (0.08, 0.15),
    "encoders": (0.02, 0.15),
    "unets": (0.30, 1.0),
    "segmenter": (0.07, 0.1),
    "critic": (0.06, 0.2),
    "size": (0.15, 1.0),
    "joint": (0.90, 1.2),
}
"""Of the time that is left when its stage begins, and how long a step is beside one of the UNets."""


def questions(setting: Setting) -> Iterator[Question]:
    """Yield what is asked."""
    trial = Trial(setting)
    yield Question(name="dolls of preset small, measured and in shards", budget_s=120, work=trial.prepare)
    yield Question(
        name="the stream feeds preset small",
        budget_s=150,
        work=trial.feed,
        bars={"waits": ("<=", 0.01)},
    )
    yield Question(
        name="preset small in the time left",
        budget_s=3600,
        work=trial.learn,
        bars={f"{name}_order_accuracy": (">=", 0.98) for name in UPPER},
    )


@dataclass
class Trial:
    """Preset small from dolls to a report."""

    setting: Setting
    step_s: float = 1.0
    """Seconds of a step of the UNets, not compiled."""

    @cached_property
    def folder(self) -> Path:
        """Where everything lies while it is made."""
        return Path(tempfile.mkdtemp(prefix="small-", dir=self.setting.out))

    @cached_property
    def params(self) -> Any:
        """params.yaml with the preset's changes."""
        with tempfile.TemporaryDirectory() as name:
            changed = Path(name) / "params.yaml"
            shutil.copy(ROOT / "params.yaml", changed)
            overrides = to_path_overrides(recipe_of("small").command("small")[6::2])["params.yaml"]
            apply_overrides(changed, overrides)
            return load_params(changed)

    @property
    def runtime(self) -> Any:
        """The preset's, on this device, not compiled: three stages would spend the minutes left on it.

        Nobody goes on with a stage, so there are no checkpoints but the last.
        """
        wanted = self.params.train_base.runtime
        options = {"mixed_precision": self.setting.precision, "tracker": "none", "checkpoint_every": 100_000}
        return replace(wanted, **options, compile=False)

    def prepare(self) -> Mapping[str, Any]:
        """Draw dolls, measure them and write shards."""
        params, out = self.params, self.folder
        counts = (6, 4) if self.setting.tiny else (DOLLS, TEST_DOLLS)
        dolls = replace(params.prepare_dataset.paper_dolls, train=counts[0], test=counts[1])
        if self.setting.tiny:
            dolls = replace(dolls, image_height=256, image_width=192)
        manifest, keypoints = out / "manifest.parquet", out / "keypoints.parquet"
        prepare_dataset.run(replace(params.prepare_dataset, paper_dolls=dolls), raw=out / "raw", out=manifest)
        extract_keypoints.run(params.extract_keypoints, manifest=manifest, out=keypoints)
        files = {"manifest": manifest, "keypoints": keypoints}
        compute_size_ratios.run(params.compute_size_ratios, **files, out=self.annotations)
        shards = out / "shards"
        write_shards.run(params.write_shards, **files, size_annotations=self.annotations, out=shards)
        return {"train": counts[0], "test": counts[1]}

    @property
    def annotations(self) -> Path:
        """size_annotations.parquet."""
        return self.folder / "size_annotations.parquet"

    def feed(self) -> Mapping[str, float]:
        """Train the UNets for some steps from pictures that the stream decodes; how long they wait for it.

        Steps are what `learn` will take, timed first as it takes them. Then they are compiled, as the preset
        wants it, where that can be done and leaves `learn` its minutes.
        """
        section = self.params.train_base
        timely = self.setting.left() > COMPILES_ABOVE_S
        runtime = replace(self.runtime, compile=self.setting.on_gpu and timely and self.setting.compiles)
        base = build_tiny_base(SMALL, 0, SmallBase).to(self.setting.device).requires_grad_(False)
        base.tryon_unet.requires_grad_(True)
        base.garment_unet.requires_grad_(True)
        loss = LossParams(**asdict(section.loss))
        task = TryOnTask(base, SampleEncoder(base), loss=loss, text_dropout=section.dropout)
        batch_size = 2 if self.setting.tiny else section.unets.batch_size
        steps = replace(section.unets, batch_size=batch_size)
        stream = SampleStream(
            self.folder / "shards" / "train",
            batch_size=batch_size,
            image_height=SMALL.image_height,
            image_width=SMALL.image_width,
            seed=0,
            num_threads=runtime.num_threads,
        )
        accelerator = accelerator_of(runtime, self.folder)
        trainer = Trainer(accelerator, task, stream, steps, runtime, seed=0)
        watch = Watch(accelerator, "small", steps, runtime, self.folder, trainer.state)
        warm_up, repeats = (1, 1) if self.setting.tiny else (3, WATCHED_STEPS)

        def step_s() -> float:
            for _ in range(warm_up):
                trainer.step(watch)
            watch.spent.clear()
            return self.setting.seconds(lambda: trainer.step(watch), repeats=repeats, warm_up=0)

        with torch.compiler.set_stance("force_eager"):
            self.step_s = wanted_s = step_s()
        if runtime.compile:
            wanted_s = step_s()
        return {
            "compiled": runtime.compile,
            "waits": watch.spent["data"] / (watch.spent["data"] + watch.spent["compute"]),
            "samples_per_s": batch_size / wanted_s,
            "step_ms": 1000 * wanted_s,
            "eager_step_ms": 1000 * self.step_s,
        }

    def learn(self) -> Mapping[str, Any]:
        """Train all stages in the time left, draw ladders of held-out people, and keep the strip."""
        out, params = self.folder, self.params
        shards = out / "shards"
        left = self.setting.left()
        networks = {
            name: self.schedule(name, getattr(params.train_base, name), left) for name in BASE_NETWORKS
        }
        base = replace(params.train_base, **networks, runtime=self.runtime)
        train_base.run(base, shards=shards, out=out / "base")
        stages = (("size", train_size, params.train_size), ("joint", train_joint, params.train_joint))
        before: dict[str, Path] = {"shards": shards, "base": out / "base"}
        for name, stage, section in stages:
            told = replace(
                section,
                optimisation=self.schedule(name, section.optimisation, self.setting.left()),
                validation=replace(section.validation, every=0),
                runtime=self.runtime,
            )
            stage.run(told, **before, out=out / name)
            before[name] = out / name
        count = (
            {"num_people": 2, "num_rungs": 2, "num_bootstrap": 5} if self.setting.tiny else {"num_people": 8}
        )
        evaluate_tryon.run(
            replace(params.evaluate_tryon, **count, image_sizes=()),
            **before,
            size_annotations=self.annotations,
            headline=self.setting.out / "small-headline.json",
            out=out / "reports",
        )
        shutil.copy(out / "reports" / "strip.png", self.setting.out / "small-strip.png")
        metrics = json.loads((out / "reports" / "metrics.json").read_text())
        shutil.rmtree(out)
        found = {f"{name}_order_accuracy": metrics["ladder"][name]["order_accuracy"] for name in UPPER}
        steps = {f"{name}_steps": network.steps for name, network in networks.items()}
        image = {
            name: metrics["image"][name] for name in ("psnr_inside_mask", "garment_delta_e", "print_kept")
        }
        return found | image | steps

    def schedule(self, name: str, wanted: OptimisationParams, left_s: float) -> OptimisationParams:
        """As many steps as the network's share of the time allows, and no more than the preset has.

        The learning rate rises over as large a part of them. `left_s` is asked for anew before each stage:
        those behind make up for one that took longer.
        """
        if self.setting.tiny:
            return replace(wanted, steps=1, batch_size=2, warmup_steps=0)
        share, beside = SHARES[name]
        timely = int(share * (left_s - RESERVED_S) / (beside * self.step_s))
        steps = max(10, min(wanted.steps, timely))
        return replace(wanted, steps=steps, warmup_steps=wanted.warmup_steps * steps // wanted.steps)


BASE_NETWORKS = ("autoencoder", "encoders", "unets", "segmenter", "critic")
