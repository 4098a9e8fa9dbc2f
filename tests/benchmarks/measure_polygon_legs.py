"""How far measures are from the truth on polygons in trousers, skirts or dresses, a second renderer.

    python -m tests.benchmarks.measure_polygon_legs lower|dress [PEOPLE] [SEED]

Clear: nothing hides an axis, by the renderer's own account.
"""

import os
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from preprocess.body.keypoints import KeypointError
from preprocess.sizes.axes import axes_of
from preprocess.vocabulary import Category
from tests.preprocess.polygon_legs import annotate, random_dress, random_lower

DRAW = {"lower": random_lower, "dress": random_dress}
Outcome = tuple[str | None, bool, dict[str, float]]


def outcome(kind: str, seed: int) -> Outcome:
    """Reason, whether the person is clear, and the relative errors of the axes that are known."""
    person = DRAW[kind](seed)
    try:
        result = annotate(person)
    except KeypointError as problem:
        return str(problem), person.plain, {}
    known = {
        name: ratio for name, ratio in result.bounds.items() if ratio.uncertainty <= result.max_uncertainty
    }
    return result.reason, person.plain, {name: known[name].value / person.truth[name] - 1 for name in known}


def main(kind: str, people: int, seed: int) -> None:
    """Print shares and errors."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(partial(outcome, kind), range(seed, seed + people), chunksize=16))
    clear = [errors for _, plain, errors in found if plain]
    lines = [f"{people} people, {len(clear)} of them clear"]
    for name in axes_of(Category(kind)):
        errors = np.abs([errors[name] for _, _, errors in found if name in errors])
        middle, high = np.quantile(errors, [0.5, 0.95])
        share = np.mean([name in one for one in clear])
        text = f"median absolute relative error {middle:.2%}, 95th percentile {high:.2%}"
        lines.append(f"{name:8s} {len(errors)} known, {share:.1%} of the clear ones; {text}")
    counts = Counter(row[0] for row in found).most_common(12)
    lines += [f"{count:6d} {reason or ''}" for reason, count in counts]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    numbers = [int(value) for value in sys.argv[2:]]
    main(sys.argv[1], *(numbers + [300, 700_000][len(numbers) :]))
