"""What the bars of shards and stream ask for, beside throughput (see bench_stream).

    python -m tests.benchmarks.measure_stream [order] [resume] [memory] [incremental] [damage]

order: memory and time of the order of 10^8 samples, continued at 90 %.
resume: a run killed 20 times with SIGKILL, on other ranks and threads each time.
memory: growth of private memory while reading 1,000 and 100,000 tiny samples; time to the first batch late in
an epoch against a fresh start.
incremental: CPU of writing shards when 10 of 10,000 inputs changed, against writing all of them.
damage: four kinds planted in every shard, and how many are noticed by name.
"""

import itertools
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from pipeline.tables.sharding import build_shards
from shards.order import SampleOrder
from shards.plan import Ingredients
from shards.reader import DamageError
from shards.stream import SampleStream
from tests.shards.making import HEIGHT, WIDTH, rows_of, sample, samples, write_shards
from tests.shards.test_resume import assert_is_the_order, keys_after_kills
from tests.shards.test_stream import cut, damaged_copy, remove, swap_members, zero_inside_a_photo

TINY = 100_000


def order(scratch: Path) -> None:  # noqa: ARG001
    """Continue the order of 10^8 samples at 90 %."""
    counts = np.full(100_000, 1000)
    started = time.perf_counter()
    SampleOrder(counts, seed=0).at(np.arange(90_000_000, 90_000_256))
    seconds = time.perf_counter() - started
    tracemalloc.start()
    SampleOrder(counts, seed=0).at(np.arange(90_000_000, 90_000_256))
    say(
        f"order of 1e8 samples at 90 %: {seconds:.4f} s, {tracemalloc.get_traced_memory()[1] / 2**20:.1f} MiB"
    )


def resume(scratch: Path) -> None:
    """Kill a run 20 times."""
    write_shards(samples(53), scratch / "resume", "train", 5)
    keys, num_bytes = keys_after_kills(scratch / "resume", scratch / "saved.json", 20, 12)
    assert_is_the_order(keys, scratch / "resume")
    say(f"resume: {len(keys)} samples, killed 20 times, exactly in order; the state has {num_bytes} bytes")


def memory(scratch: Path) -> None:
    """Read 1,000 and 100,000 samples in processes of their own."""
    for count in (1000, TINY):
        write_tiny(scratch / str(count), count)
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.measure_stream",
            "--read",
            str(scratch / str(count)),
        ]
        say(f"{count} samples: {subprocess.run(command, capture_output=True, text=True, check=True).stdout}")


def write_tiny(folder: Path, count: int) -> None:
    """Write many samples that have the bytes of one but for their keys."""
    from shards.sample import encode
    from shards.ustar import pack

    members = encode(sample("x"))

    def build(key: str) -> bytes:
        record = members["size.json"].replace(b'"key":"x"', b'"key":"%s"' % key.encode())
        return pack(key, members | {"size.json": record})

    rows = [Ingredients(f"{number:06d}", str(number), f"{number:06d}") for number in range(count)]
    build_shards(rows, build, folder, "train", 500)


def read(folder: Path) -> None:
    """Read one epoch, and time the first batch late in it."""
    options = {"batch_size": 50, "image_height": HEIGHT, "image_width": WIDTH, "seed": 0}
    firsts = []
    for place in (0.0, 0.9):
        started = time.perf_counter()
        stream = SampleStream(folder, **options)
        stream.cursor = int(place * len(stream))
        next(iter(stream))
        firsts.append(time.perf_counter() - started)
    stream = SampleStream(folder, **options)
    batches = iter(stream)
    for _ in itertools.islice(batches, 10):
        pass
    before = private_mib()
    for _ in itertools.islice(batches, len(stream) // 50):
        pass
    sys.stdout.write(
        f"{private_mib() - before:+.1f} MiB in an epoch, {before:.1f} MiB before; "
        f"first batch {firsts[0]:.3f} s fresh, {firsts[1]:.3f} s at 90 %"
    )


def private_mib() -> float:
    """Private memory of this process."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def incremental(scratch: Path) -> None:
    """Build 10,000 samples, then change 10 of them, then nothing."""
    rows = rows_of(10_000)
    changed = rows_of(10_000, changed=tuple(range(0, 10_000, 1000)))
    seconds = []
    for these in (rows, changed, changed):
        before = resource.getrusage(resource.RUSAGE_SELF)
        counts = build_shards(these, as_dear_as_a_sample, scratch / "incremental", "train", 256)
        after = resource.getrusage(resource.RUSAGE_SELF)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    say(
        f"incremental: all {seconds[0]:.2f} CPU s, 10 of 10,000 changed {seconds[1]:.2f} s "
        f"({seconds[1] / seconds[0]:.1%}), nothing changed {seconds[2]:.2f} s; {dict(counts)}"
    )


def as_dear_as_a_sample(what: tuple[int, int]) -> bytes:
    """Make a small blob in 2 ms, far less than decoding, masking and encoding a real sample takes."""
    from tests.shards.making import build

    until = time.process_time() + 0.002
    while time.process_time() < until:
        pass
    return build(what)


def damage(scratch: Path) -> None:
    """Plant each kind of damage in every shard in turn."""
    made = scratch / "damage"
    write_shards(samples(200), made, "train", 8)
    noticed = planted = 0
    options = {"batch_size": 4, "image_height": HEIGHT, "image_width": WIDTH, "seed": 0}
    for number, kind in itertools.product(range(25), (zero_inside_a_photo, cut, remove, swap_members)):
        copy, shards = damaged_copy(made, scratch / f"copy-{kind.__name__}-{number}")
        if shards[number]["num_samples"] < 3:
            continue
        planted += 1
        kind(copy / shards[number]["name"], shards[number])
        try:
            list(SampleStream(copy, **options).epoch_batches())
        except DamageError as error:
            noticed += shards[number]["name"] in str(error)
    say(f"damage: {noticed} of {planted} noticed by name")


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


MEASURES = {
    "order": order,
    "resume": resume,
    "memory": memory,
    "incremental": incremental,
    "damage": damage,
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        read(Path(sys.argv[2]))
    else:
        for name in sys.argv[1:] or MEASURES:
            with tempfile.TemporaryDirectory() as folder:
                MEASURES[name](Path(folder))
