"""The report's figures, as SVG text with the reader's own fonts. Equal input gives equal bytes."""

import io
from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eval.ladder.trials import Trials
from eval.report.summary import ADAPTER, SCALE_ZERO, SHUFFLED, SIZE_ONLY, masked_mean
from preprocess.sizes.axes import AXIS_NAMES, FIT_AXIS
from preprocess.vocabulary import FIT_LABELS

COLOURS = {
    ADAPTER: "#0f766e",
    SIZE_ONLY: "#7c3aed",
    SCALE_ZERO: "#94a3b8",
    "natural": "#b45309",
    "dilate": "#d97706",
    "scale": "#be123c",
    "resize": "#0369a1",
}
NAMES = {SIZE_ONLY: "after train_size", SCALE_ZERO: "base alone", SHUFFLED: "shuffled requests"}
"""Of methods that aren't shown by their own."""

INK = "#334155"

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cinderella",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": "#cbd5e1",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#eef2f6",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def draw(paint: Callable[[Figure], None], width: float, height: float) -> str:
    """Run `paint` on an empty figure of that many inches and return it as an SVG element."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def panels_of(figure: Figure, shown: Sequence[bool], **choices: Any) -> dict[str, Axes]:
    """Return a panel for each of the (A,) axes that are shown, by name."""
    names = list(compress(AXIS_NAMES, shown))
    return dict(zip(names, figure.subplots(1, len(names), squeeze=False, **choices)[0], strict=True))


def climbed(trials: Mapping[str, Trials]) -> list[bool]:
    """(A,) along which axes the adapter has a ladder."""
    ladders = (trials[ADAPTER].along(place)[0] for place in range(len(AXIS_NAMES)))
    return [bool(np.isfinite(requested).any()) for requested in ladders]


def share_legend(figure: Figure, panels: Mapping[str, Axes]) -> None:
    """Put one legend below panels; a method may have a line in some of them alone."""
    shown = [zip(*axes.get_legend_handles_labels(), strict=True) for axes in panels.values()]
    lines = {label: handle for panel in shown for handle, label in panel}
    figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=len(lines))


def ladder_curves(trials: Mapping[str, Trials], seed: int) -> str:
    """Measured against requested: people, mean and 95 % interval of the adapter, means of the rest."""

    def paint(figure: Figure) -> None:
        panels = panels_of(figure, climbed(trials))
        for name, axes in panels.items():
            dimension = AXIS_NAMES.index(name)
            for method, trial in trials.items():
                if method in COLOURS:
                    curve(axes, method, *trial.along(dimension), seed=seed)
            ends = trials[ADAPTER].along(dimension)[0]
            axes.plot(
                [ends.min(), ends.max()], [ends.min(), ends.max()], "--", color=INK, lw=1, label="as asked"
            )
            axes.set(title=f"{name}_ratio", xlabel="requested")
        next(iter(panels.values())).set_ylabel("measured")
        share_legend(figure, panels)

    return draw(paint, 10.5, 3.9)


def look_of(method: str) -> dict[str, Any]:
    """Return colour, width and label of a method's line."""
    width = 2.4 if method == ADAPTER else 1.4
    return {"color": COLOURS[method], "lw": width, "label": NAMES.get(method, method)}


def curve(
    axes: Axes, method: str, requested: NDArray[np.float64], measured: NDArray[np.float64], *, seed: int
) -> None:
    """Draw one method's (P, R) ladder; only the adapter gets people and an interval."""
    if not np.isfinite(measured).any():
        return
    x, y = requested.mean(axis=0), masked_mean(measured.T)
    axes.plot(x, y, **look_of(method), zorder=3)
    if method == ADAPTER:
        axes.plot(requested.T, measured.T, color=COLOURS[method], lw=0.5, alpha=0.22, zorder=2)
        low, high = interval(measured, seed)
        axes.fill_between(x, low, high, color=COLOURS[method], alpha=0.2, lw=0, zorder=2)


