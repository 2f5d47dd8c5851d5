"""The accuracy of losses, twice: all at the paper's learning rate, and each at its own best one.

At one rate a loss with a larger gradient learns faster, whatever else it does; so every accuracy of the paper is measured
both ways, from the same seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field, PositiveInt

from glo.compare.protocol import Contender, Family, Protocol, choose, rows
from glo.compare.statistics import Sample
from glo.execution import Trains
from glo.paper.experiment.context import Lab
from glo.records import Config, Rate, TrainingConfig, derive_seeds
from glo.study import training_config
from glo.tasks import Task, with_train_fraction
from glo.training import BINS, Training, TrainingResult

PAPER_RATE, OWN_RATE = "paper's rate", "own rate"
ATTEMPTS = 3  # times the number of networks that are wanted, after which failures are given up


class Plan(Config):
    """How the accuracy of losses is measured.

    Attributes:
        task: a built-in one.
        samples: how many of each split are used; None for all.
        fractions: of the training data, each a condition of its own.
        steps: lengths of training, each a condition of its own.
        batch_size: None for the task's.
        n: networks of each loss, condition and block.
        ladder: learning rates from which each loss chooses its own.
        tuning_seeds: trainings over which it chooses.
        curve_every: steps between points of the test curve; 0 for none.
    """

    task: str
    samples: PositiveInt | None = None
    fractions: tuple[float, ...] = (1.0,)
    steps: tuple[PositiveInt, ...]
    batch_size: PositiveInt | None = None
    n: PositiveInt
    ladder: tuple[Rate, ...] = Field(min_length=2)
    tuning_seeds: PositiveInt = 1
    curve_every: int = Field(default=0, ge=0)


@dataclass(frozen=True)
class _Condition:
    """One of a plan: a fraction of the training data and a length of training."""

    fraction: float
    task: Task
    training: TrainingConfig


def measure_conditions(
    lab: Lab, plan: Plan, losses: Mapping[str, Family], blocks: Sequence[str] = (PAPER_RATE, OWN_RATE)
) -> list[dict[str, Any]]:
    """Each condition of the plan with its blocks; the first loss is what the others are compared with.

    On a cluster all blocks of all conditions are measured at once.

    Returns:
        JSON-like: for each condition `fraction`, `steps` and `blocks`, which holds the rows of the losses by block and name.
    """
    conditions = _conditions(lab, plan)
    rows = iter(
        lab.each(
            lambda lab, part: _block(lab, plan, losses, *part),
            [(condition, block) for condition in conditions for block in blocks],
        )
    )
    return [
        {
            "fraction": condition.fraction,
            "steps": condition.training.steps,
            "blocks": {block: next(rows) for block in blocks},
        }
        for condition in conditions
    ]


def _conditions(lab: Lab, plan: Plan) -> list[_Condition]:
    whole = lab.task(plan.task, plan.samples)
    tasks = [whole if fraction == 1 else with_train_fraction(whole, fraction, lab.seed) for fraction in plan.fractions]
    options = {"batch_size": plan.batch_size, "early_stop": 0.0}
    return [
        _Condition(fraction, task, training_config(task, {"steps": steps, **options}))
        for fraction, task in zip(plan.fractions, tasks, strict=True)
        for steps in plan.steps
    ]


def _block(
    lab: Lab, plan: Plan, losses: Mapping[str, Family], condition: _Condition, block: str
) -> dict[str, dict[str, Any]]:
    """One row for each loss: its rate, the accuracies of its networks on test, and the difference to the first loss."""
    task, training = condition.task, condition.training
    labels = {"block": block, "fraction": condition.fraction}
    if block == PAPER_RATE:
        rate = training.learning_rates[0]
        contenders = {
            name: Contender(next(iter(family.values())), next(iter(family)), rate, 0.0) for name, family in losses.items()
        }
    else:
        protocol = Protocol(plan.ladder, plan.tuning_seeds, 2, lab.seed)
        trainer = lab.trainer(task, training, **labels, purpose="choice of the rate")
        contenders = choose(trainer, losses, protocol, lab.report)
    curves = {"curve_every": min(plan.curve_every, training.steps), "curve_on": "test"}
    trainer = lab.trainer(task, training.model_copy(update=curves), **labels, purpose="measurement")
    return measured_rows(trainer, contenders, plan.n, lab)


def measured_rows(trainer: Trains, contenders: Mapping[str, Contender], n: int, lab: Lab) -> dict[str, dict[str, Any]]:
    """The rows of `comparison.rows`, with validation accuracies, failures, mean curve and mean histogram of the outputs.

    A network that is missing after all attempts counts 0.
    """
    runs = repeated(trainer, contenders, n, lab)
    trained = {name: [r for r in results if _is_trained(r)] for name, results in runs.items()}
    samples = [Sample(tuple(r.test or 0.0 for r in good) + (0.0,) * (n - len(good))) for good in trained.values()]
    table = rows(contenders, samples)
    for name, good in trained.items():
        table[name]["chosen_by"] = table[name].pop("validation")
        table[name]["validation"] = float(np.mean([r.validation for r in good])) if good else 0.0
        table[name]["failed"] = len(runs[name]) - len(good)
        table[name]["curve"] = _mean_curve(good)
        table[name]["histogram"] = np.sum([r.histogram or (0,) * BINS for r in good], 0).tolist() if good else [0] * BINS
    return table


def repeated(trainer: Trains, contenders: Mapping[str, Contender], n: int, lab: Lab) -> dict[str, list[Any]]:
    """All results of each loss until n of its networks are trained: one that fails is trained again with another seed.

    As in the paper, whose cross-entropy networks on little data "had to be run many times" (section IV.E).  All losses see
    the same seeds, in the same order.
    """
    seeds = derive_seeds(lab.seed, "test", ATTEMPTS * n)
    runs: dict[str, list[Any]] = {name: [] for name in contenders}
    while True:
        wanted = [
            (seed, name)
            for name, results in runs.items()
            for seed in seeds[len(results) :][: n - sum(map(_is_trained, results))]
        ]
        if not wanted:
            return runs
        wanted.sort(key=lambda pair: seeds.index(pair[0]))  # those of one seed together, which is faster
        trainings = [Training(contenders[name].expression, contenders[name].learning_rate) for _, name in wanted]
        total = len(wanted)
        tell = lambda done, total=total: lab.report("measuring on test", done, total)  # noqa: E731
        for (_, name), result in zip(wanted, trainer.train(trainings, [s for s, _ in wanted], True, tell), strict=True):
            runs[name].append(result)


def _is_trained(result: Any) -> bool:
    return isinstance(result, TrainingResult) and not result.diverged


def _mean_curve(results: Sequence[TrainingResult]) -> list[list[float]]:
    """[step, mean metric] of trainings with the same steps."""
    if not results or not results[0].curve:
        return []
    steps = [step for step, _ in results[0].curve]
    means = np.mean([[score for _, score in result.curve] for result in results], 0)
    return [[step, mean] for step, mean in zip(steps, means.tolist(), strict=True)]
