"""Section `prepare_dataset` of params.yaml."""

from dataclasses import asdict, dataclass, field
from typing import Annotated

from annotated_types import Ge

from preprocess.pictures import LIMITS, Limits
from preprocess.vocabulary import Category

LARGEST_SPLIT = 90_000
"""Dolls a split can have: keys are VITON-HD's five digits, and test keys start here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PaperDollParams:
    """How many paper dolls are drawn, and how large."""

    train: Annotated[int, Ge(1)] = 1200
    """People to train on."""

    test: Annotated[int, Ge(2)] = 96
    """Other people to test on; each tries on another's garment, so there are at least two."""

    image_height: Annotated[int, Ge(64)] = 512
    """Pixels."""

    image_width: Annotated[int, Ge(48)] = 384
    """Pixels."""

    seed: Annotated[int, Ge(0)] = 0
    """Another seed draws other people in other garments."""

    categories: tuple[Category, ...] = (Category.UPPER,)
    """What they wear, dealt in turn: `[upper, lower, dress]` is a third each, `[upper, upper, lower]` two
    thirds in tops. Tops alone are laid out as VITON-HD is, all else as Dress Code is."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(map(Category, self.categories)))
        if not self.categories:
            raise ValueError("categories must name at least one of upper, lower and dress, got none")
        if self.test < 2 * len(self.categories) or self.train < len(self.categories):
            raise ValueError(
                f"train must be at least {len(self.categories)} and test {2 * len(self.categories)}, got "
                f"{self.train} and {self.test}: each of categories needs somebody to train on, and two "
                "people who try on each other's garments"
            )
        if self.train > LARGEST_SPLIT or self.test > 100_000 - LARGEST_SPLIT:
            raise ValueError(
                f"train must be at most {LARGEST_SPLIT} and test at most {100_000 - LARGEST_SPLIT}, "
                f"got {self.train} and {self.test}: keys have five digits"
            )

    def category(self, index: int) -> Category:
        """Return what the person of an index wears, in either split."""
        return self.categories[index % len(self.categories)]


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareDatasetParams:
    """Section `prepare_dataset` of params.yaml."""

    source: str = "paper_dolls"
    """A name of `preprocess/sources/registry.py`. `paper_dolls` draws its own people; the others (`viton_hd`,
    `dress_code`, `folder`) read a data set below `root`."""

    root: str = "data"
    """Folder of a real data set, or its URL in object storage (`s3://bucket/folder`, `gs://`: the extra
    `remote`). Not read when the source is `paper_dolls`."""

    hash_remote: bool = False
    """Whether what lies in object storage is fetched to be hashed and decoded, as files on this machine are.
    Else its listing stands for it, by size and ETag, and a later stage finds what can't be decoded."""

    category: Category | None = None
    """What is worn: `upper`, `lower` or `dress`. For `viton_hd` and `folder`, which don't tell, all is
    `upper` when left out; of `dress_code`, which does, the only one to read."""

    limits: Limits = field(default_factory=Limits)
    """Pictures that claim more pixels, and files of more bytes, are `failed` rows. The defaults are what the
    later stages read at most, so limits can only be lower."""

    paper_dolls: PaperDollParams = field(default_factory=PaperDollParams)
    """Read when the source is `paper_dolls`."""

    def __post_init__(self) -> None:
        for name, most in asdict(LIMITS).items():
            if getattr(self.limits, name) > most:
                raise ValueError(
                    f"limits.{name} must be at most {most:,}, got {getattr(self.limits, name):,}: the later "
                    "stages read no more; make the photos smaller"
                )