def interval(values: NDArray[np.float64], seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % bootstrap interval over people of the mean of (P, R) values at each rung, two (R,)."""
    picks = np.random.default_rng(seed).integers(0, len(values), (1000, len(values)))
    means = masked_mean(values[picks].transpose(0, 2, 1))
    known = np.isfinite(means).any(axis=0)
    ends = np.full((2, values.shape[1]), np.nan)
    ends[:, known] = np.nanquantile(means[:, known], [0.025, 0.975], axis=0)
    return ends[0], ends[1]


def order_bars(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Order accuracy with its interval of each method's section, one panel a ratio."""

    def paint(figure: Figure) -> None:
        panels = panels_of(figure, [name in sections[ADAPTER] for name in AXIS_NAMES], sharey=True)
        methods = list(sections)
        for name, axes in panels.items():
            for row, method in enumerate(methods):
                bar(axes, row, COLOURS.get(method, "#64748b"), sections[method].get(name))
            axes.axvline(0.5, color=INK, lw=1, ls=":")
            axes.set(title=name, xlim=(0, 1.02), xlabel="order accuracy")
            axes.set_yticks(range(len(methods)), [NAMES.get(m, m) for m in methods])
        axes.invert_yaxis()  # all of them: they share it

    return draw(paint, 10.5, 0.32 * len(sections) + 1.2)


def bar(axes: Axes, row: int, colour: str, figures: Mapping[str, Any] | None) -> None:
    """Draw one method's order accuracy, or nothing where its ladder wasn't run."""
    if figures is None or figures["order_accuracy"] is None:
        return
    value = figures["order_accuracy"]
    low, high = figures["order_accuracy_ci95"]
    axes.barh(row, value, height=0.62, color=colour, alpha=0.85)
    axes.plot([low, high], [row, row], color=INK, lw=1.6)


def confusion(counts: NDArray[np.int64]) -> str:
    """Fit labels requested (rows) and measured (columns), (K, K) counts."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="BuGn", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            dark = shares[row, column] > 0.6
            axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else INK)
        axes.set_xticks(range(len(FIT_LABELS)), FIT_LABELS)
        axes.set_yticks(range(len(FIT_LABELS)), FIT_LABELS)
        axes.set(xlabel="measured", ylabel="requested")
        axes.grid(visible=False)

    return draw(paint, 4.2, 3.6)


def deviation_by_request(trials: Mapping[str, Trials], unit: str) -> str:
    """Mean geometric fit deviation at each rung of the ladders, in widths of the body's `unit`."""

    def paint(figure: Figure) -> None:
        panels = panels_of(figure, climbed(trials), sharey=True)
        for name, axes in panels.items():
            dimension = AXIS_NAMES.index(name)
            for method, trial in trials.items():
                values = trial.gfd[:, dimension]
                if method in COLOURS and np.isfinite(values).any():
                    x = trial.along(dimension)[0].mean(axis=0)
                    axes.plot(x, masked_mean(values.T), **look_of(method))
            axes.set(title=f"{name}_ratio", xlabel="requested")
        first = next(iter(panels.values()))
        first.set(ylabel=f"GFD (body {unit} widths)", ylim=(0, first.get_ylim()[1]))
        share_legend(figure, panels)

    return draw(paint, 10.5, 3.4)


def data_histograms(ratios: Mapping[str, NDArray[np.float64]], thresholds: NDArray[np.float64]) -> str:
    """How the measured ratios of the data are spread, by split, with the fit label thresholds.

    Args:
        ratios: Split to (N, A), NaN where unknown.
        thresholds: (3,) width ratios.
    """

    def paint(figure: Figure) -> None:
        seen = np.isfinite(np.concatenate(list(ratios.values()))).any(axis=0)
        panels = panels_of(figure, seen.tolist())
        for name, axes in panels.items():
            dimension = AXIS_NAMES.index(name)
            known = {s: r[np.isfinite(r[:, dimension]), dimension] for s, r in sorted(ratios.items())}
            edges = np.histogram_bin_edges(np.concatenate(list(known.values())), bins=24)
            for (split, values), colour in zip(known.items(), ("#be123c", "#0f766e"), strict=False):
                weights = np.full(len(values), 1 / max(len(values), 1))
                axes.hist(values, bins=edges.tolist(), weights=weights, color=colour, alpha=0.5, label=split)
            axes.set(title=f"{name}_ratio", yticks=[])
        for threshold in thresholds:
            panels[FIT_AXIS].axvline(threshold, color=INK, lw=1, ls=":")
        next(iter(panels.values())).legend()

    return draw(paint, 10.5, 2.6)
