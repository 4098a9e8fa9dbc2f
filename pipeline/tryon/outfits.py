"""Who tries on what: one person from files, the rows of a table, or the samples of a folder of shards."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import xxhash

from pipeline.tryon.size_aware import PreparedPerson, SizeAwareTryOn
from preprocess.body.drawing import draw_body
from preprocess.body.keypoints import Keypoints
from preprocess.person.prepare import require_person
from preprocess.pictures import Picture, read_picture
from preprocess.sizes.request import SizeRequest
from preprocess.sources.finding import Found
from preprocess.sources.viton_hd import PARTS
from preprocess.untrusted import STRANGERS, read_table, shown
from preprocess.vocabulary import Category
from shards.codec import decode_photo
from shards.reader import ShardReader
from shards.sample import decode
from shards.storage import open_folder
from shards.ustar import KEY, unpack

MOST_TABLE_BYTES = 64 * 1024 * 1024
"""A larger table isn't one."""

GIVEN = ("keypoints", "parse", "densepose", "inpaint_mask")
"""What may be known of a person beside the photo; the names of `SizeAwareTryOn.prepare`."""

COLUMNS = ("key", "person", "garment", *GIVEN, "caption", "category")
"""Columns of a table; `person` and `garment` must be there."""

BESIDE = {"keypoints": "openpose_json", "parse": "parse", "densepose": "densepose"}
"""What is looked for beside a photo in VITON-HD's layout: its part by the names in `GIVEN`."""


class Outfit(NamedTuple):
    """All that trying on needs."""

    person: PreparedPerson
    garment: Picture
    caption: str


class Fitting(Protocol):
    """A person who tries a garment on, neither of them read yet."""

    @property
    def key(self) -> str:
        """Names the folder of the results; not checked yet."""

    def digest(self) -> str:
        """Return a hash (hex) of all that the person and the garment are made from."""

    def load(self, tryon: SizeAwareTryOn) -> Outfit:
        """Read and prepare.

        Raises:
            ValueError: Something is not what it should be.
            OSError: A file can't be read.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesFitting:
    """A person and a garment in files."""

    key: str
    person: Path
    garment: Path
    given: dict[str, Path]
    """By the names in `GIVEN`."""
    caption: str = ""
    category: Category = Category.UPPER

    def digest(self) -> str:
        """Hash the files' bytes, the caption and the category."""
        digest = xxhash.xxh3_128(f"{self.caption}\0{self.category}".encode())
        for name, path in sorted({"person": self.person, "garment": self.garment, **self.given}.items()):
            digest.update(f"\0{name}\0".encode() + path.read_bytes())
        return digest.hexdigest()

    def load(self, tryon: SizeAwareTryOn) -> Outfit:
        """Read the files."""
        person = tryon.prepare(self.person, **self.given, key=self.key, category=self.category)
        return Outfit(person, read_picture(self.garment, "garment photo", limits=STRANGERS), self.caption)


