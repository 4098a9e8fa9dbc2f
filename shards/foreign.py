"""Shards that have no index of ours, read by webdataset in their own order."""

import logging
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence

from shards.reader import DamageError, OnDamage
from shards.sample import Sample, decode
from shards.ustar import KEY, SampleError

log = logging.getLogger(__name__)


def foreign_samples(
    urls: Sequence[str], *, on_damage: OnDamage = OnDamage.RAISE, damaged: Counter[str] | None = None
) -> Iterator[Sample]:
    """Yield the samples of WebDataset tars that have our members (see `shards.sample`).

    Without an index nothing tells whether bytes are as they were written, only whether they can be decoded.
    To get that, a resumable order and random access, pass the samples to `shards.writer.write_shards`.

    Args:
        urls: Paths or URLs of tars, as webdataset takes them.
        on_damage: Whether a sample that can't be decoded, or the rest of a tar that can't be read, raises or
            is left out.
        damaged: Counts what was left out, by tar and key.

    Raises:
        DamageError: Something can't be read, and `on_damage` is `raise`.
    """
    counts = Counter() if damaged is None else damaged
    for url in urls:
        members = _members(url)
        while True:
            name = url
            try:
                raw = next(members, None)
                if raw is None:
                    break
                key = str(raw["__key__"])
                name = f"{url}/{key}"
                yield _decoded(key, raw)
            except (SampleError, tarfile.TarError, OSError, ValueError) as error:
                if on_damage == OnDamage.RAISE:
                    raise DamageError(f"{name}: {error}") from error
                counts[name] += 1
                log.warning("left out %s: %s", name, error)


def _members(url: str) -> Iterator[dict[str, object]]:
    """Yield the members of each sample of a tar by suffix, with `__key__`."""
    import webdataset  # takes seconds

    yield from webdataset.WebDataset([url], shardshuffle=False, empty_check=False)


def _decoded(key: str, raw: dict[str, object]) -> Sample:
    """Decode one sample as webdataset gives it."""
    if not KEY.fullmatch(key):
        raise SampleError(f"a key must consist of letters, digits, '_', '+' and '-', got {key[:80]!r}")
    return decode(key, {name: value for name, value in raw.items() if isinstance(value, bytes)})
