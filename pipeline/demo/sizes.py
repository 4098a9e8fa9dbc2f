"""Where the demo's sliders stand, and the sizes of its strip."""

from collections.abc import Mapping

from preprocess.sizes.axes import axes_of
from preprocess.sizes.request import SizeRequest
from preprocess.vocabulary import Category

STRIP_STEPS = (-3, -2, -1, 0, 1, 2, 3)
USUAL = SizeRequest.of({name: axis.usual for name, axis in axes_of(Category.UPPER).items()})
"""Where sliders stand for what isn't known of a photo's natural size."""


def natural_or_usual(natural: SizeRequest | None) -> SizeRequest:
    """Return the natural size of a photo, with what is usual where it isn't known."""
    return SizeRequest.of({**known_ratios(USUAL), **known_ratios(natural or USUAL)}).clamped()


def strip_around(middle: SizeRequest) -> dict[str, SizeRequest]:
    """Return sizes from smaller to larger than this one, by what the strip calls them."""
    return {f"{step:+d}" if step else "natural": step_from(middle, step) for step in STRIP_STEPS}


def step_from(size: SizeRequest, step: int) -> SizeRequest:
    """Return the size so many steps larger in every ratio, or the nearest that may be asked for."""
    return SizeRequest(steps=step).resolved(size).clamped()


def on_sliders(ratios: Mapping[str, float]) -> SizeRequest:
    """Return a size as sliders can stand: in steps of a hundredth."""
    return SizeRequest.of({name: round(ratio, 2) for name, ratio in ratios.items()})


def known_ratios(size: SizeRequest) -> dict[str, float]:
    """Return the ratios that a size doesn't leave open."""
    return dict(size.asked)
