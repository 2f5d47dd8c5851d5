"""Figure 3: how fast networks learn on MNIST."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glo.paper import mnist_accuracy
from glo.paper.experiment.accuracy import COLOURS, label, panels, rate_of, scale_note
from glo.paper.experiment.definition import Experiment, Results
from glo.report import Sheet

LEVELS = (0.9, 0.95, 0.97, 0.98, 0.985, 0.99, 0.993)


def draw(results: Results) -> Figure:
    (condition,) = results["conditions"]

    def curves(axes: Axes, block: str) -> None:
        for name, row in condition["blocks"][block].items():
            if row["curve"]:
                text = f"{label(name)}, rate {row['learning_rate']:g}"
                axes.plot(*zip(*row["curve"], strict=True), color=COLOURS[name], label=text)
        axes.set(xlabel="training steps", ylabel="test accuracy")
        axes.grid(color="0.92")
        axes.legend(fontsize=9)

    figure = panels(f"MNIST, mean of {condition['blocks'][next(iter(condition['blocks']))]['baikal']['n']} networks", curves)
    scores = [s for rows in condition["blocks"].values() for row in rows.values() for _, s in row["curve"]]
    if scores and min(scores) < 0.9 < max(scores):
        figure.axes[0].set_ylim(0.9, 1.0)  # the losses differ here; the first points of slow ones are below
    return figure


def tables(results: Results) -> list[Sheet]:
    (condition,) = results["conditions"]
    sheets: list[Sheet] = []
    for block, rows in condition["blocks"].items():
        header = ["loss", "rate", *(f"steps to {level:g}" for level in LEVELS), "accuracy at the end", "roughness"]
        cells = [
            [
                label(name),
                rate_of(row),
                *(steps_to(row["curve"], level) for level in LEVELS),
                f"{row['mean']:.4f}",
                f"{roughness(row['curve']):.5f}",
            ]
            for name, row in rows.items()
        ]
        title = f"Steps until the mean test accuracy reaches a level, {block}"
        sheets.append(Sheet(title + scale_note(results, "20,000 steps, every 250"), header, cells, NOTE))
    return sheets


NOTE = (
    "The paper has the curves only: faster and smoother with Baikal and BaikalCMA. Roughness: mean absolute second "
    "difference of the mean curve, over its second half."
)


def steps_to(curve: list[list[float]], level: float) -> str:
    """The first point of a curve at or above a level."""
    return next((f"{step:,.0f}" for step, score in curve if score >= level), "never")


def roughness(curve: list[list[float]]) -> float:
    """The mean bend of the second half of a curve; 0 for a straight line."""
    scores = [score for _, score in curve][len(curve) // 2 :]
    bends = [abs(a - 2 * b + c) for a, b, c in zip(scores, scores[1:], scores[2:], strict=False)]
    return sum(bends) / len(bends) if bends else 0.0


EXPERIMENT: Experiment = Experiment(
    figure="Figure 3",
    what="test accuracy on MNIST in the course of training",
    scales=mnist_accuracy.PLANS,
    measure=mnist_accuracy.measure,
    draw=draw,
    tables=tables,
)
