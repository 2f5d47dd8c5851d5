"""Figure 5: does a loss found on MNIST help on CIFAR-10?"""

from __future__ import annotations

from matplotlib.figure import Figure

from glo.paper.experiment.accuracy import CONDITION_HEADER, LOSSES, condition_rows, lines, scale_note
from glo.paper.experiment.blocks import Plan, measure_conditions
from glo.paper.experiment.context import ExperimentContext
from glo.paper.experiment.definition import Experiment, Results, Scale
from glo.report import Sheet

TWO = {name: LOSSES[name] for name in ("cross_entropy", "baikal")}
# The paper's figure has 18 runs.  These nine durations for each loss are our choice: from one epoch to beyond the second
# decay of the learning rate.
DURATIONS = (500, 1000, 2000, 4000, 8000, 12_000, 18_000, 27_000, 36_000)
LADDER = (0.005, 0.015, 0.05, 0.15, 0.5)
PLANS = {
    Scale.SMOKE: Plan(task="cifar10", samples=100, steps=(2, 4), n=1, ladder=(0.01, 0.05), batch_size=20),
    Scale.SMALL: Plan(task="cifar10", steps=(50, 100, 200), n=2, ladder=(0.015, 0.05, 0.15), batch_size=128),
    Scale.PAPER: Plan(task="cifar10", steps=DURATIONS, n=1, ladder=LADDER, tuning_seeds=2),
}


def measure(context: ExperimentContext, plan: Plan) -> Results:
    return {"conditions": measure_conditions(context, plan, TWO)}


def draw(results: Results) -> Figure:
    return lines(results["conditions"], "steps", "CIFAR-10, losses found on MNIST", "training steps")


def tables(results: Results) -> list[Sheet]:
    rows = [row for c in results["conditions"] for row in condition_rows(c, f"{c['steps']:,}")]
    title = "Test accuracy on CIFAR-10 by training steps" + scale_note(results, "batches of 1,024, 18 runs")
    note = (
        "The paper has a figure without numbers: Baikal ahead at every duration, most at short ones. "
        "5,000 of the 50,000 training images are kept for validation."
    )
    return [Sheet(title, ["steps", *CONDITION_HEADER], rows, note)]


EXPERIMENT: Experiment = Experiment(
    figure="Figure 5",
    what="test accuracy on CIFAR-10 over training durations, with a loss found on MNIST",
    scales=PLANS,
    measure=measure,
    draw=draw,
    tables=tables,
)
