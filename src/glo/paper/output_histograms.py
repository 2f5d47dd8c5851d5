"""Figure 7: the outputs of trained networks, and how close to 0 and 1 they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pydantic import PositiveFloat

from glo.catalog import baikal, baikal_cma, confidence_penalty, cross_entropy
from glo.expr import parse
from glo.loss import right_minimum
from glo.paper.experiment.accuracy import label, measured, scale_note
from glo.paper.experiment.blocks import PAPER_RATE, Plan, measure_conditions
from glo.paper.experiment.context import ExperimentContext
from glo.paper.experiment.definition import Experiment, Results, Scale
from glo.records import BINS
from glo.report import Sheet

CLASSES = 10


class HistogramPlan(Plan):
    """A plan with the strength of the confidence penalty.

    Attributes:
        beta: weight of the entropy.
    """

    beta: PositiveFloat = 1.0


PLANS = {
    Scale.SMOKE: HistogramPlan(task="mnist", samples=300, steps=(6,), n=1, ladder=(0.01, 0.1), batch_size=20),
    # As in mnist-accuracy: its networks are used again.
    Scale.SMALL: HistogramPlan(task="mnist", steps=(1000,), n=3, ladder=(0.01, 0.1), curve_every=125),
    Scale.PAPER: HistogramPlan(task="mnist", steps=(15_000,), n=1, ladder=(0.01, 0.1)),
}


def measure(context: ExperimentContext, plan: HistogramPlan) -> Results:
    losses = {
        "cross_entropy": {"": cross_entropy},
        "baikal": {"": baikal},
        "baikal_cma": {"": baikal_cma},
        "confidence_penalty": {f"{plan.beta:g}": confidence_penalty(plan.beta)},
    }
    return {"conditions": measure_conditions(context, plan, losses, blocks=(PAPER_RATE,))}


def draw(results: Results) -> Figure:
    (condition,) = results["conditions"]
    rows = condition["blocks"][PAPER_RATE]
    figure = Figure(figsize=(11, 6), layout="constrained")
    edges = np.linspace(0, 1, BINS + 1)
    for axes, (name, row) in zip(figure.subplots(2, 2, sharex=True, sharey=True).flat, rows.items(), strict=True):
        axes.stairs(row["histogram"], edges, fill=True, color="C0", alpha=0.7)
        best = right_minimum(parse(row["expression"]), CLASSES)
        if best is not None:
            axes.axvline(best, color="C3", linestyle="--", linewidth=1, label=f"optimum of the loss, {best:.2f}")
            axes.legend(fontsize=9)
        axes.set_title(f"{label(name)}, test accuracy {row['mean']:.4f}", fontsize=10)
        axes.set(yscale="log", ylabel="outputs")
    for axes in figure.axes[2:]:
        axes.set_xlabel("output: predicted probability of a class")
    figure.suptitle(f"Outputs on the test images of MNIST after {condition['steps']:,} steps", fontsize=11)
    return figure


def tables(results: Results) -> list[Sheet]:
    (condition,) = results["conditions"]
    rows = [
        [
            label(name),
            {"cross_entropy": "at the extremes", "baikal_cma": "off the extremes"}.get(
                name, "as BaikalCMA" * (name != "baikal")
            ),
            *(f"{value:.3f}" for value in shape_of(row["histogram"])),
            _optimum(row),
            measured(row),
        ]
        for name, row in condition["blocks"][PAPER_RATE].items()
    ]
    header = [
        "loss", "the paper's picture", "upper peak at", "outputs below 0.02", "outputs above 0.98", "optimum of the loss",
        "test accuracy",
    ]  # fmt: skip
    title = f"Outputs on MNIST's test images after {condition['steps']:,} steps, rate 0.01"
    note = (
        "Upper peak: the fullest of 50 bins above 0.24. Below 0.02 and above 0.98: fractions of all outputs, ten an image. "
        "Optimum: the probability of the right class at which the loss is smallest, the other nine sharing the rest."
    )
    return [Sheet(title + scale_note(results, "15,000 steps"), header, rows, note)]


def shape_of(histogram: list[int]) -> tuple[float, float, float]:
    """Middle of the fullest bin above 0.24, and the fractions of the outputs in the first and in the last bin."""
    counts = np.asarray(histogram, dtype=float)
    first = BINS * 6 // 25
    peak = (first + int(counts[first:].argmax()) + 0.5) / BINS
    total = max(counts.sum(), 1.0)
    return peak, float(counts[0] / total), float(counts[-1] / total)


def _optimum(row: dict[str, Any]) -> str:
    best = right_minimum(parse(row["expression"]), CLASSES)
    return "" if best is None else f"{best:.3f}"


EXPERIMENT: Experiment = Experiment(
    figure="Figure 7",
    what="the outputs of networks trained with cross-entropy, BaikalCMA and a confidence penalty",
    scales=PLANS,
    measure=measure,
    draw=draw,
    tables=tables,
)
