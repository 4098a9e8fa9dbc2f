"""Write report.html: one self-contained page that shows the evaluation, its doubts included."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from eval.images.fidelity import KEPT
from eval.images.meter import FIDELITY
from eval.ladder.pictures import StripRow, WorstCase, data_uri
from eval.ladder.trials import Trials
from eval.report.data_summary import CategorySizes, DataSummary
from eval.report.plots import confusion, data_histograms, deviation_by_request, ladder_curves, order_bars
from eval.report.summary import ADAPTER, BETTER, Verdict, measured_along, verdicts, without_nan
from preprocess.sizes.axes import AXIS_NAMES, FIT_AXIS, axes_of
from preprocess.vocabulary import FIT_LABELS, Category

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What the page shows of one category."""

    category: Category
    """What everybody wears."""

    metrics: Mapping[str, Any]
    """Its fit sections of metrics.json."""

    trials: Mapping[str, Trials]
    """By method, of its people."""

    strip: Sequence[StripRow]
    """People by size."""

    unpaired_strip: Sequence[StripRow]
    """The same people in another's garment, where there are such pictures."""

    sizes: CategorySizes
    """What the data has of it."""

    seed: int
    """Of the intervals."""

    def log_order(self) -> None:
        """Tell the order accuracy along each axis."""
        for name in measured_along(self.metrics):
            found = self.metrics["ladder"][name]["order_accuracy"]
            words = self.category, name, "not measurable" if found is None else f"{found:.3f}"
            log.info("%s, %s: order accuracy %s", *words)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Everything the page shows."""

    metrics: Mapping[str, Any]
    """metrics.json."""

    parts: Sequence[Part]
    """By category; the first one's figures are those of metrics.json that bear no category's name."""

    trials: Mapping[str, Trials]
    """By method, of everybody."""

    worst: Sequence[WorstCase]
    """Pictures with the largest deviation."""

    data: DataSummary
    """The data behind it."""


def render(report: Report) -> str:
    """Turn the evaluation into one HTML page without outside references; equal input gives equal bytes."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"data_uri": data_uri, "without_nan": without_nan}
    metrics, statuses = report.metrics, report.data.statuses.values()
    return environment.get_template("report.html").render(
        metrics=metrics,
        data=report.data,
        parts=[shown_part(part) for part in report.parts],
        worst=report.worst,
        fidelity=fidelity_table(metrics["image"]),
        image=[image_table(*sections) for sections in image_sections(metrics["image"])],
        statuses=sorted({status for counts in statuses for status in counts}),
        absences=by_reason(absences(metrics)),
        fit_axis=FIT_AXIS,
        kept=KEPT,
        fidelity_figures=FIDELITY,
        labels=FIT_LABELS,
    )


def shown_part(part: Part) -> dict[str, Any]:
    """What the page shows of a category."""
    metrics = part.metrics
    return {
        "category": part.category,
        "unit": axes_of(part.category)[FIT_AXIS].body,
        "metrics": metrics,
        "strips": {"": part.strip, "In another's garment": part.unpaired_strip},
        "thresholds": part.sizes.thresholds,
        "plots": plots(part),
        "ladders": ladder_sections(metrics),
        "against": against_baselines(metrics),
        "deviations": deviation_sections(metrics),
        "talk": talk_of(metrics),
    }


def plots(part: Part) -> dict[str, str]:
    """The figures, as SVG elements."""
    metrics = part.metrics
    return {
        "ladder": ladder_curves(part.trials, part.seed),
        "order": order_bars({ADAPTER: metrics["ladder"]} | others(metrics)),
        "confusion": confusion(np.array(metrics["size_accuracy"]["confusion"])),
        "gfd": deviation_by_request(part.trials, axes_of(part.category)[FIT_AXIS].body),
        "data": data_histograms(part.sizes.ratios, part.sizes.thresholds),
    }


def others(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Sections of everything that stands beside the adapter."""
    return {**metrics["controls"], **metrics["baselines"]}


def ladder_sections(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The adapter's ladders: in range by ratio, beyond it, and in another's garment."""
    ladder, other = metrics["ladder"], metrics["unpaired"]
    sections = {name: ladder[name] for name in measured_along(metrics)}
    outside = ladder.get("out_of_range", {})
    sections |= {f"{name}, beyond the data's range": section for name, section in outside.items()}
    if FIT_AXIS in other:
        sections[f"{FIT_AXIS}, in another's garment"] = other[FIT_AXIS]
    return sections


def talk_of(metrics: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """The slope of each measured ratio on each that was asked for: `{asked: {measured: slope}}`."""
    names, talk = measured_along(metrics), metrics["ladder"]["cross_talk"]
    places = {name: AXIS_NAMES.index(name) for name in names}
    return {asked: {got: talk[places[asked]][places[got]] for got in names} for asked in names}


def deviation_sections(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Geometric fit deviation of every method that was drawn."""
    drawn = {name: section["gfd"] for name, section in others(metrics).items() if "gfd" in section}
    return {ADAPTER: metrics["gfd"]} | drawn


def against_baselines(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Verdicts by figure and rival, and how many of them the adapter won."""
    judged = verdicts(metrics)
    by_figure: dict[str, dict[str, Verdict]] = {}
    for verdict in judged:
        by_figure.setdefault(verdict.figure, {})[verdict.rival] = verdict
    won = sum(verdict.outcome == BETTER for verdict in judged)
    return {"by_figure": by_figure, "won": won, "num": len(judged), "rivals": list(metrics["baselines"])}


def image_sections(image: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield each size at which image metrics were taken, with its paired and unpaired figures."""
    unpaired = image.get("unpaired", {})
    yield "at their own size", image, unpaired
    for name, section in image.items():
        if name.startswith("at_"):
            yield name.replace("_", " "), section, unpaired.get(name, {})


def image_table(size: str, paired: Mapping[str, Any], unpaired: Mapping[str, Any]) -> dict[str, Any]:
    """One size; a figure that is absent everywhere is named in the list of absences only."""
    rows = {}
    for name in (key for key in paired if f"{key}_inside_mask" in paired):
        found = [part.get(f"{name}{end}") for part in (paired, unpaired) for end in ("", "_inside_mask")]
        values = [value if isinstance(value, float) else None for value in found]
        if any(value is not None for value in values):
            rows[name] = values
    return {"size": size, "paired": paired, "unpaired": unpaired, "rows": rows}


def fidelity_table(image: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """Figures of the garment itself, of the adapter and of the baselines beside it."""
    sections = {
        ADAPTER: image,
        f"{ADAPTER}, at every width": image.get("counterfactual", {}),
        f"{ADAPTER}, in another's garment": image.get("unpaired", {}).get("counterfactual", {}),
    }
    return {
        method: [value if isinstance(value, float) else None for value in map(section.get, FIDELITY)]
        for method, section in (sections | image["baselines"]).items()
        if "absent" not in section and section
    }


def by_reason(missing: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    """Gather names by the reason why they are absent."""
    reasons: dict[str, list[str]] = {}
    for name, reason in missing:
        reasons.setdefault(reason, []).append(name)
    return reasons


def absences(metrics: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name and the reason of every absent number."""
    if "absent" in metrics:
        yield path, str(metrics["absent"])
        return
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from absences(value, f"{path}.{name}".strip("."))
