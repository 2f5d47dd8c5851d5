"""Pictures, drawn without a display."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from glo.errors import ConfigError
from glo.expr import Expr, derivative, evaluate
from glo.records import Stage, Status
from glo.report.files import drafted
from glo.store import GenerationRecord

FORMATS = ("png", "svg", "pdf")
STAGE_COLOURS = {
    Stage.STRUCTURE: "#bdbdbd",
    Stage.CACHE: "#9ecae1",
    Stage.DERIVATIVE: "#fdd0a2",
    Stage.DESCENT: "#fd8d3c",
    Stage.EARLY_STOP: "#a1d99b",
    Stage.TRAINING: "#756bb1",
}


def save(figure: Figure, path: str | Path) -> None:
    """Write a picture; what is written is whole or not there.

    Raises:
        ConfigError: if the ending is none of png, svg and pdf, or the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix[1:].lower()
    if kind not in FORMATS:
        raise ConfigError(f"{path}: a picture's format is one of {', '.join(FORMATS)}, not {kind!r}")
    with drafted(path) as draft:
        figure.savefig(draft, format=kind, dpi=130, bbox_inches="tight")


def loss_figure(losses: Mapping[str, Expr]) -> Figure:
    """f and df/dy over y, for x = 0 and x = 1; one column for each loss."""
    figure = Figure(figsize=(5 * len(losses), 7), layout="constrained")
    axes = figure.subplots(2, len(losses), squeeze=False, sharex=True)
    for column, (name, expression) in enumerate(losses.items()):
        _curves(axes[0, column], expression, evaluate, "f(x, y)")
        _curves(axes[1, column], expression, derivative, "df/dy")
        axes[0, column].set_title(f"{name}\nf = {expression}", fontsize=11)
        axes[1, column].set_xlabel("y, predicted probability of the class")
    return figure


def _curves(axes: Axes, expression: Expr, what: Callable[..., NDArray[np.float64]], label: str) -> None:
    y = np.linspace(0.002, 0.998, 600)
    curves = {1: what(expression, 1.0, y), 0: what(expression, 0.0, y)}
    for x, style in ((1, "-"), (0, "--")):
        axes.plot(
            y,
            curves[x],
            style,
            color="C0" if x else "C3",
            label="right class (x = 1)" if x else "wrong classes (x = 0)",
        )
    # A pole at 0 or 1 would flatten everything else.
    inner = np.concatenate([curve[15:-15] for curve in curves.values()])
    inner = inner[np.isfinite(inner)]
    if len(inner):
        low, high = inner.min(), inner.max()
        margin = 0.08 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.set_ylabel(label)
    axes.legend(fontsize=9)


def progress_figure(history: Sequence[GenerationRecord], metric: str = "validation metric") -> Figure:
    """Best and mean fitness by generation, and what each stage of the funnel rejected."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    number = [record.generation for record in history]
    trained = [[o.fitness for o in record.outcomes if o.status is Status.TRAINED] for record in history]
    best = np.maximum.accumulate([max(values, default=0.0) for values in trained])
    left.plot(number, best, "o-", color="C0", label="best so far")
    left.plot(
        number,
        [np.mean(values) if values else np.nan for values in trained],
        "s--",
        color="C1",
        label="mean of the trained",
    )
    left.set(xlabel="generation", ylabel=metric, title="Fitness")
    left.legend()
    bottom = np.zeros(len(history))
    for stage, colour in STAGE_COLOURS.items():
        label = {Stage.CACHE: "known already", Stage.TRAINING: "diverged"}.get(stage, f"rejected: {stage}")
        height = np.array([record.funnel[stage].rejected for record in history], dtype=float)
        right.bar(number, height, bottom=bottom, color=colour, label=label)
        bottom += height
    went_on = np.array(
        [record.funnel[Stage.TRAINING].candidates - record.funnel[Stage.TRAINING].rejected for record in history]
    )
    right.bar(number, went_on, bottom=bottom, color="#31a354", label="trained to the end")
    total = bottom + went_on
    top = 1.15 * max(total[1:], default=total[0])  # the first generation draws thousands of random trees
    if total[0] > top:
        right.text(number[0], top, f"{total[0]:,.0f}", ha="center", va="bottom", fontsize=9)
    right.set_ylim(0, top)
    right.set(xlabel="generation", ylabel="candidates", title="What became of the candidates")
    right.legend(fontsize=8)
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def comparison_figure(summary: Mapping[str, Any]) -> Figure:
    """Box and single seeds of each loss on test, one panel for each length of training (the result of a comparison)."""
    horizons = summary["horizons"]
    names = list(horizons[0]["losses"])
    figure = Figure(figsize=(2.2 + 4.6 * len(horizons), 1.4 + 0.55 * len(names)), layout="constrained")
    for axes, horizon in zip(figure.subplots(1, len(horizons), squeeze=False, sharey=True)[0], horizons, strict=True):
        values = [row["values"] for row in horizon["losses"].values()]
        axes.boxplot(values, orientation="horizontal", widths=0.5, showfliers=False, medianprops={"color": "0.3"})
        for place, (name, seeds) in enumerate(zip(names, values, strict=True), start=1):
            colour = "C7" if name == summary["baseline"] else "C0"
            offsets = np.linspace(-0.16, 0.16, len(seeds))  # one seed at one height, for all losses
            axes.plot(seeds, place + offsets, "o", color=colour, markersize=4, alpha=0.8)
        axes.set_yticks(range(1, len(names) + 1), [name if len(name) <= 40 else f"{name[:37]}..." for name in names])
        axes.grid(axis="x", color="0.9")
        axes.set_xlabel(f"test {summary['metric']}, {summary['repeats']} seeds")
        axes.set_title(f"{horizon['steps']:,} steps", fontsize=10)
    figure.axes[0].invert_yaxis()  # the panels share it
    rate = "all at one learning rate" if summary["confounded"] else "each loss at its own best learning rate"
    figure.suptitle(f"{summary['task']}: {rate}", fontsize=11)
    return figure
