"""40 % wrong labels, where a discovered loss beats tuned cross-entropy (not in the paper)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from pydantic import PositiveInt

from glo.catalog import cross_entropy, generalised_cross_entropy, smoothed_cross_entropy
from glo.compare.families import Family
from glo.expr import parse
from glo.paper.experiment.accuracy import label, measured, rate_of
from glo.paper.experiment.blocks import OWN_RATE, Plan, measure_conditions
from glo.paper.experiment.context import ExperimentContext
from glo.paper.experiment.definition import Experiment, Results, Scale
from glo.paper.experiment.searches import SearchPlan, candidates, published, search
from glo.report import Sheet
from glo.study import StudyResult


class NoisePlan(Plan):
    """A search on noisy labels, and the losses that the discovered one has to beat.

    Attributes:
        search: finds the loss; it may use a smaller task than the measurement.
        finalists: how many of its best losses are variants of the discovered one; validation chooses.
        smoothings: of label smoothing.
        exponents: q of generalised cross-entropy.
    """

    search: SearchPlan
    finalists: PositiveInt
    smoothings: tuple[float, ...]
    exponents: tuple[float, ...]


PLANS = {
    Scale.SMOKE: NoisePlan(
        task="noisy-mnist", samples=300, steps=(6,), n=2, ladder=(0.03, 0.3), batch_size=20,
        search=SearchPlan(preset="default", task="noisy-digits", generations=1, population=6, steps=200, ladder=(0.3,)),
        finalists=1, smoothings=(0.2,), exponents=(0.7,),
    ),
    Scale.SMALL: NoisePlan(
        task="noisy-mnist", fractions=(0.1,), steps=(400,), n=5, ladder=(0.03, 0.1, 0.3),
        search=SearchPlan(preset="default", task="noisy-digits"),
        finalists=2, smoothings=(0.2, 0.5), exponents=(0.5, 0.8),
    ),
    Scale.PAPER: NoisePlan(
        task="noisy-mnist", steps=(5000,), n=10, ladder=(0.01, 0.03, 0.1, 0.3, 1.0), tuning_seeds=3,
        search=SearchPlan(preset="default", task="noisy-mnist", steps=2000),
        finalists=12, smoothings=(0.1, 0.2, 0.4, 0.6, 0.8), exponents=(0.3, 0.5, 0.7, 0.9),
    ),
}  # fmt: skip


def measure(context: ExperimentContext, plan: NoisePlan) -> Results:
    found = search(context, plan.search)
    losses = contenders(found, plan, classes=10)
    conditions = measure_conditions(context, plan, losses, blocks=(OWN_RATE,))
    return {"search": published(found), "conditions": conditions, "history": candidates(found)}


def contenders(found: StudyResult, plan: NoisePlan, classes: int) -> dict[str, Family]:
    """The discovered loss and the others, which are compared with it; each with its variants."""
    finalists = found.finalists(plan.finalists) or [found.best]  # `best` raises an error if there is none
    return {
        "discovered": {outcome.expression: parse(outcome.expression) for outcome in finalists},
        "cross_entropy": {"": cross_entropy},
        "label_smoothing": {f"{s:g}": smoothed_cross_entropy(s, classes) for s in plan.smoothings},
        "generalised_cross_entropy": {f"{q:g}": generalised_cross_entropy(q) for q in plan.exponents},
    }


def draw(results: Results) -> Figure:
    (condition,) = results["conditions"]
    rows = condition["blocks"][OWN_RATE]
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    for place, (name, row) in enumerate(rows.items()):
        axes.plot(
            row["values"], place + _spread(row["values"]), "o", color="C3" if name == "discovered" else "C0", alpha=0.8
        )
        axes.plot([row["mean"]] * 2, [place - 0.3, place + 0.3], color="0.2")
    texts = [f"{label(name)}{_variant(name, row['variant'])}\nrate {row['learning_rate']:g}" for name, row in rows.items()]
    axes.set_yticks(range(len(rows)), texts)
    axes.invert_yaxis()
    axes.grid(axis="x", color="0.92")
    axes.set_xlabel("test accuracy; a point for each network, a line for their mean")
    axes.set_title(f"MNIST with 40 % wrong training labels, {condition['steps']:,} steps, everything tuned", fontsize=10)
    return figure


def _spread(values: Sequence[float]) -> np.ndarray:
    return np.linspace(-0.18, 0.18, len(values))


def _variant(name: str, variant: str) -> str:
    return f" {variant}" if variant and name != "discovered" else ""


def tables(results: Results) -> list[Sheet]:
    (condition,) = results["conditions"]
    header = ["loss", "f(x, y)", "own best rate", "test accuracy", "discovered − this", "95 % interval", "p (Welch, Holm)"]
    rows = [
        [label(name) + _variant(name, row["variant"]), row["expression"], rate_of(row), measured(row), *_behind(row)]
        for name, row in condition["blocks"][OWN_RATE].items()
    ]
    source = results["search"]["config"]["task"]["name"]
    title = (
        f"Test accuracy with 40 % wrong training labels, {condition['steps']:,} steps, {condition['fraction']:.0%} of MNIST"
    )
    note = (
        f"Not in the paper. The loss was searched for on {source} ({results['search']['seconds']:.0f} s); rates and "
        "variants of all were chosen on clean validation images; test images are clean."
    )
    return [Sheet(title, header, rows, note)]


def _behind(row: dict) -> list[str]:
    """The cells of the table for the lead of the discovered loss over another."""
    if row["difference"] is None:
        return ["", "", ""]
    low, high = row["interval"]
    return [f"{-row['difference']:+.4f}", f"{-high:+.4f} to {-low:+.4f}", f"{row['p_holm']:.1e}"]


EXPERIMENT: Experiment = Experiment(
    figure="of our own",
    what="40 % wrong labels on MNIST: a discovered loss against tuned cross-entropy and two robust losses",
    scales=PLANS,
    measure=measure,
    draw=draw,
    tables=tables,
)
