"""Bring a folder of shards up to date: a part is a shard, written where one of its samples changed."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline.engine.parts import Engine, FinishedParts, Inline, Part, Run, run_parts
from pipeline.engine.store import PartStore
from shards.index import INDEX_NAME, ShardEntry, parse_entry
from shards.plan import Ingredients, ShardPlan, plan_shards
from shards.writer import fill_shard, replace_shards

log = logging.getLogger(__name__)

T = TypeVar("T")

TAR, MADE = "shard.tar", "made.json"
"""Files of a finished part: the tar; its entry in the index, and how many samples were built."""

MOST_LOGGED = 50
"""Samples that are left out whose reasons are logged one by one."""


def build_shards(
    rows: Sequence[Ingredients[T]],
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
    out_dir.mkdir(parents=True, exist_ok=True)
    plans = plan_shards(rows, out_dir, prefix, samples_per_shard)
    shards = Shards(plans, partial(write_shard, build), out_dir, prefix, gpus, dict(header or {}))
    run_parts(shards, engine or Inline(), PartStore((out_dir / ".parts").absolute()))
    counts = shards.counts
    counts["kept"] = len(rows) - counts["built"] - counts["copied"] - counts["skipped"]
    log.info("%s: %s", out_dir, ", ".join(f"{number} {what}" for what, number in counts.items()))
    return counts


def write_shard(build: Callable[[T], bytes], part: Part, out: Path) -> Mapping[str, int]:
    """Write the tar of a part and its entry into the folder `out`; return the samples left out by reason."""
    with (out / TAR).open("wb") as file:
        entry, built = fill_shard(part.payload, build, file)
    (out / MADE).write_text(json.dumps({"entry": asdict(entry), "built": built}))
    reasons = (text.removeprefix(f"{key}: ").split(":")[0] for key, text in entry.skipped.items())
    return Counter(reasons)


@dataclass(frozen=True)
class Shards(Generic[T]):
    """The shards of one split, as a stage of `pipeline.engine`."""

    plans: list[ShardPlan[T]]
    run: Run
    out_dir: Path
    prefix: str
    gpus: int
    header: dict[str, Any]
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
        return sum(len(plan.rows) for plan in self.plans)

    def plan(self) -> Iterator[Part]:
        """Yield the shards that have to be written."""
        before = 0
        for plan in self.plans:
            if plan.is_done():
                before += len(plan.rows)
                continue
            fresh = plan.num_fresh()
            key = f"{plan.path.stem}-{plan.plan_hash}"
            yield Part(key=key, size=fresh, payload=plan, before=before + len(plan.rows) - fresh)
            before = 0

    def merge(self, parts: FinishedParts) -> None:
        """Put the tars that were written in their places, and write the index.

        Raises:
            ValueError: There would be no sample.
        """
        made: dict[str, str] = {}  # keys of parts by the names of their tars
        entries = {plan.path.name: plan.old for plan in self.plans if plan.old is not None}
        for key, file in zip(parts.keys, parts.files(MADE), strict=True):
            values = json.load(file)
            entry, built = parse_entry(values["entry"]), values["built"]
            made[entry.name], entries[entry.name] = key, entry
            self.counts.update(built=built, copied=entry.num_samples - built, shards_written=1)
        ordered = [entries[plan.path.name] for plan in self.plans]
        self.counts["skipped"] = self.tell_skipped(ordered)

        def put(name: str) -> None:
            parts.store.hand_over(made[name], TAR, self.out_dir / name)

        replace_shards(self.out_dir, self.prefix, ordered, self.header, made, put)

    def tell_skipped(self, entries: list[ShardEntry]) -> int:
        """Log the samples that are left out, and return how many."""
        skipped = [reason for entry in entries for reason in entry.skipped.values()]
        for reason in skipped[:MOST_LOGGED]:
            log.warning("left out %s", reason)
        if (more := len(skipped) - MOST_LOGGED) > 0:
            log.warning("left out %d more: their reasons are in %s", more, INDEX_NAME)
        if len(skipped) == self.total:
            raise ValueError(
                f"{self.out_dir} would have no sample: all {self.total} are left out, first {skipped[0]}"
            )
        return len(skipped)
