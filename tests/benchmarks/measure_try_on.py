"""What trying on takes and whether fit.json tells the truth, on held-out dolls of a trained default.

    python -m tests.benchmarks.measure_try_on artifacts --people 8

Prints the seconds of a strip of seven sizes and of one size, how many bits outside the mask change between
sizes, and how often the verdict's sign is that of the measured deviation and of the requested one.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from pipeline.tryon.loading import load_tryon
from pipeline.tryon.outfits import FilesFitting, beside
from pipeline.tryon.size_aware import PreparedPerson, SizeAwareTryOn, SizeRequest
from preprocess.person.fit_report import JUST_RIGHT, RegionFit
from tests.sizes import UPPER

LADDERS = {"shoulder": (1.0, 1.6), "width": (1.0, 1.8), "length": (0.7, 1.5)}
RUNGS = 7
LARGER, SMALLER = (" wide ", " long "), (" tight ", " short ")


def sign_of(verdict: str) -> int:
    """Read the sign from the words."""
    return any(w in verdict for w in LARGER) - any(w in verdict for w in SMALLER)


def seconds(tryon: SizeAwareTryOn, person: PreparedPerson, cloth: Path, sizes: list[SizeRequest]) -> str:
    wall, processor = time.perf_counter(), time.process_time()
    tryon(person, cloth, sizes)
    return f"{time.perf_counter() - wall:.2f} s, {time.process_time() - processor:.2f} s of the processors"


def judged(region: RegionFit) -> tuple[bool, bool | None] | None:
    """Whether the verdict has the measured sign, and the requested one; None where nothing is measured."""
    if region.measured is None or region.natural is None or region.requested is None:
        return None
    found = region.measured / region.natural - 1
    asked = region.requested / region.natural - 1
    words = sign_of(region.verdict)
    right = words == (0 if abs(found) <= JUST_RIGHT else np.sign(found))
    return right, (words == np.sign(asked) if abs(asked) > 0.05 else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--people", type=int, default=8)
    arguments = parser.parse_args()
    tryon = load_tryon(arguments.model)
    photos = sorted((arguments.model / "raw/test/image").glob("*.jpg"))
    ladders = {
        ratio: [SizeRequest.of({ratio: v}, steps=0) for v in np.linspace(*ends, RUNGS)]
        for ratio, ends in LADDERS.items()
    }
    cases: dict[str, list[tuple[bool, bool | None] | None]] = {ratio: [] for ratio in UPPER}
    changed = 0
    for number, photo in enumerate(photos[: arguments.people]):
        cloth = photo.parent.parent / "cloth" / photo.name
        outfit = FilesFitting(key="", person=photo, garment=cloth, given=beside(photo)).load(tryon)
        person = outfit.person
        if number == 0:
            seconds(tryon, person, cloth, [SizeRequest.natural()])  # warms up
            print(f"one size: {seconds(tryon, person, cloth, [SizeRequest.natural()])}")  # noqa: T201
            print(f"seven sizes: {seconds(tryon, person, cloth, ladders['width'])}")  # noqa: T201
        for ratio, requests in ladders.items():
            result = tryon(person, cloth, requests, clamp=True)
            outside = ~person.inpaint_mask
            changed += sum(int((np.asarray(p) != person.photo)[outside].sum()) for p in result.pictures)
            cases[ratio] += [judged(fit.regions[ratio]) for fit in result.fit]
    print(f"values outside the masks that differ from the photos: {changed}")  # noqa: T201
    for ratio, verdicts in cases.items():
        found = [verdict for verdict in verdicts if verdict is not None]
        asked = [obeyed for _, obeyed in found if obeyed is not None]
        print(  # noqa: T201
            f"{ratio}: {len(found)} of {len(verdicts)} measured; verdict has the sign of the measured "
            f"deviation in {np.mean([right for right, _ in found]):.1%}, of the requested one (beyond 5 %) "
            f"in {np.mean(asked):.1%} of {len(asked)}"
        )


if __name__ == "__main__":
    main()
