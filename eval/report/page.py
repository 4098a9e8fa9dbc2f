"""Write report.html: one self-contained page that shows the evaluation, its doubts included."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from eval.ladder.pictures import StripRow, WorstCase
from eval.ladder.trials import Trials
from eval.report.data_summary import DataSummary
from eval.report.markup import facts, figure, known, number, table, with_interval
from eval.report.plots import confusion, data_histograms, deviation_by_request, ladder_curves, order_bars
from eval.report.tables import (
    absent_list,
    cross_talk_table,
    data_table,
    gfd_table,
    image_tables,
    ladder_table,
    methods,
    verdict_summary,
    verdict_table,
)
from eval.report.verdict import verdicts

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
        "image": image_tables(metrics["image"]),
        "data": data_histograms(report.data.ratios, report.data.thresholds),
        "data_table": data_table(report.data),
        "annotator": facts(metrics["annotator"]),
        "protocol": facts(metrics["protocol"]),
        "absent": absent_list(metrics),
    }
    return Template(PAGE.read_text(encoding="utf-8")).substitute(sections)


def warning(source: str) -> str:
    """Say what the pictures can't prove; `source` is the data set's name, empty where it isn't known."""
    if source not in ("", "paper_dolls"):
        return ""
    who = "These people are paper dolls." if source else "If these people are paper dolls:"
    return (
        f'<p class="warning"><b>{who}</b> They show that the machinery works: that sizes are measured, '
        "learned and obeyed. They are not evidence about photographs.</p>"
    )


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


def worst_cases(cases: Sequence[WorstCase]) -> str:
    """Pictures with the largest deviation, expected outline green, measured red."""
    return "".join(
        figure(c.overlay, f"{escape(c.caption)}<br><b>GFD {c.gfd:.3f}</b>", c.caption) for c in cases
    )
