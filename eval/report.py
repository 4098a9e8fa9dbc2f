"""Write report.html: one self-contained page that shows the evaluation, its doubts included."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.data_summary import DataSummary
from eval.pictures import StripRow, WorstCase, data_uri
from eval.plots import confusion, data_histograms, deviation_by_request, ladder_curves, order_bars
from eval.summary import ADAPTER
from eval.trials import Trials
from eval.verdict import BETTER, Verdict, verdicts
from preprocess.vocabulary import FIT_LABELS, SIZE_RATIOS

PAGE = Path(__file__).with_name("report.html")
"""The page's frame; everything is inline, so it needs no network."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Everything the page shows."""

    metrics: Mapping[str, Any]
    """metrics.json."""

    trials: Mapping[str, Trials]
    """By method."""

    strip: Sequence[StripRow]
    """People by size."""

    worst: Sequence[WorstCase]
    """Pictures with the largest deviation."""

    data: DataSummary
    """The data behind it."""


def render(report: Report) -> str:
    """Turn the evaluation into one HTML page without outside references; equal input gives equal bytes."""
    metrics = report.metrics
    judged = verdicts(metrics)
    sections = {
        "warning": warning(report.data.source),
        "tiles": tiles(metrics),
        "strip": strip_table(report.strip),
        "ladder": ladder_curves(report.trials, metrics["protocol"]["seed"]),
        "ladder_table": ladder_table(metrics),
        "order": order_bars(methods(metrics)),
        "cross_talk": cross_talk_table(metrics["ladder"]["cross_talk"]),
        "verdict": verdict_summary(judged),
        "verdict_table": verdict_table(judged),
        "confusion": confusion(np.array(metrics["size_accuracy"]["confusion"])),
        "accuracy": facts(metrics["size_accuracy"], skip=("confusion",)),
        "gfd": deviation_by_request(report.trials),
        "gfd_table": gfd_table(metrics),
        "worst": worst_cases(report.worst),
        "image": facts(metrics["image"]),
        "data": data_histograms(report.data.ratios, report.data.thresholds),
        "data_table": data_table(report.data),
        "annotator": facts(metrics["annotator"]),
        "protocol": facts(metrics["protocol"]),
        "absent": absent_list(metrics),
    }
    return Template(PAGE.read_text(encoding="utf-8")).substitute(sections)


