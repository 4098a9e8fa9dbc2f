"""Bring a folder of shards up to date: a part is a shard, written where one of its samples changed."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline.engine.parts import Engine, FinishedParts, Inline, Part, Run, run_parts
from pipeline.engine.store import PartStore
from shards.index import INDEX_NAME, ShardEntry, parse_entry
from shards.plan import Ingredients, KnownShards, Rows, plan_shards, tar_names
from shards.writer import fill_shard, replace_shards

log = logging.getLogger(__name__)

T = TypeVar("T")

TAR, MADE = "shard.tar", "made.json"
"""Files of a finished part: the tar; its entry in the index, and how many samples were built."""

MOST_LOGGED = 50
"""Samples that are left out whose reasons are logged one by one."""


def build_shards(
    rows: Rows[T] | Iterable[Ingredients[T]],
    build: Callable[[T], bytes],
    out_dir: Path,
    prefix: str,
    samples_per_shard: int,
    *,
    engine: Engine | None = None,
    gpus: int = 0,
    header: Mapping[str, Any] | None = None,
) -> Counter[str]:
    """Write `{prefix}-%06d.tar` and `index.json` into `out_dir`, doing only what isn't done.

    Args:
        rows: One for each sample, with unique keys, in any order.
        build: Makes the packed bytes of a sample. A `SampleError` leaves the sample out and its message in
            the index. It must pickle where the engine works in other processes.
        out_dir: Made when missing.
        prefix: Of the tars' names.
        samples_per_shard: On average.
        engine: Where shards are written; None: in this process. The bytes don't depend on it.
        gpus: That a shard takes.
        header: More to write into the index.

    Returns:
        Samples that were `built`, `copied` (from a shard that had to be rewritten), `kept` and `skipped`, and
        how many `shards_written`.

    Raises:
        ValueError: No rows, or none that can be built; keys that aren't unique, or `out_dir` holds tars that
            aren't ours.
    """
    rows = rows if isinstance(rows, Rows) else Rows(rows)
    if not len(rows):
        raise ValueError(f"{out_dir} needs at least one sample")
    out_dir.mkdir(parents=True, exist_ok=True)
    known = KnownShards(out_dir, prefix)
    names = tar_names(prefix, -(-len(rows) // samples_per_shard))
    run = partial(write_shard, build)
    shards = Shards(rows, known, names, run, out_dir, prefix, gpus, dict(header or {}))
    run_parts(shards, engine or Inline(), PartStore((out_dir / ".parts").absolute()))
    counts = shards.counts
    counts["kept"] = len(rows) - counts["built"] - counts["copied"] - counts["skipped"]
    log.info("%s: %s", out_dir, ", ".join(f"{number} {what}" for what, number in counts.items()))
    return counts


def write_shard(build: Callable[[T], bytes], part: Part, out: Path) -> Mapping[str, int]:
    """Write the tar of a part and its entry into the folder `out`; return the samples left out by reason."""
    with (out / TAR).open("wb") as file:
        entry, built = fill_shard(part.payload, build, file)
    (out / MADE).write_text(json.dumps({"entry": entry.values(), "built": built}))
    reasons = (text.removeprefix(f"{key}: ").split(":")[0] for key, text in entry.skipped.items())
    return Counter(reasons)


@dataclass(frozen=True)
class Shards(Generic[T]):
    """The shards of one split, as a stage of `pipeline.engine`."""

    rows: Rows[T]
    known: KnownShards
    names: list[str]
    """Of all tars."""

    run: Run
    out_dir: Path
    prefix: str
    gpus: int
    header: dict[str, Any]
    made: dict[str, str] = field(default_factory=dict)
    """Keys of the parts by the names of the tars that are written; filled by `plan`."""

    counts: Counter[str] = field(
        default_factory=lambda: Counter(built=0, copied=0, kept=0, skipped=0, shards_written=0)
    )
    """See `build_shards`; filled by `merge`."""

    @property
    def name(self) -> str:
        """For the progress bar."""
        return f"{self.prefix} shards"

    @property
    def total(self) -> int:
        """Samples of all shards."""
        return len(self.rows)

    def plan(self) -> Iterator[Part]:
        """Yield the shards that have to be written."""
        before = 0
        for plan in plan_shards(self.rows, self.known, self.out_dir, self.names):
            if plan.is_done():
                before += len(plan.rows)
                continue
            fresh = plan.num_fresh()
            key = self.made[plan.path.name] = f"{plan.path.stem}-{plan.plan_hash}"
            yield Part(key=key, size=fresh, payload=plan, before=before + len(plan.rows) - fresh)
            before = 0

    def merge(self, parts: FinishedParts) -> None:
        """Put the tars that were written in their places, and write the index.

        Raises:
            ValueError: There would be no sample.
        """
        for file in parts.files(MADE):
            values = json.load(file)
            copied = values["entry"]["num_samples"] - values["built"]
            self.counts.update(built=values["built"], copied=copied, shards_written=1)
        entries = Entries(self, parts)
        self.counts["skipped"] = self.tell_skipped(entries)

        def put(name: str) -> None:
            parts.store.hand_over(self.made[name], TAR, self.out_dir / name)

        replace_shards(self.out_dir, self.prefix, entries, self.header, self.made, put)

    def tell_skipped(self, entries: Iterable[ShardEntry]) -> int:
        """Log the samples that are left out, and return how many."""
        count, first = 0, ""
        for reason in (reason for entry in entries for reason in entry.skipped.values()):
            count, first = count + 1, first or reason
            if count <= MOST_LOGGED:
                log.warning("left out %s", reason)
        if count > MOST_LOGGED:
            log.warning("left out %d more: their reasons are in %s", count - MOST_LOGGED, INDEX_NAME)
        if count == self.total:
            raise ValueError(
                f"{self.out_dir} would have no sample: all {self.total} are left out, first {first}"
            )
        return count


@dataclass(frozen=True)
class Entries(Generic[T]):
    """All shards as they become, in order: read from the parts and from the old index, every time anew."""

    shards: Shards[T]
    parts: FinishedParts

    def __iter__(self) -> Iterator[ShardEntry]:
        for name in self.shards.names:
            if name in self.shards.made:
                with self.parts.store.open(self.shards.made[name], MADE) as file:
                    yield parse_entry(json.load(file)["entry"])
            elif (entry := self.shards.known.entry(name)) is not None:
                yield entry
