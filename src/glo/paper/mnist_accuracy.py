"""Figure 2: test accuracy on MNIST."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glo.paper.experiment.accuracy import (
    COLOURS,
    LONG_LADDER,
    LOSSES,
    SHORT_LADDER,
    accuracy_sheet,
    label,
    p_sheet,
    panels,
    scale_note,
)
from glo.paper.experiment.blocks import Plan, measure_conditions
from glo.paper.experiment.context import ExperimentContext
from glo.paper.experiment.definition import Experiment, Results, Scale
from glo.report import Sheet

PAPER = {"cross_entropy": 0.9899, "baikal": 0.9933, "baikal_cma": 0.9947}
PAPER_P = [("baikal", "cross_entropy", "2.4e-11"), ("baikal_cma", "baikal", "8.5e-06")]
# `mnist-curves` needs the same trainings: whichever of the two experiments runs second finds them recorded.
PLANS = {
    Scale.SMOKE: Plan(task="mnist", samples=300, steps=(6,), n=2, ladder=(0.01, 0.1), curve_every=3, batch_size=20),
    Scale.SMALL: Plan(task="mnist", steps=(1000,), n=3, ladder=SHORT_LADDER, curve_every=125),
    Scale.PAPER: Plan(task="mnist", steps=(20_000,), n=10, ladder=LONG_LADDER, tuning_seeds=3, curve_every=250),
}


def measure(context: ExperimentContext, plan: Plan) -> Results:
    return {"conditions": measure_conditions(context, plan, LOSSES)}


def draw(results: Results) -> Figure:
    (condition,) = results["conditions"]

    def bars(axes: Axes, block: str) -> None:
        rows = condition["blocks"][block]
        for place, (name, row) in enumerate(rows.items()):
            text = label(name) + f"\nrate {row['learning_rate']:g}"
            axes.bar(text, row["mean"], color=COLOURS[name], yerr=row["sd"], capsize=5, alpha=0.75)
            axes.plot([place] * row["n"], row["values"], "o", color="0.2", markersize=3)
            axes.annotate(f"{row['mean']:.4f}", (place, row["mean"]), (0, 12), textcoords="offset points", ha="center")
        axes.set_ylabel("test accuracy")

    figure = panels(f"MNIST after {condition['steps']:,} steps", bars)
    values = [v for rows in condition["blocks"].values() for row in rows.values() for v in row["values"]]
    margin = 0.3 * (max(values) - min(values)) + 1e-4
    figure.axes[0].set_ylim(min(values) - margin, max(values) + margin)
    return figure


def tables(results: Results) -> list[Sheet]:
    (condition,) = results["conditions"]
    title = f"Test accuracy on MNIST after {condition['steps']:,} steps{scale_note(results, '20,000 steps, n = 10')}"
    return [accuracy_sheet(title, condition, PAPER), p_sheet(condition, PAPER_P)]


EXPERIMENT: Experiment = Experiment(
    figure="Figure 2",
    what="test accuracy on MNIST of cross-entropy, Baikal and BaikalCMA",
    scales=PLANS,
    measure=measure,
    draw=draw,
    tables=tables,
)
