"""The unpaired test: people of a split in the garment of another, found in the same shards."""

from dataclasses import replace

from shards.batch import Batch, select
from shards.reader import ShardReader
from shards.sample import RECORD_SUFFIX, decode_record, require_member
from shards.ustar import unpack


class Wardrobe:
    """Every garment of a split, by the key of the sample whose own it is.

    Args:
        reader: Of the split's shards.
    """

    def __init__(self, reader: ShardReader) -> None:
        self.reader = reader
        self.places = {
            reader.index.rows(shard).key(row): (shard, row)
            for shard, line in enumerate(reader.index.shards)
            for row in range(line.num_samples)
        }

    def unpaired_key(self, key: str) -> str | None:
        """Whose garment a person tries on; None where the data set names nobody of this split."""
        _, packed = self.reader.packed(*self.places[key])
        record = decode_record(key, require_member(key, unpack(key, packed), RECORD_SUFFIX))
        return record.unpaired_key if record.unpaired_key in self.places else None

    def swapped(self, people: Batch) -> tuple[list[int], Batch]:
        """Dress people in another's garment.

        Returns:
            Rows of the people who have one, and these people with its photo, mask and caption. Everything
            else, ratios included, is still their own: a garment is asked for at the size they wore.
        """
        others = [self.unpaired_key(key) for key in people.keys]
        rows = [row for row, other in enumerate(others) if other is not None]
        if not rows:
            return rows, select(people, rows)
        wanted = [other for other in others if other is not None]
        garments = self.reader.batch(range(len(wanted)), [self.places[key] for key in wanted])
        return rows, replace(
            select(people, rows),
            cloth=garments.cloth,
            cloth_mask=garments.cloth_mask,
            captions=garments.captions,
        )
