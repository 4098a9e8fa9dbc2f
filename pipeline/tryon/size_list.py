"""Which sizes a command line asks for: ratios, steps, or names from a brand's chart."""

from dataclasses import dataclass, replace
from pathlib import Path

from preprocess.sizes.axes import axes_of
from preprocess.sizes.centimetres import Wearer
from preprocess.sizes.chart import SizeChart
from preprocess.sizes.request import SizeRequest
from preprocess.untrusted import shown
from preprocess.vocabulary import Category

MOST_SIZES = 24
"""Sizes of one person in one garment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedSize:
    """A size and what to call it."""

    name: str
    """For captions and file names; made here, or checked by the chart."""

    request: SizeRequest
    """What is asked for."""

    charted: bool = False
    """Whether it is a brand's, of a garment of one category."""

    def of_category(self, category: Category) -> "NamedSize":
        """Ask the same of garments of another category; ValueError where it isn't the same there."""
        if self.charted and category != self.request.category:
            raise ValueError(f"the chart is of garments of {self.request.category}, not of {category}")
        return replace(self, request=self.request.of_category(category))


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeChoice:
    """Where the sizes come from: exactly one of `size`, `steps`, and `chart` with `wearer`."""

    size: tuple[str, ...] = ()
    """Each like `width=1.4,length=1.1`."""

    steps: str | None = None
    """Like `-1,0,1,2`, from the natural size."""

    chart: Path | None = None
    """A brand's size chart."""

    wearer: Path | None = None
    """The wearer's measures."""

    sizes: str | None = None
    """Like `S,M,L`, from the chart; all of it when None."""

    category: Category = Category.UPPER
    """Of the garment: what may be asked for, and what a chart is of that doesn't say."""

    def named(self) -> list[NamedSize]:
        """Return the sizes.

        Raises:
            ValueError: Not exactly one way is chosen, or what it says is no size.
        """
        ways = [bool(self.size), self.steps is not None, self.chart is not None or self.wearer is not None]
        if sum(ways) > 1:
            raise ValueError(
                "sizes must come from one of --size, --steps, and --chart with --wearer, got several"
            )
        if self.chart is not None or self.wearer is not None or self.sizes is not None:
            found = from_chart(self.chart, self.wearer, self.sizes, self.category)
        elif self.size:
            found = [NamedSize(name=one, request=SizeRequest.parse(one, self.category)) for one in self.size]
        else:
            found = from_steps(self.steps or "0", self.category)
        if len(found) > MOST_SIZES:
            raise ValueError(f"at most {MOST_SIZES} sizes can be tried on at once, got {len(found)}")
        return found


def ladder_sizes(
    ratio: str, lowest: float, highest: float, rungs: int, category: Category = Category.UPPER
) -> list[NamedSize]:
    """Let one ratio rise in even steps; the others stay natural, where the natural size is known.

    Raises:
        ValueError: There is no such ratio, or no rising ladder of it.
    """
    axes = axes_of(category)
    if ratio not in axes:
        raise ValueError(f"ratio must be one of {', '.join(axes)}, got {shown(ratio)}")
    if not 0 < lowest < highest or not 2 <= rungs <= MOST_SIZES:
        raise ValueError(
            f"a ladder must rise from above 0 in 2 to {MOST_SIZES} rungs, "
            f"got {lowest} to {highest} in {rungs}"
        )
    values = [lowest + (highest - lowest) * rung / (rungs - 1) for rung in range(rungs)]
    return [
        NamedSize(
            name=f"{ratio}={value:.2f}", request=SizeRequest.of({ratio: value}, steps=0, category=category)
        )
        for value in values
    ]


def from_steps(steps: str, category: Category) -> list[NamedSize]:
    """Read a list of steps from the natural size."""
    try:
        numbers = [float(step) for step in steps.split(",")]
    except ValueError:
        raise ValueError(f"steps must be numbers such as -1,0,1,2, got {shown(steps)}") from None
    return [
        NamedSize(
            name=f"{number:+g} steps" if number else "natural", request=SizeRequest.natural(number, category)
        )
        for number in numbers
    ]


def from_chart(
    chart: Path | None, wearer: Path | None, sizes: str | None, category: Category
) -> list[NamedSize]:
    """Take sizes from a chart for a wearer."""
    if chart is None or wearer is None:
        raise ValueError(
            "sizes of a brand need both --chart and --wearer (YAML with chest_cm and height_cm; "
            "for lower, with waist_cm, hip_cm and height_cm)"
        )
    table, body = SizeChart.read(chart, category), Wearer.read(wearer)
    names = list(table.sizes) if sizes is None else [name.strip() for name in sizes.split(",")]
    return [NamedSize(name=name, request=table.request(name, body), charted=True) for name in names]
