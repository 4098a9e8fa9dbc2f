"""Photos that a data set has more than once, under other names, in one split or in both.

A photo of another split that is in train too is nobody held out. VITON-HD as it is given out has such: 36 of
its 2,032 test samples are in train.

Source:
    Velioglu et al. 2024, "TryOffDiff", arXiv 2411.18350, who found them by perceptual hashes of the garments
    and sorted out false ones by eye. Here files must be the same, byte for byte: that is never false, and
    doesn't see a photo that was saved again.
"""

import weakref
from collections import Counter, defaultdict
from collections.abc import Iterator

import pyarrow as pa

from preprocess.shelf import scratch

SAME_PHOTO = "same_photo_as"
"""Column of the manifest and of size annotations; see `SAME_PHOTO_FIELDS`."""

SAME_PHOTO_FIELDS = (pa.field("image_hash", pa.string()), pa.field(SAME_PHOTO, pa.string()))
"""Of the manifest: the xxh3_128 (hex) of the photo's bytes, null where it can't be decoded or wasn't read;
and the first sample with that photo, as `{split}/{key}`, of train before others, null in that one itself."""

TRAIN = "train"
EXAMPLES = 3
"""Samples that are named where copies are told."""


class SamePhotos:
    """Finds the first sample with each photo, on disk: of train before others, then as they came."""

    def __init__(self) -> None:
        self.db = scratch()
        self.db.execute("CREATE TABLE photos (sample TEXT NOT NULL, train INTEGER NOT NULL, hash BLOB)")
        self.db.execute("CREATE TABLE repeated (hash BLOB PRIMARY KEY, first INTEGER) WITHOUT ROWID")
        weakref.finalize(self, self.db.close)

    def add(self, split: str, key: str, image_hash: str | None) -> None:
        """Note a sample's photo by the hash (hex) of its bytes; None: they aren't known."""
        known = None if image_hash is None else bytes.fromhex(image_hash)
        self.db.execute("INSERT INTO photos VALUES (?, ?, ?)", (f"{split}/{key}", split == TRAIN, known))

    def firsts(self) -> Iterator[str | None]:
        """Yield for each sample, as they came, the first with its photo; None where it is that itself.

        To be asked once, when all are there.
        """
        self.db.execute(
            "INSERT INTO repeated SELECT hash, coalesce(min(CASE WHEN train THEN rowid END), min(rowid)) "
            "FROM photos WHERE hash IS NOT NULL GROUP BY hash HAVING count(*) > 1"
        )
        found = self.db.execute(
            "SELECT other.sample FROM photos AS own LEFT JOIN repeated USING (hash) "
            "LEFT JOIN photos AS other ON other.rowid = first AND first <> own.rowid ORDER BY own.rowid"
        )
        yield from (first for (first,) in found)


class Copies:
    """How many photos are copies of others, with the names of the first few."""

    def __init__(self) -> None:
        self.counts: Counter[bool] = Counter()
        """Of those that train has too, although their split is another, and of the others."""
        self.examples: defaultdict[bool, list[str]] = defaultdict(list)

    def note(self, split: str, key: str, same_photo_as: str | None) -> None:
        """Count a sample, where it is one."""
        if same_photo_as is not None:
            leaked = split != TRAIN and same_photo_as.startswith(f"{TRAIN}/")
            self.counts[leaked] += 1
            if self.counts[leaked] <= EXAMPLES:
                self.examples[leaked].append(f"{split}/{key} is {same_photo_as}")

    def lines(self) -> list[str]:
        """Say both in words, leaked ones first; nothing where there is none."""
        words = {
            True: "photos outside of train that are in it too, so that these people aren't held out",
            False: "photos that are in their split already",
        }
        return [
            f"{said}: {self.counts[leaked]}, such as {', '.join(self.examples[leaked])}"
            for leaked, said in words.items()
            if self.counts[leaked]
        ]
