"""Figures, drawn without a display.  matplotlib is imported when the first figure is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glo.errors import ConfigError
from glo.expr import Expr, derivative, evaluate
from glo.records import Stage, Status
from glo.report.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from glo.store import GenerationRecord

FORMATS = ("png", "svg", "pdf")
DRAWN_AT = {"prior": 0.1, "progress": 0.5}  # of losses that use them
STAGE_COLOURS = {
    Stage.STRUCTURE: "#bdbdbd",
    Stage.CONSTRAINT: "#fee391",
    Stage.CACHE: "#9ecae1",
    Stage.DERIVATIVE: "#fdd0a2",
    Stage.DESCENT: "#fd8d3c",
    Stage.EARLY_STOP: "#a1d99b",
    Stage.TRAINING: "#756bb1",
}


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure to a file, atomically.

    Raises:
        ConfigError: if the file's suffix is not png, svg or pdf, or the file cannot be written.
    """
    path = Path(path)
    kind = path.suffix[1:].lower()
    if kind not in FORMATS:
        raise ConfigError(f"{path}: a picture's format is one of {', '.join(FORMATS)}, not {kind!r}")
    with replacing(path) as draft:
        figure.savefig(draft, format=kind, dpi=130, bbox_inches="tight")


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def loss_figure(losses: Mapping[str, Expr]) -> Figure:
    """f and df/dy over y, for x = 0 and x = 1; one column for each loss."""
    figure = _figure(5 * len(losses), 7)
    axes = figure.subplots(2, len(losses), squeeze=False, sharex=True)
    for column, (name, expression) in enumerate(losses.items()):
        _curves(axes[0, column], expression, evaluate, "f(x, y)")
        _curves(axes[1, column], expression, derivative, "df/dy")
        axes[0, column].set_title(f"{name}\nf = {expression}{_at(expression)}", fontsize=11)
        axes[1, column].set_xlabel("y, predicted probability of the class")
    return figure


def _at(expression: Expr) -> str:
    """At which values of `prior` and `progress` a loss is drawn that uses them."""
    used = [f"{name} = {DRAWN_AT[name]:g}" for name in expression.context]
    return f"\ndrawn at {', '.join(used)}" if used else ""


def _curves(axes: Axes, expression: Expr, function: Callable[..., NDArray[np.float64]], label: str) -> None:
    y = np.linspace(0.002, 0.998, 600)
    curves = {x: function(expression, float(x), y, DRAWN_AT) for x in (1, 0)}
    for x, style in ((1, "-"), (0, "--")):
        axes.plot(
            y,
            curves[x],
            style,
            color="C0" if x else "C3",
            label="right class (x = 1)" if x else "wrong classes (x = 0)",
        )
    # Limits without the ends: a pole at 0 or 1 would flatten the rest of the curve.
    inner = np.concatenate([curve[15:-15] for curve in curves.values()])
    inner = inner[np.isfinite(inner)]
    if len(inner):
        low, high = inner.min(), inner.max()
        margin = 0.08 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.set_ylabel(label)
    axes.legend(fontsize=9)


def progress_figure(history: Sequence[GenerationRecord], metric: str = "fitness") -> Figure:
    """Best and mean fitness by generation, and how many candidates each stage of the funnel rejected."""
    figure = _figure(12.5, 4.2)
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
    left.legend(loc="lower right")
    bottom = np.zeros(len(history))
    for stage, colour in STAGE_COLOURS.items():
        label = {Stage.CACHE: "known already", Stage.EARLY_STOP: "given up early", Stage.TRAINING: "diverged"}.get(
            stage, f"rejected: {stage}"
        )
        height = np.array([record.funnel[stage].rejected for record in history], dtype=float)
        if stage is Stage.CONSTRAINT and not height.any():
            continue  # a search without constraints
        right.bar(number, height, bottom=bottom, color=colour, label=label)
        bottom += height
    finished = np.array(
        [record.funnel[Stage.TRAINING].candidates - record.funnel[Stage.TRAINING].rejected for record in history]
    )
    right.bar(number, finished, bottom=bottom, color="#31a354", label="trained to the end")
    total = bottom + finished
    top = 1.15 * max(total[1:], default=total[0])  # without the first generation, which draws thousands of random trees
    if total[0] > top:
        right.text(number[0], top, f"{total[0]:,.0f} ", ha="right", va="top", rotation=90, fontsize=8)
    right.set_ylim(0, top)
    right.set(xlabel="generation", ylabel="candidates", title="Candidates by stage")
    right.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)  # beside the bars
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure
