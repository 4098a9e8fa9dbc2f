"""How far measures are from the truth on people drawn as plain polygons, a second renderer.

    python -m tests.benchmarks.measure_polygons [PEOPLE] [SEED]

Arms hang, rest on hips, cross the belly or are raised, in front of the garment or behind it; hair falls over
shoulders. Unambiguous: no arm raised, none near the panel where its width is measured. With
CINDERELLA_AXES=sleeve sleeves are measured too; their errors are shares of the arm.
"""

import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from preprocess.vocabulary import SLEEVE
from tests.preprocess.polygon_people import annotate, random_person
from tests.sizes import TOP_PLACES, UPPER

NAMES, PLACES = UPPER[:3], TOP_PLACES[:3]
"""Shoulder, width and length."""

Outcome = tuple[str, str | None, bool, list[float], float]


def outcome(seed: int) -> Outcome:
    """Status, reason, whether the person is unambiguous, the relative errors, the sleeve's where known."""
    person = random_person(seed)
    result = annotate(person)
    sleeve = SLEEVE in result.bounds and result.is_known(SLEEVE)
    return (
        str(result.status),
        result.reason,
        person.plain,
        (result.ratios[PLACES] / person.truth - 1).tolist(),
        result.bounds[SLEEVE].value - person.sleeve if sleeve else float("nan"),
    )


def main(people: int, seed: int) -> None:
    """Print shares and errors."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(outcome, range(seed, seed + people), chunksize=16))
    errors = np.abs([errors for status, _, _, errors, _ in found if status == "ok"])
    plain = [status == "ok" for status, _, unambiguous, *_ in found if unambiguous]
    lines = [f"{people} people, {len(errors)} ok; of {len(plain)} unambiguous {np.mean(plain):.1%} ok"]
    for name, column in zip(NAMES, errors.T, strict=True):
        middle, high = np.quantile(column, [0.5, 0.95])
        text = f"median absolute relative error {middle:.2%}, 95th percentile {high:.2%}"
        lines.append(f"{name:8s} {text}, largest {column.max():.2%}")
    sleeves = np.abs([sleeve for *_, sleeve in found if np.isfinite(sleeve)])
    if sleeves.size:
        middle, high = np.quantile(sleeves, [0.5, 0.95])
        text = f"median {middle:.2%} of the arm, 95th percentile {high:.2%}, largest {sleeves.max():.2%}"
        lines.append(f"sleeve   {sleeves.size} known, {text}")
    counts = Counter(row[:2] for row in found).most_common(12)
    lines += [f"{count:6d} {status} {reason or ''}" for (status, reason), count in counts]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[1:]]
    main(*(given + [1000, 500_000][len(given) :]))
