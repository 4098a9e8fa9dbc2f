"""Who tries on what: the demo without its page."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from model.params import DrawingOptions
from pipeline.tryon.preview import preview
from pipeline.tryon.size_aware import PreparedPerson, SizeAwareTryOn, TryOnResult
from preprocess.pictures import read_picture
from preprocess.sizes.axes import axes_of
from preprocess.sizes.request import Range, SizeRequest
from preprocess.sources.source import ManifestRow, read_manifest
from preprocess.vocabulary import Category, RowStatus

Picture = NDArray[np.uint8]
Choice = TypeVar("Choice")

STRIP_STEPS = (-3, -2, -1, 0, 1, 2, 3)
FORGOTTEN = (
    "Nobody is here: photos are forgotten after a quarter of an hour. Choose a person and a garment again"
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Person:
    """A photo, and the files that are known about it."""

    photo: Picture
    """(H, W, 3) RGB."""

    key: str = ""
    """Of an example, as its data set names it."""

    files: Mapping[str, Path | None] = field(default_factory=dict)
    """Of an example's keypoints, parse map and DensePose, by their names in `SizeAwareTryOn.prepare`."""

    category: Category = Category.UPPER
    """What the person wears, as far as that is known."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Garment:
    """A photo of a garment alone."""

    photo: Picture
    """(H, W, 3) RGB."""

    caption: str = ""
    """Describes the garment, never its size."""

    category: Category = Category.UPPER
    """What kind of garment it is."""


@dataclass(slots=True)
class Visit:
    """What one visitor brought and chose."""

    people: list[Person]
    """To choose from: the visitor's own behind the examples, so that theirs keep their places."""

    garments: list[Garment]
    """To choose from, likewise."""

    person: PreparedPerson | None = None
    """Chosen and made ready for garments of the category."""

    place: int = 0
    """Of the person among `people`."""

    garment: Garment | None = None
    """Chosen."""

    category: Category = Category.UPPER
    """What is tried on: that of the garment."""

    size: SizeRequest = field(default_factory=SizeRequest)
    """What was last asked for; sliders may have stood elsewhere when a request began to wait."""

    overlays: Sequence[str] | None = None
    """What was last switched on to be drawn over pictures; None before the first time."""

    result: TryOnResult | None = None
    """The picture that is shown; overlays may be switched later."""

    over: bool = False
    """The page was closed: what is still being drawn for it is for nobody."""

    strip: tuple[list[str], TryOnResult] | None = None
    """The sizes that are shown side by side, with their names."""

    def turn_to(self, category: Category) -> None:
        """Try on garments of a category from now on; no size of it has been asked for."""
        self.category, self.size = category, SizeRequest(category=category)


