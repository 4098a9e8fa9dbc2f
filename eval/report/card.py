"""The evaluation card: under which protocol numbers were taken, and the comparison of several of them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from preprocess.sizes.axes import AXIS_NAMES, FIT_AXIS
from preprocess.vocabulary import Category

SYSTEM = "system"
"""Key of the protocol that describes what was judged; everything else is how, and must agree to be ranked."""

PICTURES = "pictures"
"""Key of the system's counts of pictures, wanted and found."""

COVERAGE = "coverage"
"""Share of the pictures asked for that could be measured; each section of fit figures has its own."""

COVERAGE_MARGIN = 0.05
"""How much less than the largest coverage that of the best may be: systems that draw everything as asked
differ by a few hundredths."""

BEHIND = (
    ("image.counterfactual.", "ladder"),
    ("image.unpaired.counterfactual.", "unpaired_ladder"),
    ("image.unpaired.", "unpaired"),
    ("image.", "natural"),
    ("unpaired.", "unpaired_ladder"),
    ("", "ladder"),
)
"""Which pictures are behind the figures whose names begin so; the first that fits."""

INCEPTION_FIGURES, EFFNET_FIGURES = ("fid", "kid"), ("fd_effnet_lite0",)
"""Distances between two sets of pictures, by whose features: the Frechet distance, then the kernel one."""

SET_FIGURES = (*INCEPTION_FIGURES, *EFFNET_FIGURES)

FITTING: tuple[tuple[str, int], ...] = (
    *((f"ladder.{name}.order_accuracy", 1) for name in AXIS_NAMES),
    *((f"ladder.{name}.mae", -1) for name in AXIS_NAMES),
    *((f"ladder.{name}.{COVERAGE}", 1) for name in AXIS_NAMES),
    ("size_accuracy.balanced", 1),
    ("size_accuracy.macro_f1", 1),
    (f"size_accuracy.{COVERAGE}", 1),
    ("gfd.mean", -1),
    ("gfd.hd95", -1),
    (f"gfd.{COVERAGE}", 1),
    (f"unpaired.{FIT_AXIS}.order_accuracy", 1),
    (f"unpaired.{FIT_AXIS}.mae", -1),
    (f"unpaired.{FIT_AXIS}.{COVERAGE}", 1),
)
"""Figures that each category has."""

COMPARED: tuple[tuple[str, int], ...] = (
    *FITTING,
    ("image.ssim", 1),
    ("image.psnr", 1),
    ("image.psnr_inside_mask", 1),
    ("image.psnr_garment", 1),
    ("image.garment_delta_e", -1),
    ("image.print_correlation", 1),
    ("image.print_kept", 1),
    ("image.counterfactual.psnr_inside_mask", 1),
    ("image.unpaired.counterfactual.psnr_inside_mask", 1),
    ("image.lpips_alex", -1),
    ("image.lpips_vgg", -1),
    *((f"image.{pairing}{figure}", -1) for pairing in ("", "unpaired.") for figure in SET_FIGURES),
)
"""Figures of metrics.json that cards are ranked by; 1 where more is better, -1 where less is."""


