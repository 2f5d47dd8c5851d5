"""Draw the figures of docs/understand into docs/images: `make docs`.  Nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from glo.catalog import NAMED
from glo.expr import Expr, derivative, evaluate, parse
from glo.loss import binary_minimum, unit_gradient
from glo.report import save

IMAGES = Path(__file__).parent / "images"
CLASSES = 10
UNIT = "with the unit gradient"
LOSSES = {name: NAMED[name] for name in ("cross_entropy", "baikal", "baikal_cma")}
STEPS = [
    "ask:\nnew expressions, bred\nfrom the best so far",
    "funnel:\ncan this one train?\nis it known already?",
    "train:\none network with\neach loss, for a while",
    "tell:\nits metric on\nvalidation data",
]


def loop() -> Figure:
    """The loop of a search: four boxes, and an arrow back."""
    figure = Figure(figsize=(9, 2.3), layout="constrained")
    axes = _empty(figure, (-0.5, 3.5), (-1.0, 0.45))
    for at, text in enumerate(STEPS):
        box = FancyBboxPatch((at - 0.36, -0.3), 0.72, 0.6, boxstyle="round,pad=0.05", facecolor="#e0f2f1")
        axes.add_patch(box)
        axes.text(at, 0, text, ha="center", va="center", fontsize=9)
        if at:
            axes.annotate("", (at - 0.41, 0), (at - 0.59, 0), arrowprops={"arrowstyle": "-|>"})
    axes.plot([3, 3, 0], [-0.35, -0.7, -0.7], color="black", linewidth=1)
    axes.annotate("", (0, -0.35), (0, -0.72), arrowprops={"arrowstyle": "-|>"})
    axes.text(1.5, -0.76, "until generations, time or target end it", ha="center", va="top", fontsize=9)
    return figure


def tree() -> Figure:
    """Baikal as a tree (in the paper, losses are trees like this)."""
    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    axes = _empty(figure, (-0.6, 2.6), (-2.5, 0.5))
    _draw_node(axes, NAMED["baikal"], 0, 2, 0)
    return figure


def _draw_node(axes: Axes, expr: Expr, left: float, right: float, depth: int) -> tuple[float, float]:
    middle = (left + right) / 2
    share = (right - left) / max(len(expr.children), 1)
    for number, child in enumerate(expr.children):
        below = _draw_node(axes, child, left + number * share, left + (number + 1) * share, depth + 1)
        axes.plot([middle, below[0]], [-depth, below[1]], color="0.5", zorder=0)
    colour = "#e0f2f1" if expr.children else "#fff3e0"
    axes.text(
        middle,
        -depth,
        expr.symbol,
        ha="center",
        va="center",
        fontsize=13,
        bbox={"boxstyle": "circle,pad=0.45", "fc": colour},
    )
    return middle, -depth


def two_classes() -> Figure:
    """The loss of two classes over the probability of the right one (the paper's Figures 1 and 6)."""
    y = np.linspace(0.01, 0.99, 400)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for number, (name, loss) in enumerate(LOSSES.items()):
        values = -(evaluate(loss, 1.0, y) + evaluate(loss, 0.0, 1 - y)) / 2
        minimum = binary_minimum(loss)
        axes.plot(y, values - values.min(), color=f"C{number}", label=f"{name}, minimum at {minimum:.2f}")
        axes.axvline(minimum or 0, color=f"C{number}", linestyle=":", linewidth=1)
    axes.set(xlabel="probability of the right class", ylabel="loss, above its minimum", ylim=(0, 8))
    axes.legend()
    return figure


def gradients() -> Figure:
    """What a loss pushes at the output of the right class, as it is written and with the unit gradient."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    as_written, scaled = figure.subplots(1, 2)
    _draw_pushes(as_written, LOSSES, "as written")
    _draw_pushes(
        scaled, {name: unit_gradient(loss, classes=CLASSES) for name, loss in LOSSES.items()}, "with the unit gradient"
    )
    as_written.set_ylabel("push on the output of the right class")
    scaled.legend()
    return figure


def _scaled(losses: Mapping[str, Expr]) -> dict[str, Expr]:
    return {name: unit_gradient(loss, classes=CLASSES) for name, loss in losses.items()}


def _draw_pushes(axes: Axes, losses: Mapping[str, Expr], title: str) -> None:
    y = np.linspace(0.02, 0.998, 300)
    others = (1 - y) / (CLASSES - 1)
    for name, loss in losses.items():
        # By the chain rule of softmax, the wrong classes having equal probabilities.
        right, wrong = derivative(loss, 1.0, y), derivative(loss, 0.0, others)
        axes.plot(y, y * (1 - y) * (right - wrong), label=name)
    axes.axvline(1 / CLASSES, color="0.7", linestyle=":")
    axes.text(1 / CLASSES + 0.01, 0.97, "start", transform=axes.get_xaxis_transform(), va="top", color="0.4", fontsize=9)
    axes.axhline(0, color="0.8", linewidth=0.8)
    axes.set(title=title, xlabel="probability of the right class, of ten")


def pull_of_wrong_labels() -> Figure:
    """How hard losses pull at a sample whose label the network contradicts: why robust losses are robust."""
    shown = {
        "cross-entropy": parse("x*log(y)"),
        "generalised, q = 0.7": parse("x*pow(y, 0.7)/0.7"),
        "absolute error": parse("x*y"),
    }
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    _draw_pushes(
        axes, {name: unit_gradient(loss, classes=CLASSES) for name, loss in shown.items()}, "with the unit gradient"
    )
    axes.axvspan(0.02, 0.08, color="#fff3e0")
    axes.text(0.025, 0.05, "wrong label?", transform=axes.get_xaxis_transform(), fontsize=9)
    axes.legend()
    return figure


def _empty(figure: Figure, x: tuple[float, float], y: tuple[float, float]) -> Axes:
    axes = figure.subplots()
    axes.set(xlim=x, ylim=y)
    axes.axis("off")
    return axes


FIGURES = {
    "understand-loop": loop,
    "understand-tree": tree,
    "understand-two-classes": two_classes,
    "understand-gradients": gradients,
    "understand-robust": pull_of_wrong_labels,
}

if __name__ == "__main__":
    for name, draw in FIGURES.items():
        save(draw(), IMAGES / f"{name}.png")
