"""Section IV.B: the discovery itself, by the paper's method and by ours."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from glo.catalog import known_as
from glo.compare.families import Family
from glo.expr import parse
from glo.paper.experiment.accuracy import LONG_LADDER, LOSSES, SHORT_LADDER, accuracy_sheet, label, scale_note
from glo.paper.experiment.blocks import Plan, measure_conditions
from glo.paper.experiment.context import ExperimentContext
from glo.paper.experiment.definition import Experiment, Results, Scale
from glo.paper.experiment.searches import SearchPlan, best_before_tuning, candidates, published, search
from glo.records import Config
from glo.report import Sheet

PAPER = {
    "cross_entropy": 0.9700, "baikal": 0.9838, "baikal_cma": 0.9902,
    "paper preset, GA": 0.9838, "paper preset, CMA-ES": 0.9902,
}  # fmt: skip


class DiscoverySetting(Config):
    """The searches, and the measurement of the losses that they find.

    Attributes:
        searches: by the paper's preset and by the default one.
        final: measures those losses, beside the paper's.
    """

    searches: tuple[SearchPlan, ...]
    final: Plan


def _on_mnist(preset: str, **changes: Any) -> SearchPlan:
    return SearchPlan(preset=preset, task="mnist", **changes)


SHORT: dict[str, Any] = {"steps": 200, "batch_size": 25, "confirmations": 3}
SETTINGS = {
    Scale.SMOKE: DiscoverySetting(
        searches=(
            SearchPlan(
                preset="paper", task="digits", generations=1, population=200, steps=40, iterations=1, confirmations=1
            ),
            SearchPlan(preset="default", task="digits", generations=1, population=8, steps=300, ladder=(0.1, 1.0)),
        ),
        final=Plan(task="mnist", samples=300, steps=(6,), n=2, ladder=(0.01, 0.1), batch_size=20),
    ),
    Scale.SMALL: DiscoverySetting(
        searches=(
            # Batches of 25: a CPU makes four times as many steps in the same time, and a weak loss needs steps most.
            _on_mnist("paper", **SHORT, generations=4, population=30, iterations=3),
            _on_mnist("default", **SHORT, generations=2, population=16, ladder=SHORT_LADDER, iterations=2),
        ),
        final=Plan(task="mnist", steps=(400,), batch_size=25, n=3, ladder=SHORT_LADDER),
    ),
    Scale.PAPER: DiscoverySetting(
        searches=(_on_mnist("paper", steps=2000, iterations=30), _on_mnist("default", steps=2000, iterations=15)),
        final=Plan(task="mnist", steps=(2000,), n=5, ladder=LONG_LADDER, tuning_seeds=3),
    ),
}


def measure(context: ExperimentContext, setting: DiscoverySetting) -> Results:
    losses: dict[str, Family] = dict(LOSSES)
    searches: dict[str, Any] = {}
    history: list[dict[str, Any]] = []
    for plan in setting.searches:
        found = search(context, plan)
        losses[f"{plan.preset} preset, GA"] = {"": parse(best_before_tuning(found))}
        if plan.iterations:
            losses[f"{plan.preset} preset, CMA-ES"] = {"": parse(found.expression)}
        searches[plan.preset] = published(found)
        history += candidates(found, preset=plan.preset)
    conditions = measure_conditions(context, setting.final, losses)
    return {"searches": searches, "conditions": conditions, "history": history}


def draw(results: Results) -> Figure:
    """Fitness of every trained candidate, in the order in which they were evaluated."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    for axes, (preset, summary) in zip(
        figure.subplots(1, len(results["searches"])), results["searches"].items(), strict=True
    ):
        rows = [row for row in results["history"] if row["preset"] == preset]
        for phase, colour in (("genetic", "C0"), ("coefficients", "C1"), ("confirmation", "C2")):
            points = [
                (n, row["fitness"]) for n, row in enumerate(rows) if row["phase"] == phase and row["status"] == "trained"
            ]
            if points:
                text = {"genetic": "genetic algorithm", "coefficients": "CMA-ES", "confirmation": "on fresh seeds"}[phase]
                axes.plot(*zip(*points, strict=True), "o", color=colour, markersize=4, alpha=0.7, label=text)
        steps = summary["config"]["training"]["steps"]
        axes.set(xlabel="candidate", ylabel=f"validation accuracy after {steps:,} steps", title=f"preset {preset}")
        axes.grid(color="0.92")
        axes.legend(fontsize=9)
    return figure


def tables(results: Results) -> list[Sheet]:
    (condition,) = results["conditions"]
    smaller = scale_note(results, "2,000 steps")
    title = f"Validation accuracy on MNIST after {condition['steps']:,} steps{smaller}"
    rows = [
        [label(name), row["expression"], ", ".join(known_as(parse(row["expression"]))) or "new"]
        for name, row in condition["blocks"]["own rate"].items()
    ]
    found = [
        [
            preset,
            f"{summary['funnel']['structure']['candidates']:,.0f}",
            f"{summary['funnel']['training']['candidates']:,.0f}",
            f"{summary['fitness']:.4f}",
            f"{summary['seconds'] / 60:.0f} min",
        ]
        for preset, summary in results["searches"].items()
    ]
    header = ["preset", "candidates looked at", "trained", "fitness of the best", "took"]
    return [
        accuracy_sheet(title, condition, PAPER, "validation"),
        Sheet("The losses", ["loss", "f(x, y)", "trains like"], rows),
        Sheet(
            "The searches", header, found, "Fitness: mean validation accuracy on the confirmation's seeds, at search length."
        ),
    ]


EXPERIMENT: Experiment = Experiment(
    figure="Section IV.B",
    what="GLO on MNIST: genetic algorithm, then CMA-ES, and what the found losses are worth",
    scales=SETTINGS,
    measure=measure,
    draw=draw,
    tables=tables,
)
