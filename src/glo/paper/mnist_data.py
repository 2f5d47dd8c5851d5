"""Figure 4: little training data on MNIST."""

from __future__ import annotations

from matplotlib.figure import Figure

from glo.paper.experiment.accuracy import (
    CONDITION_HEADER,
    LONG_LADDER,
    LOSSES,
    SHORT_LADDER,
    condition_rows,
    lines,
    scale_note,
)
from glo.paper.experiment.blocks import Plan, measure_conditions
from glo.paper.experiment.context import ExperimentContext
from glo.paper.experiment.definition import Experiment, Results, Scale
from glo.report import Sheet

FRACTIONS = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
PLANS = {
    Scale.SMOKE: Plan(task="mnist", samples=300, fractions=(0.2, 1), steps=(6,), n=2, ladder=(0.01, 0.1), batch_size=20),
    Scale.SMALL: Plan(task="mnist", fractions=(0.01, 0.05, 0.25), steps=(400,), n=3, ladder=SHORT_LADDER),
    Scale.PAPER: Plan(task="mnist", fractions=FRACTIONS, steps=(20_000,), n=5, ladder=LONG_LADDER, tuning_seeds=3),
}


def measure(context: ExperimentContext, plan: Plan) -> Results:
    return {"conditions": measure_conditions(context, plan, LOSSES)}


def draw(results: Results) -> Figure:
    steps = results["conditions"][0]["steps"]
    return lines(results["conditions"], "fraction", f"MNIST after {steps:,} steps", "fraction of the training data")


def tables(results: Results) -> list[Sheet]:
    rows = [row for c in results["conditions"] for row in condition_rows(c, f"{c['fraction']:g}")]
    steps = results["conditions"][0]["steps"]
    title = f"Test accuracy on MNIST after {steps:,} steps by fraction of the training data"
    note = "The paper has a figure without numbers: both losses increasingly ahead of cross-entropy as data shrink."
    header = ["fraction", *CONDITION_HEADER]
    return [Sheet(title + scale_note(results, "20,000 steps, n = 5, fractions down to 0.05"), header, rows, note)]


EXPERIMENT: Experiment = Experiment(
    figure="Figure 4",
    what="test accuracy on MNIST as the training data shrink",
    scales=PLANS,
    measure=measure,
    draw=draw,
    tables=tables,
)
