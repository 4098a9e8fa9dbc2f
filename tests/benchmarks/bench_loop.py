"""What the loop costs beside a bare forward-backward-step loop, and how long it waits for data.

    python -m tests.benchmarks.bench_loop --shards artifacts/shards [--steps 40]

The task is `train_size`'s on the tiny preset, batch 16, encodings kept. The bare loop goes forward, backward
and steps the same optimiser on one batch that is already there. Steps of both alternate in one process;
medians are compared.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path

from torch.optim import Optimizer

from model.bases.tiny.networks import TinyPreset
from shards.batch import Batch
from tests.benchmarks.training_run import SEED, runtime, sample_stream, schedule, size_task
from train.keyed_random import KeyedRandom
from train.trainer import Trainer, make_optimizer
from train.tryon import TryOnTask
from train.watch import Watch, accelerator_of

BATCH, WARM_UP = 16, 3


def bare_step(task: TryOnTask, optimizer: Optimizer, batch: Batch) -> float:
    """Seconds of a step of a loop without anything."""
    started = time.perf_counter()
    task(batch, KeyedRandom(SEED, batch.position))["loss"].backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return time.perf_counter() - started


def loop_step(trainer: Trainer, watch: Watch) -> tuple[float, float]:
    """Seconds of a step of the training loop, and of these the wait for data."""
    watch.lap("between")
    started = time.perf_counter()
    trainer.step(watch)
    return time.perf_counter() - started, watch.waited


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    preset = TinyPreset()
    task, bare = size_task(preset), size_task(preset)
    stream = sample_stream(options.shards, preset, BATCH)
    total = options.steps + WARM_UP
    few = list(itertools.islice(iter(sample_stream(options.shards, preset, BATCH)), total))
    with tempfile.TemporaryDirectory() as folder:
        for one in (task, bare):
            one.encoder.write(few, total * BATCH, Path(folder) / "encodings.safetensors")
            one.encoder.load(Path(folder) / "encodings.safetensors")
        params, settings = schedule(total, BATCH), runtime(checkpoint_every=10_000)
        accelerator = accelerator_of(settings, Path(folder))
        trainer = Trainer(accelerator, task, stream, params, settings, SEED)
        watch = Watch(accelerator, "bench", params, settings, Path(folder), trainer.state)
        trained = [weight for weight in bare.parameters() if weight.requires_grad]
        optimizer = make_optimizer([{"params": trained}], params)
        rows = [(bare_step(bare, optimizer, few[0]), *loop_step(trainer, watch)) for _ in range(total)]
    plain, ours, waits = zip(*rows[WARM_UP:], strict=True)
    bare_ms, loop_ms = 1000 * statistics.median(plain), 1000 * statistics.median(ours)
    print(f"bare loop {bare_ms:.1f} ms, our loop {loop_ms:.1f} ms: ratio {loop_ms / bare_ms:.3f}")  # noqa: T201
    print(f"waits for data: {sum(waits) / sum(ours):.2%} of the time")  # noqa: T201


if __name__ == "__main__":
    main()
