"""The report's tables, from metrics.json."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from eval.report.data_summary import DataSummary
from eval.report.markup import number, table, with_interval
from eval.report.summary import ADAPTER
from eval.report.verdict import BETTER, Verdict
from preprocess.sizes.axes import AXIS_NAMES
from preprocess.vocabulary import FIT_LABELS


def methods(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Sections with ladder figures, the adapter first."""
    return {ADAPTER: metrics["ladder"], **metrics["controls"], **metrics["baselines"]}


def ladder_table(metrics: Mapping[str, Any]) -> str:
    """Every ladder figure of the adapter: in range by ratio, beyond it, and in another's garment."""
    figures = ("order_accuracy", "kendall_tau", "slope", "r2", "mae", "bias")
    ladder, other = metrics["ladder"], metrics["unpaired"]
    sections = {name: ladder[name] for name in AXIS_NAMES}
    sections |= {
        f"{name}, beyond the data's range": part for name, part in ladder.get("out_of_range", {}).items()
    }
    if "width" in other:
        sections["width, in another's garment"] = other["width"]
    rows = [
        [name, *(with_interval(section, f) for f in figures), number(section["coverage"])]
        for name, section in sections.items()
    ]
    return table(["ratio", *(f.replace("_", " ") for f in figures), "coverage"], rows)


def cross_talk_table(talk: Sequence[Sequence[float | None]]) -> str:
    """Slope of each measured ratio (columns) on each requested one (rows)."""
    rows = [
        [f"ask {name}", *(number(value, 2) for value in row)]
        for name, row in zip(AXIS_NAMES, talk, strict=True)
    ]
    return table(["", *(f"got {name}" for name in AXIS_NAMES)], rows)


def verdict_summary(judged: Sequence[Verdict]) -> str:
    """One sentence a baseline, and one on all of them."""
    won = sum(verdict.outcome == BETTER for verdict in judged)
    if won == len(judged):
        return "The adapter beats every baseline in every figure, with 95 % intervals that don't overlap."
    return (
        f"The adapter beats the baselines in {won} of {len(judged)} comparisons with intervals that don't "
        "overlap. <b>In the others it does not</b>. The baselines <i>dilate</i> and <i>scale</i> edit the "
        "very photo, with the worn garment's true mask; the adapter never sees the worn garment."
    )


def verdict_table(judged: Sequence[Verdict]) -> str:
    """The adapter's figures in rows beside every baseline's, coloured by who is better."""
    rivals = list(dict.fromkeys(verdict.rival for verdict in judged))
    cells: dict[str, dict[str, Verdict]] = {}
    for verdict in judged:
        cells.setdefault(verdict.figure, {})[verdict.rival] = verdict
    rows = [
        [
            name.replace("_", " "),
            number(next(iter(found.values())).ours),
            *(outcome(found[r]) for r in rivals),
        ]
        for name, found in cells.items()
    ]
    return table(["figure", "adapter", *rivals], rows)


def outcome(verdict: Verdict) -> str:
    """A baseline's figure, and what the adapter is beside it."""
    kind = verdict.outcome.split()[0]
    return f'{number(verdict.theirs)} <span class="{kind}">adapter: {verdict.outcome}</span>'


def gfd_table(metrics: Mapping[str, Any]) -> str:
    """Geometric fit deviation of every method that was drawn."""
    names = ("mean", "hd95", "width_bias", "hem_error")
    sections = {ADAPTER: metrics["gfd"]}
    sections |= {name: section["gfd"] for name, section in methods(metrics).items() if "gfd" in section}
    rows = [
        [method, *(with_interval(section, name) for name in names), number(section["coverage"])]
        for method, section in sections.items()
    ]
    return table(["method", *(name.replace("_", " ") for name in names), "coverage"], rows)


IMAGE_COLUMNS = ("paired", "paired, inside the mask", "unpaired", "unpaired, inside the mask")


def image_tables(image: Mapping[str, Any]) -> str:
    """Image metrics at every size, paired and unpaired, whole and inside the mask."""
    sizes = {"at their own size": (image, image.get("unpaired", {}))}
    sizes |= {
        name.replace("_", " "): (section, image.get("unpaired", {}).get(name, {}))
        for name, section in image.items()
        if name.startswith("at_")
    }
    return "".join(f"<h3>Pictures {size}</h3>{image_table(*pair)}" for size, pair in sizes.items())


def image_table(paired: Mapping[str, Any], unpaired: Mapping[str, Any]) -> str:
    """One size; a figure that is absent everywhere is named in the list of absences only."""
    if "absent" in paired:
        return f"<p>{number(paired)}</p>"
    rows = []
    for name in (key for key in paired if f"{key}_inside_mask" in paired):
        values = [
            section.get(f"{name}{end}") for section in (paired, unpaired) for end in ("", "_inside_mask")
        ]
        if any(isinstance(value, float) for value in values):
            rows.append([name, *(number(value if isinstance(value, float) else None) for value in values)])
    counts = f"{paired.get('pictures', 0)} pictures paired, {unpaired.get('pictures', 0)} unpaired"
    return table(["", *IMAGE_COLUMNS], rows) + f"<p>{counts}</p>"


def data_table(data: DataSummary) -> str:
    """Counts by status, and why rows are not ok."""
    states = sorted({state for counts in data.statuses.values() for state in counts})
    rows = [[split, *(str(c.get(s, 0)) for s in states)] for split, c in sorted(data.statuses.items())]
    labels = ", ".join(
        f"{low} &lt; {bound:.3f} &le; {high}"
        for low, bound, high in zip(FIT_LABELS[:-1], data.thresholds, FIT_LABELS[1:], strict=True)
    )
    reasons = [[escape(reason), str(count)] for reason, count in data.reasons.items()]
    why = table(["reason", "rows"], reasons) if reasons else ""
    return f"{table(['split', *states], rows)}<p>Fit labels by width ratio: {labels}</p>{why}"


def absent_list(metrics: Mapping[str, Any]) -> str:
    """Every absent number of metrics.json, gathered by its reason, as list items."""
    reasons: dict[str, list[str]] = {}
    for name, reason in absences(metrics):
        reasons.setdefault(reason, []).append(f"<code>{escape(name)}</code>")
    return "".join(f"<li>{escape(reason)}: {', '.join(names)}</li>" for reason, names in reasons.items())


def absences(metrics: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name and the reason of every absent number."""
    if "absent" in metrics:
        yield path, str(metrics["absent"])
        return
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from absences(value, f"{path}.{name}".strip("."))