class FittingRoom:
    """Persons and garments put together; the state of a visit is the caller's.

    Examples of garments of categories that the networks weren't trained on are left out.
    """

    def __init__(self, tryon: SizeAwareTryOn, people: Sequence[Person], garments: Sequence[Garment]) -> None:
        self.tryon = tryon
        self.people = list(people)
        self.garments = [garment for garment in garments if tryon.knows(garment.category)]
        self.categories = list(dict.fromkeys(garment.category for garment in self.garments))
        """What may be tried on: what there are examples of."""
        self.axis_names = list(dict.fromkeys(name for one in self.categories for name in axes_of(one)))
        """Of these categories' axes: a slider each."""
        self._prepared: dict[tuple[Person, Category], PreparedPerson] = {}

    def new_visit(self) -> Visit:
        """Begin a visit with the examples at hand."""
        first = self.categories[0] if self.categories else Category.UPPER
        return Visit(people=list(self.people), garments=list(self.garments), category=first)

    def arrive(self, visit: Visit) -> Garment:
        """Choose the first person and the first garment, another one if they can't wear that."""
        self.choose_garment(visit, 0)
        self.choose_person(visit, 0)
        return visit.garment or self.garments[0]

    def choose_person(self, visit: Visit, place: int) -> PreparedPerson:
        """Make the person at this place ready for what is tried on; an example once for all visitors.

        Who lacks the joints for that tries on an example of what they wear instead.

        Raises:
            ValueError: They can't, and the garment is the visitor's own, or there is none that they can
                wear. The visit stays as it was.
        """
        person = chosen(visit.people, place)
        try:
            ready = self._ready(person, visit.category)
        except ValueError:
            garment = next((one for one in self.garments if one.category == person.category), None)
            own = visit.garment is not None and visit.garment not in self.garments
            if person.category == visit.category or garment is None or own:
                raise
            ready = self._ready(person, person.category)
            visit.garment = garment
            visit.turn_to(person.category)
        visit.person, visit.place = ready, place
        return ready

    def bring_person(self, visit: Visit, photo: Picture) -> PreparedPerson:
        """Choose a visitor's own photo; it takes the place of the one before.

        Raises:
            ValueError: Nobody is found in it; the visit stays as it was.
        """
        person = Person(photo=photo, category=visit.category)
        visit.person = self._prepare(person, visit.category)
        visit.people = [*self.people, person]
        visit.place = len(self.people)
        return visit.person

    def choose_garment(self, visit: Visit, place: int) -> Garment:
        """Choose the garment at this place; a person is made ready anew for one of another category.

        If an example of a person lacks the joints for it, one who wears such a garment takes their place.

        Raises:
            ValueError: The person can't wear it, and is the visitor's own, or nobody wears such. The visit
                stays as it was.
        """
        garment = chosen(visit.garments, place)
        try:
            self.try_category(visit, garment.category)
        except ValueError:
            worn = [person.category for person in self.people]
            if garment.category not in worn or visit.place >= len(self.people):
                raise
            other = worn.index(garment.category)
            visit.person = self._ready(self.people[other], garment.category)
            visit.place = other
            visit.turn_to(garment.category)
        visit.garment = garment
        return garment

    def try_category(self, visit: Visit, category: Category) -> None:
        """Try on garments of a category from now on.

        Raises:
            ValueError: The person can't: joints that such garments are measured by are missing. The visit
                stays as it was.
        """
        if category == visit.category:
            return
        if visit.person is not None:
            visit.person = self._ready(visit.people[visit.place], category)
        visit.turn_to(category)

    def bring_garment(self, visit: Visit, photo: Picture) -> Garment:
        """Choose a visitor's own garment; it takes the place of the one before."""
        visit.garment = Garment(photo=photo, category=visit.category)
        visit.garments = [*self.garments, visit.garment]
        return visit.garment

    def try_on(
        self,
        visit: Visit,
        sizes: Sequence[SizeRequest],
        options: DrawingOptions,
        caption: str = "",
        on_step: Callable[[int, int], None] | None = None,
    ) -> TryOnResult:
        """Draw the chosen person in the chosen garment at every size.

        Raises:
            ValueError: Person or garment isn't chosen, or what is asked for can't be drawn.
        """
        if visit.person is None or visit.garment is None:
            raise ValueError(FORGOTTEN)
        return self.tryon(
            visit.person,
            visit.garment.photo,
            list(sizes),
            options,
            caption=caption or visit.garment.caption,
            clamp=True,
            on_step=on_step,
        )

    def preview(self, visit: Visit, sizes: Sequence[SizeRequest]) -> TryOnResult:
        """Show the garment that the chosen person wears in the photo at every size, without the networks.

        Raises:
            ValueError: No person is chosen, or what they wear isn't known.
        """
        if visit.person is None:
            raise ValueError(FORGOTTEN)
        return preview(visit.person, sizes, clamp=True)

    def range(self, category: Category) -> Range:
        """Smallest and largest ratio of each axis of a category that the networks can show."""
        return self.tryon.mask.asked(category)

    def natural(self, visit: Visit) -> SizeRequest:
        """Return the size of the visitor's photo, with what is usual where it isn't known."""
        known = visit.person.natural_size if visit.person else None
        usual = {name: axis.usual for name, axis in axes_of(visit.category).items()}
        size = SizeRequest.of(usual | dict(known.asked if known else ()), category=visit.category)
        return size.clamped(self.range(visit.category))

    def around(self, visit: Visit) -> dict[str, SizeRequest]:
        """Return sizes from smaller to larger than the natural one, by what the strip calls them."""
        middle, within = self.natural(visit), self.range(visit.category)
        steps = {
            step: SizeRequest(steps=step, category=visit.category).resolved(middle) for step in STRIP_STEPS
        }
        return {f"{step:+d}" if step else "natural": size.clamped(within) for step, size in steps.items()}

    def _ready(self, person: Person, category: Category) -> PreparedPerson:
        known = person, category
        ready = self._prepared.get(known) or self._prepare(person, category)
        if person in self.people:
            self._prepared[known] = ready
        return ready

    def _prepare(self, person: Person, category: Category) -> PreparedPerson:
        return self.tryon.prepare(person.photo, **person.files, key=person.key, category=category)


def on_sliders(ratios: Iterable[tuple[str, float]], category: Category = Category.UPPER) -> SizeRequest:
    """Return a size as sliders can stand: in steps of a hundredth."""
    return SizeRequest.of({name: round(ratio, 2) for name, ratio in ratios}, category=category)


def chosen(choices: Sequence[Choice], place: int) -> Choice:
    """Return the choice at a place; a place beyond them is refused: it may come from a page of before."""
    if not 0 <= place < len(choices):
        raise ValueError(FORGOTTEN)
    return choices[place]


def read_examples(manifest: Path, num_examples: int) -> tuple[list[Person], list[Garment]]:
    """Read the first people of the test split, and as many other garments, of each category that it has.

    Raises:
        FileNotFoundError: The manifest or a file that it names is gone.
        ValueError: It has no test sample with a garment photo.
    """
    rows = [row for row in read_manifest(manifest) if row.split == "test" and row.status == RowStatus.OK]
    rows = [row for row in rows if row.cloth is not None]
    if not rows:
        raise ValueError(f"{manifest} must have a test sample with a garment photo, got none")
    people: list[Person] = []
    garments: list[Garment] = []
    for category in dict.fromkeys(row.category for row in rows):
        same = [row for row in rows if row.category == category]
        people += [example_person(row) for row in same[:num_examples]]
        others = same[num_examples : 2 * num_examples] or same[:num_examples]
        garments += [
            Garment(photo=read_picture(row.cloth), caption=row.caption, category=category)
            for row in others
            if row.cloth
        ]
    return people, garments


def example_person(row: ManifestRow) -> Person:
    """Take the photo of a sample, and what the data set knows about it."""
    return Person(
        key=row.key,
        photo=read_picture(row.image, beside=row.maps()),
        files={"keypoints": row.openpose_json, "parse": row.parse, "densepose": row.densepose},
        category=row.category,
    )