def methods(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Sections with ladder figures, the adapter first."""
    return {ADAPTER: metrics["ladder"], **metrics["controls"], **metrics["baselines"]}


def warning(source: str) -> str:
    """Say what the pictures can't prove; `source` is the data set's name, empty where it isn't known."""
    if source not in ("", "paper_dolls"):
        return ""
    who = "These people are paper dolls." if source else "If these people are paper dolls:"
    return (
        f'<p class="warning"><b>{who}</b> They show that the machinery works: that sizes are measured, '
        "learned and obeyed. They are not evidence about photographs.</p>"
    )


def number(value: Any, digits: int = 3) -> str:
    """Format a number, an absence or any other value as HTML text."""
    if value is None:
        return '<span class="absent">&ndash;</span>'
    if isinstance(value, Mapping) and "absent" in value:
        return f'<span class="absent">absent: {escape(value["absent"])}</span>'
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    if isinstance(value, list):
        return "[" + ", ".join(number(item, digits) for item in value) + "]"
    if isinstance(value, Mapping):
        return "<br>".join(f"{escape(str(key))} {number(item, digits)}" for key, item in value.items())
    return escape(str(value))


def with_interval(section: Mapping[str, Any] | None, figure: str) -> str:
    """A figure beside its 95 % interval."""
    if section is None or section.get(figure) is None:
        return number(None)
    low, high = section[f"{figure}_ci95"]
    return f"{section[figure]:.3f} <small>{low:.3f}&hairsp;&ndash;&hairsp;{high:.3f}</small>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """An HTML table of cells that are HTML already."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table class="{kind}"><tr>{top}</tr>{body}</table></div>'


def tiles(metrics: Mapping[str, Any]) -> str:
    """The figures that matter most, large."""
    ladder, controls = metrics["ladder"], metrics["controls"]
    shown = [
        ("width order accuracy", with_interval(ladder["width"], "order_accuracy"), "a guess scores 0.5"),
        ("with shuffled requests", with_interval(controls["shuffled"]["width"], "order_accuracy"), "control"),
        (
            "base without adapter",
            with_interval(controls.get("scale_zero", {}).get("width"), "order_accuracy"),
            "control",
        ),
        ("width MAE", with_interval(ladder["width"], "mae"), "in units of the ratio"),
        ("GFD", with_interval(metrics["gfd"], "mean"), "body shoulder widths"),
        (
            "outside the mask",
            number(metrics["image"]["outside_mask_mean_abs_difference"]),
            "mean |difference|, 1/255",
        ),
    ]
    return "".join(
        f'<div class="tile"><span>{name}</span><b>{value}</b><em>{note}</em></div>'
        for name, value, note in shown
    )


def strip_table(rows: Sequence[StripRow]) -> str:
    """Rows of people, columns of sizes from tight to oversized."""
    head = ["photo", "garment", *(["tight"] + [""] * (len(rows[0].cells) - 2) + ["oversized"])]
    body = []
    for row in rows:
        cells = [figure(row.photo, f"worn {row.natural:.2f}", row.key), figure(row.cloth, "", row.key)]
        cells += [
            figure(
                cell.picture,
                f"asked {cell.requested:.2f}<br><b>got {number(known(cell.measured), 2)}</b>",
                row.key,
            )
            for cell in row.cells
        ]
        body.append(cells)
    return table(head, body, kind="strip")


def known(value: float) -> float | None:
    """None for NaN."""
    return None if np.isnan(value) else value


def figure(picture: NDArray[np.uint8], caption: str, alternative: str) -> str:
    """An inline picture with a caption."""
    image = f'<img src="{data_uri(picture)}" alt="{escape(alternative)}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def ladder_table(metrics: Mapping[str, Any]) -> str:
    """Every ladder figure of the adapter, by ratio."""
    figures = ("order_accuracy", "kendall_tau", "slope", "r2", "mae", "bias")
    ladder = metrics["ladder"]
    rows = [
        [name, *(with_interval(ladder[name], f) for f in figures), number(ladder[name]["coverage"])]
        for name in SIZE_RATIOS
    ]
    return table(["ratio", *(f.replace("_", " ") for f in figures), "coverage"], rows)


def cross_talk_table(talk: Sequence[Sequence[float | None]]) -> str:
    """Slope of each measured ratio (columns) on each requested one (rows)."""
    rows = [
        [f"ask {name}", *(number(value, 2) for value in row)]
        for name, row in zip(SIZE_RATIOS, talk, strict=True)
    ]
    return table(["", *(f"got {name}" for name in SIZE_RATIOS)], rows)


def verdict_summary(judged: Sequence[Verdict]) -> str:
    """One sentence on whether every baseline is beaten."""
    won = sum(verdict.outcome == BETTER for verdict in judged)
    if won == len(judged):
        return "The adapter beats every baseline in every figure, with 95 % intervals that don't overlap."
    return (
        f"The adapter beats the baselines in {won} of {len(judged)} comparisons with intervals that don't "
        "overlap. <b>In the others it does not</b>; they are marked below. The baselines <i>dilate</i> and "
        "<i>scale</i> edit the very photo, with the worn garment's true mask; the adapter never sees the "
        "worn garment."
    )


def verdict_table(judged: Sequence[Verdict]) -> str:
    """Every comparison with a baseline."""
    rows = [
        [
            v.rival,
            v.figure,
            number(v.ours),
            number(v.theirs),
            f'<span class="{v.outcome.split()[0]}">{v.outcome}</span>',
        ]
        for v in judged
    ]
    return table(["baseline", "figure", "adapter", "baseline's", "the adapter is"], rows)


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


def worst_cases(cases: Sequence[WorstCase]) -> str:
    """Pictures with the largest deviation, expected outline green, measured red."""
    return "".join(
        figure(c.overlay, f"{escape(c.caption)}<br><b>GFD {c.gfd:.3f}</b>", c.caption) for c in cases
    )


def facts(section: Mapping[str, Any], skip: Sequence[str] = ()) -> str:
    """A section of metrics.json as a list of names and values."""
    items = [f"<dt>{escape(k)}</dt><dd>{number(v)}</dd>" for k, v in section.items() if k not in skip]
    return f"<dl>{''.join(items)}</dl>"


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


def absent_list(metrics: Mapping[str, Any], path: str = "") -> str:
    """Every absent number of metrics.json with its reason, as list items."""
    if "absent" in metrics:
        return f"<li><code>{escape(path)}</code> {escape(str(metrics['absent']))}</li>"
    inner = {f"{path}.{name}".strip("."): value for name, value in metrics.items()}
    return "".join(absent_list(value, name) for name, value in inner.items() if isinstance(value, Mapping))
