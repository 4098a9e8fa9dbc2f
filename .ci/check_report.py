"""Check that a report exists, is whole, and that the pictures obey the request at all."""

import json
import sys
from pathlib import Path

FLOORS = {
    "ladder.width.order_accuracy": 0.90,
    "controls.scale_zero.width.order_accuracy": 0.40,
    "controls.shuffled.width.order_accuracy": 0.40,
}
CEILINGS = {
    "controls.scale_zero.width.order_accuracy": 0.60,
    "controls.shuffled.width.order_accuracy": 0.60,
    "image.outside_mask_mean_abs_difference": 1.0,
}
LEAST_PEOPLE = 16


def main() -> None:
    """Exit with status 1 and the reasons when the report of a folder is not good enough."""
    folder = Path(sys.argv[1])
    metrics = json.loads((folder / "metrics.json").read_text())
    problems = [
        f"{name} is {value(metrics, name)}, below {low}"
        for name, low in FLOORS.items()
        if value(metrics, name) < low
    ]
    problems += [
        f"{name} is {value(metrics, name)}, above {high}"
        for name, high in CEILINGS.items()
        if value(metrics, name) > high
    ]
    if metrics["ladder"]["people"] < LEAST_PEOPLE:
        problems.append(f"only {metrics['ladder']['people']} people, at least {LEAST_PEOPLE} needed")
    page = (folder / "report.html").read_text()
    if "<img" not in page or "data:image/" not in page:
        problems.append("report.html has no embedded picture")
    if problems:
        raise SystemExit("\n".join(problems))


def value(metrics: dict[str, object], name: str) -> float:
    """Look up `a.b.c`."""
    found: object = metrics
    for part in name.split("."):
        assert isinstance(found, dict), f"{name} is not in the metrics"
        found = found[part]
    assert isinstance(found, int | float), f"{name} is {found}"
    return float(found)


if __name__ == "__main__":
    main()
