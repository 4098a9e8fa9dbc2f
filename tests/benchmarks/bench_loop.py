"""What the loop costs beside a bare forward-backward-step loop, and how long it waits for data.

    python -m tests.benchmarks.bench_loop --shards artifacts/shards [--steps 12] [--rounds 3]

The task is `train_size`'s on the tiny preset, batch 16, encodings kept. The bare loop goes forward, backward
and steps the same optimiser on one batch that is already there. Both alternate for `--rounds` rounds in one
process; medians of a step are compared.
"""

import argparse
import copy
import itertools
import statistics
import tempfile
import time
from pathlib import Path

from model.presets import TinyPreset
from shards.batch import Batch
from tests.benchmarks.training_run import SEED, runtime, sample_stream, schedule, size_task
from train.keyed_random import KeyedRandom
from train.loop import Trainer
from train.optimizer import make_optimizer
from train.tryon import TryOnTask
from train.watch import Watch, accelerator_of

BATCH = 16


def bare_steps(task: TryOnTask, batch: Batch, steps: int) -> list[float]:
    """Seconds of each step of a loop without anything."""
    trained = [weight for weight in task.parameters() if weight.requires_grad]
    optimizer = make_optimizer([{"params": trained}], schedule(steps, BATCH))
    seconds = []
    for _ in range(steps):
        started = time.perf_counter()
        task(batch, KeyedRandom(SEED, batch.position))["loss"].backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - started)
    return seconds


def loop_steps(trainer: Trainer, watch: Watch, steps: int) -> tuple[list[float], list[float]]:
    """Seconds of each step of the training loop, and of these the wait for data."""
    seconds, waits = [], []
    watch.lap()
    for _ in range(steps):
        started = time.perf_counter()
        trainer.step(watch)
        seconds.append(time.perf_counter() - started)
        waits.append(watch.waited)
    return seconds, waits


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    preset = TinyPreset()
    task, bare = size_task(preset), size_task(preset)
    stream = sample_stream(options.shards, preset, BATCH)
    total = options.steps * options.rounds + 2
    few = list(itertools.islice(iter(sample_stream(options.shards, preset, BATCH)), total))
    with tempfile.TemporaryDirectory() as folder:
        for one in (task, bare):
            one.encoder.fill(few, total * BATCH, Path(folder) / "encodings.safetensors")
        params, settings = schedule(total, BATCH), runtime(checkpoint_every=10_000)
        accelerator = accelerator_of(settings, Path(folder))
        trainer = Trainer(accelerator, task, stream, params, settings, SEED)
        watch = Watch(accelerator, "bench", params, settings, Path(folder), [])
        batch = copy.deepcopy(few[0])
        bare_steps(bare, batch, 2)
        loop_steps(trainer, watch, 2)
        plain, ours, waits = [], [], []
        for _ in range(options.rounds):
            plain += bare_steps(bare, batch, options.steps)
            seconds, waited = loop_steps(trainer, watch, options.steps)
            ours += seconds
            waits += waited
    bare_ms, loop_ms = 1000 * statistics.median(plain), 1000 * statistics.median(ours)
    print(f"bare loop {bare_ms:.1f} ms, our loop {loop_ms:.1f} ms: ratio {loop_ms / bare_ms:.3f}")  # noqa: T201
    print(f"waits for data: {sum(waits) / sum(ours):.2%} of the time")  # noqa: T201


if __name__ == "__main__":
    main()
