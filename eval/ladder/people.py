"""The held-out people that ladders are drawn on, what each request should look like, and others' garments."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eval.ladder.remeasure import Reading, enlarge, enlarge_keypoints, enlarge_picture, read_garment
from preprocess.body.keypoints import KeypointError, Keypoints
from preprocess.body.needs import require_body
from preprocess.layout.resized import layout_at
from preprocess.sizes.axes import AXIS_NAMES, FIT_PLACE
from preprocess.vocabulary import Category
from shards.batch import Batch, joined, select
from shards.reader import ShardReader
from shards.sample import SizeRecord

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """P people with the photos of themselves, and the garments they are drawn in: their own, or others'."""

    keys: Sequence[str]
    """P sample keys."""

    photos: NDArray[np.uint8]
    """(P, H, W, 3)."""

    cloths: NDArray[np.uint8]
    """(P, H, W, 3) garment photos."""

    inpaint_masks: NDArray[np.bool_]
    """(P, H, W) what may be repainted."""

    garment_covers: NDArray[np.float32]
    """(P, H, W) how much of each pixel the garment covers as it was worn."""

    keypoints: NDArray[np.float32]
    """(P, 25, 3) x, y in px and confidence, NaN where missing."""

    natural: Floats
    """(P, A) ratios of the photo, as the data has them."""

    categories: Sequence[Category]
    """P kinds of garments."""

    factor: int
    """Enlargement at which everything is measured."""

    @property
    def garment_masks(self) -> NDArray[np.bool_]:
        """(P, H, W) the garment as it was worn."""
        return self.garment_covers >= 0.5

    def wearers(self, category: Category) -> list[int]:
        """Which people wear a garment of a category."""
        return [person for person, worn in enumerate(self.categories) if worn == category]

    def worn(self, person: int) -> Reading:
        """Read the data's own garment."""
        return self.read(person, self.garment_covers[person], self.photos[person])

    def expected(self, person: int, natural: Floats, requested: Floats) -> Reading:
        """Read the layout at (A,) requested ratios, where `worn` found (A,) natural ones.

        Its sides are as sure as those that it moved: where the data knows the width, and `worn` found it.
        Of a sleeve that hides one a mask doesn't tell where it ends, and a layout would cut into the panel.
        """
        garment = enlarge(self.garment_covers[person], self.factor)
        keypoints = enlarge_keypoints(self.keypoints[person], self.factor)
        layout = layout_at(garment, keypoints, natural, requested, self.categories[person])
        known = bool(np.isfinite([natural[FIT_PLACE], self.natural[person, FIT_PLACE]]).all())
        return read_garment(
            layout, keypoints, self.categories[person], waist_seen=self.waist_seen(person), sure=known
        )

    def read(
        self,
        person: int,
        probability: NDArray[np.floating] | NDArray[np.bool_],
        picture: NDArray[np.uint8],
    ) -> Reading:
        """Read how much of each pixel of an (H, W, 3) picture the garment covers, (H, W)."""
        return read_garment(
            enlarge(probability, self.factor),
            enlarge_keypoints(self.keypoints[person], self.factor),
            self.categories[person],
            enlarge_picture(picture, self.factor),
            waist_seen=self.waist_seen(person),
        )

    def waist_seen(self, person: int) -> bool:
        """Whether no top covers the waist: one that did in the photo does in every picture."""
        return bool(np.isfinite(self.natural[person, AXIS_NAMES.index("waist")]))


def enlargement(image_height: int, measured_height: int) -> int:
    """Smallest whole factor that makes a picture at least `measured_height` rows tall."""
    return max(1, -(-measured_height // image_height))


Needed = Mapping[Category, NDArray[np.bool_]]
"""By category, (A,) the axes along which there are ladders."""


def usable(batch: Batch, row: int, needed: Needed) -> bool:
    """Whether a sample can stand on a ladder: known on one of its category's axes, and its body found."""
    category = Category(batch.categories[row])
    if category not in needed or not np.isfinite(batch.ratios[row][needed[category]]).any():
        return False
    try:
        require_body(Keypoints.from_flat(batch.keypoints[row]), category)
    except KeypointError:
        return False
    return bool(batch.garment_mask[row].any())


def first_people(batches: Iterable[Batch], num_people: int, needed: Needed) -> Batch:
    """Take the first samples of each category that are usable, categories behind one another.

    Raises:
        ValueError: There is none.
    """
    chosen: dict[Category, list[Batch]] = {category: [] for category in needed}
    for batch in batches:
        for row in (row for row in range(len(batch)) if usable(batch, row, needed)):
            own = chosen[Category(batch.categories[row])]
            if len(own) < num_people:
                own.append(select(batch, [row]))
        if all(len(own) == num_people for own in chosen.values()):
            break
    if not any(chosen.values()):
        raise ValueError(
            "the test split must have a sample with a known ratio, the joints that it is measured by and a "
            "garment's mask, but has none: see the reasons with `cinderella inspect`"
        )
    return joined([one for own in chosen.values() for one in own])


def scene_of(people: Batch, measured_height: int) -> Scene:
    """Turn a batch of people into the scene that ladders are drawn on."""
    return Scene(
        keys=people.keys,
        photos=people.image,
        cloths=people.cloth,
        inpaint_masks=people.inpaint_mask.astype(bool),
        garment_covers=people.garment_shares,
        keypoints=people.keypoints,
        natural=people.ratios.astype(np.float64),
        categories=[Category(name) for name in people.categories],
        factor=enlargement(people.image.shape[1], measured_height),
    )


class Wardrobe:
    """Every garment of a split, by the key of the sample whose own it is: for people in another's garment."""

    def __init__(self, reader: ShardReader) -> None:
        self.reader = reader
        self.places = {
            reader.index.rows(shard).key(row): (shard, row) for shard, row in reader.index.places()
        }

    def unpaired_key(self, key: str) -> str | None:
        """Whose garment a person tries on; None where the data set names nobody of this split.

        Nor is it another category's: that has other axes, on which the person has no size.
        """
        record = self.record(key)
        other = record.unpaired_key
        if other not in self.places or self.record(other).category != record.category:
            return None
        return other

    def record(self, key: str) -> SizeRecord:
        """Return what a sample of the split knows beside its pictures."""
        return self.reader.record(*self.places[key])

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
