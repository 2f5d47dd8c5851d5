"""Figure 6: the losses of two classes at x0 = 1."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydantic import PositiveInt

from glo.expr import Expr, evaluate
from glo.loss import binary_minimum
from glo.paper.experiment.accuracy import COLOURS, LOSSES, label
from glo.paper.experiment.context import ExperimentContext
from glo.paper.experiment.definition import Experiment, Results, Scale
from glo.records import Config
from glo.report import Sheet

PAPER = {"cross_entropy": 1.0, "baikal": 0.71, "baikal_cma": 0.77}


class Grid(Config):
    """The number of probabilities at which the losses are drawn."""

    points: PositiveInt


SCALES = {Scale.SMOKE: Grid(points=50), Scale.SMALL: Grid(points=500), Scale.PAPER: Grid(points=500)}


def measure(context: ExperimentContext, grid: Grid) -> Results:
    """The values of the losses, and their minima; nothing is trained."""
    y = np.linspace(0.01, 0.99, grid.points)
    losses = {name: next(iter(family.values())) for name, family in LOSSES.items()}
    return {
        "y0": y.tolist(),
        "losses": {
            name: {"expression": str(loss), "values": two_classes(loss, y).tolist(), "minimum": binary_minimum(loss)}
            for name, loss in losses.items()
        },
    }


def two_classes(loss: Expr, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The loss of two classes at x0 = 1 (paper, equation 3)."""
    return -(evaluate(loss, 1.0, y) + evaluate(loss, 0.0, 1 - y)) / 2


def draw(results: Results) -> Figure:
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    for name, row in results["losses"].items():
        # The minimum is drawn at 0: only differences of a loss have a meaning, and its scale acts as a learning rate.
        values = np.asarray(row["values"]) - min(row["values"])
        axes.plot(results["y0"], values, color=COLOURS[name], label=f"{label(name)}, minimum at {row['minimum']:.4f}")
        axes.axvline(row["minimum"], color=COLOURS[name], linestyle=":", linewidth=1)
    axes.set(xlabel="y0, predicted probability of the right class", ylabel="loss, above its minimum", ylim=(0, 8))
    axes.set_title("Two classes at x0 = 1: wrong on the left, right on the right", fontsize=11)
    axes.legend()
    return figure


def tables(results: Results) -> list[Sheet]:
    rows = [
        [label(name), f"{PAPER[name]:g}", f"{row['minimum']:.4f}", f"{row['minimum'] - PAPER[name]:+.4f}"]
        for name, row in results["losses"].items()
    ]
    return [Sheet("Where the two-class loss is smallest, for x0 = 1", ["loss", "paper", "measured", "difference"], rows)]


EXPERIMENT: Experiment = Experiment(
    figure="Figure 6",
    what="the losses of two classes over the probability of the right one, and where they are smallest",
    scales=SCALES,
    measure=measure,
    draw=draw,
    tables=tables,
)