def file_hash(path: Path) -> str:
    """First 16 hex digits of a file's SHA-256, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def folder_hash(folder: Path) -> str:
    """Hash names and contents of every weight and configuration file below a folder."""
    kinds = {".safetensors", ".json"}
    return files_hash(folder, (path for path in folder.rglob("*") if path.suffix in kinds))


def files_hash(folder: Path, files: Iterable[Path]) -> str:
    """Hash names and contents of some files below a folder."""
    return text_hash(f"{path.relative_to(folder).as_posix()} {file_hash(path)}" for path in sorted(files))


def text_hash(lines: Iterable[str]) -> str:
    """First 16 hex digits of the SHA-256 of lines."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def lookup(metrics: Mapping[str, Any], path: str) -> Any:
    """Value at a dotted path, None where a step is missing."""
    value: Any = metrics
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def protocol_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Say in what two protocols differ, one line a key, the judged system left out."""
    keys = sorted((one.keys() | other.keys()) - {SYSTEM})
    return [
        f"{key}: {one.get(key)!r} against {other.get(key)!r}"
        for key in keys
        if one.get(key) != other.get(key)
    ]


def read_card(path: Path) -> dict[str, Any]:
    """Read a metrics.json, or that of a report's folder.

    Raises:
        ValueError: The file isn't JSON of this kind.
    """
    file = path / "metrics.json" if path.is_dir() else path
    try:
        card: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:  # no JSON, or no text
        raise ValueError(f"{file} must be a metrics.json, but is no JSON: {error}") from error
    if not isinstance(card, dict) or not isinstance(card.get("protocol"), dict):
        raise ValueError(f"{file} must be a metrics.json of evaluate_tryon, but has no `protocol` object")
    return card


def compare(cards: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tabulate metrics.json of several names, at least one, figure by figure.

    Returns:
        A row for each figure of `COMPARED`, and of `FITTING` for every further category: `figure`,
        `values`, by name (None where absent), and `best`, the names with the best value if all have the same
        pictures behind it, without those that cover too few of them. Where somebody lacks some, `pictures`:
        how many of the wanted ones they have; where somebody covers too few, `coverage`: their share.

    Raises:
        ValueError: Protocols differ; the message says in what.
    """
    (first, reference), *others = cards.items()
    problems = [
        f"  {first} and {name} differ in {difference}"
        for name, card in others
        for difference in protocol_differences(reference["protocol"], card["protocol"])
    ]
    if problems:
        raise ValueError("\n".join(["figures of different protocols can't be ranked:", *problems]))
    further = [category for category in Category if category in reference["protocol"]]
    figures = (*COMPARED, *((f"{one}.{figure}", sign) for one in further for figure, sign in FITTING))
    return [comparison_row(cards, figure, sign) for figure, sign in figures]


def pictures_of(card: Mapping[str, Any], figure: str) -> tuple[str, str | None]:
    """Say which pictures are behind a figure: how many of those wanted, and a hash of the missing ones.

    A card without counts is of a system that draws every picture.
    """
    of_category = figure.partition(".")[2] if figure.partition(".")[0] in tuple(Category) else figure
    group = next(group for start, group in BEHIND if of_category.startswith(start))
    counts = lookup(card, f"protocol.{SYSTEM}.{PICTURES}.{group}")
    if counts is None:
        return "all", None
    return f"{counts['found']} of {counts['wanted']}", counts["missing"]


def coverage_of(card: Mapping[str, Any], figure: str) -> float:
    """Share of the pictures behind a figure that could be measured; all of them where that isn't counted."""
    share = lookup(card, f"{figure.rpartition('.')[0]}.{COVERAGE}")
    return 1.0 if share is None else float(share)


def comparison_row(cards: Mapping[str, Mapping[str, Any]], figure: str, sign: int) -> dict[str, Any]:
    """One figure of every card, who has the best, and the pictures behind it where somebody lacks some.

    Nobody is best where the pictures aren't the same, or with fewer of them measured than others by more than
    `COVERAGE_MARGIN`: whoever leaves out the hard ones would win.
    """
    found = {name: lookup(card, figure) for name, card in cards.items()}
    numbers = {name: value for name, value in found.items() if isinstance(value, int | float)}
    covered = {name: coverage_of(cards[name], figure) for name in numbers}
    least = max(covered.values(), default=0.0) - COVERAGE_MARGIN
    thin = {name: share for name, share in covered.items() if share < least}
    best = max((sign * value for value in numbers.values()), default=None)
    winners = [name for name, value in numbers.items() if sign * value == best and name not in thin]
    behind = {name: pictures_of(card, figure) for name, card in cards.items()}
    equal = len({missing for _, missing in behind.values()}) == 1
    values = {name: numbers.get(name) for name in cards}
    row = {"figure": figure, "values": values, "best": winners if equal else []}
    lacking = {name: count for name, (count, missing) in behind.items() if missing is not None}
    return row | ({PICTURES: lacking} if lacking else {}) | ({COVERAGE: thin} if thin else {})