@dataclass(frozen=True, kw_only=True, slots=True)
class TableFitting:
    """A row of a table; whether its values make sense shows when it is loaded."""

    key: str
    values: dict[str, str]
    """By column; empty for a row with more cells than the header."""
    root: Path
    """Folder that all files must be below."""
    category: Category = Category.UPPER
    """Of a row that doesn't say."""

    def files(self) -> FilesFitting:
        """Find the files of the row, and what VITON-HD's layout has beside the photo.

        Raises:
            ValueError: A column is missing, a path leads out of the folder, or there is no such category.
        """
        paths = {
            name: below(self.root, text)
            for name, text in self.values.items()
            if name in ("person", "garment", *GIVEN) and text
        }
        missing = [name for name in ("person", "garment") if name not in paths]
        if missing:
            raise ValueError(
                f"a row must name person and garment, but {' and '.join(missing)} is missing "
                "(or the row has more cells than the header)"
            )
        person, garment = paths.pop("person"), paths.pop("garment")
        found = {name: path.resolve() for name, path in beside(person).items()}
        found = {name: path for name, path in found.items() if path.is_relative_to(self.root)}
        return FilesFitting(
            key=self.key,
            person=person,
            garment=garment,
            given=found | paths,
            caption=self.values.get("caption", ""),
            category=category_of(self.values.get("category", ""), self.category),
        )

    def digest(self) -> str:
        """Hash what the row's files hold."""
        return self.files().digest()

    def load(self, tryon: SizeAwareTryOn) -> Outfit:
        """Read the row's files."""
        return self.files().load(tryon)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardFitting:
    """A sample of a shard, in the garment that it wears."""

    key: str
    reader: ShardReader
    shard: int
    row: int

    def digest(self) -> str:
        """Hash the sample's bytes."""
        return xxhash.xxh3_128_hexdigest(self.reader.packed(self.shard, self.row)[1])

    def load(self, tryon: SizeAwareTryOn) -> Outfit:  # noqa: ARG002 - the sample has everything
        """Decode the sample: it was prepared when it was written."""
        key, packed = self.reader.packed(self.shard, self.row)
        sample = decode(key, unpack(key, packed))
        photo = decode_photo(sample.image)
        joints = Keypoints.from_flat(sample.record.keypoint_array())
        category = sample.record.category
        require_person(joints, category)
        densepose, notes = sample.densepose, []
        if densepose is None:
            notes.append("no DensePose: the map of the body is drawn from the joints")
        person = PreparedPerson(
            key=self.key,
            photo=photo,
            keypoints=joints,
            inpaint_mask=sample.inpaint_mask,
            densepose=draw_body(joints, *photo.shape[:2]) if densepose is None else decode_photo(densepose),
            garment_mask=sample.garment_mask,
            category=category,
            natural_size=SizeRequest.measured(sample.record.ratio_array(), category),
            notes=notes,
        )
        return Outfit(person, decode_photo(sample.cloth), sample.record.caption)


def beside(person: Path) -> dict[str, Path]:
    """Return what lies beside a photo in VITON-HD's layout."""
    if person.parent.name not in PARTS["image"].folders:
        return {}
    folder = person.absolute().parent.parent
    found = {name: Found.below(folder, PARTS[part]).of(person.name) for name, part in BESIDE.items()}
    return {name: path for name, path in found.items() if path is not None}


def category_of(text: str, usual: Category) -> Category:
    """Read a cell that names a category; the usual one where it is empty.

    Raises:
        ValueError: There is no such category.
    """
    if text and text not in tuple(Category):
        raise ValueError(f"category must be one of {', '.join(Category)}, got {shown(text)}")
    return Category(text) if text else usual


def table_fittings(table: Path, category: Category = Category.UPPER) -> Iterator[TableFitting]:
    """Yield the rows of a CSV with the columns `COLUMNS`; all files must lie below the table's folder.

    Rows that don't say are of `category`.

    Raises:
        ValueError: It is no such table. A bad row raises when it is loaded.
    """
    found = read_table(table, MOST_TABLE_BYTES)
    header = found.header
    if not {"person", "garment"} <= set(header) <= set(COLUMNS) or len(set(header)) < len(header):
        raise ValueError(
            f"{table} must have the columns person and garment, and may have {', '.join(COLUMNS)}, "
            f"got {', '.join(map(shown, header)) or 'none'}"
        )
    root = table.parent.resolve()
    for number, (_, row) in enumerate(found.rows, start=1):
        surplus = "" in row
        key = row.pop("key", "") or f"row-{number}"
        yield TableFitting(key=key, values={} if surplus else row, root=root, category=category)


def shard_fittings(folder: str | Path) -> Iterator[ShardFitting]:
    """Yield the samples of a folder of shards, in its order."""
    reader = ShardReader(open_folder(folder), 1, 1)
    for shard, row in reader.index.places():
        yield ShardFitting(key=reader.index.rows(shard).key(row), reader=reader, shard=shard, row=row)


def below(root: Path, text: str) -> Path:
    """Return the file that `text` names, relative to `root`; links are followed first.

    Raises:
        ValueError: It lies elsewhere.
    """
    if "\0" in text:
        raise ValueError(f"a path can't have a zero byte: {shown(text)}")
    if "\\" in text and not (root / text).is_file():
        raise ValueError(f"folders in a path must be parted by /, got {shown(text)}")
    path = (root / text).resolve()
    if not path.is_relative_to(root):
        raise ValueError(f"files must lie below {root}, got {shown(text)}")
    return path


def require_key(key: str) -> str:
    """Return `key`, or raise ValueError unless it can name a folder and nothing else."""
    if not KEY.fullmatch(key) or len(key) > 100:
        raise ValueError(f"key must be letters, digits, _, + or -, at most 100, got {shown(key)}")
    return key
