"""The accuracy of losses, twice: all at the paper's learning rate, and each at its own best one.

At one rate a loss with a larger gradient learns faster, whatever else it does; so every accuracy of the paper is measured
both ways, from the same seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeGuard

import numpy as np
from pydantic import Field, PositiveInt

from glo.compare import ComparisonConfig
from glo.compare.families import Family
from glo.compare.procedures import Procedure, Request, run_all
from glo.compare.protocol import choose
from glo.compare.rows import Contender, rows_of
from glo.compare.statistics import Sample
from glo.execution import Batch
from glo.paper.experiment.context import ExperimentContext
from glo.records import BINS, Config, Rate, Result, Training, TrainingConfig, TrainingResult, derive_seeds
from glo.tasks import Task, with_train_fraction
from glo.tasks.training import training_config

PAPER_RATE, OWN_RATE = "paper's rate", "own rate"
ATTEMPTS = 3  # a loss may train this many times the number of networks that are wanted; then its failures are final


class Plan(Config):
    """How the accuracy of losses is measured.

    Attributes:
        task: a built-in one.
        samples: how many of each split are used; None for all.
        fractions: of the training data, each a condition of its own.
        steps: lengths of training, each a condition of its own.
        batch_size: None for the task's.
        n: networks of each loss, condition and block.
        ladder: learning rates from which each loss has its own chosen.
        tuning_seeds: trainings over which it is chosen.
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
    """A fraction of the training data and a length of training."""

    fraction: float
    task: Task
    training: TrainingConfig


def measure_conditions(
    context: ExperimentContext,
    plan: Plan,
    losses: Mapping[str, Family],
    blocks: Sequence[str] = (PAPER_RATE, OWN_RATE),
) -> list[dict[str, Any]]:
    """Measure all blocks of all conditions of the plan, side by side; the other losses are compared with the first.

    The trainings are appended to `context.runs` block by block, in whatever order they ended.

    Returns:
        JSON-like: for each condition `fraction`, `steps` and `blocks`, which holds the rows of the losses by block and name.
    """
    conditions = _conditions(context, plan)
    parts = [(condition, block) for condition in conditions for block in blocks]
    runs: list[list[dict[str, Any]]] = [[] for _ in parts]
    procedures = [
        _block(context, plan, losses, condition, block, listed)
        for (condition, block), listed in zip(parts, runs, strict=True)
    ]
    rows = iter(run_all(context.caching_executor, procedures, context.on_progress))
    context.runs += [run for listed in runs for run in listed]
    return [
        {
            "fraction": condition.fraction,
            "steps": condition.training.steps,
            "blocks": {block: next(rows) for block in blocks},
        }
        for condition in conditions
    ]


def _conditions(context: ExperimentContext, plan: Plan) -> list[_Condition]:
    whole = context.task(plan.task, plan.samples)
    tasks = [whole if fraction == 1 else with_train_fraction(whole, fraction, context.seed) for fraction in plan.fractions]
    options = {"batch_size": plan.batch_size, "early_stop": 0.0}
    return [
        _Condition(fraction, task, training_config(task, {"steps": steps, **options}))
        for fraction, task in zip(plan.fractions, tasks, strict=True)
        for steps in plan.steps
    ]


def _block(
    context: ExperimentContext,
    plan: Plan,
    losses: Mapping[str, Family],
    condition: _Condition,
    block: str,
    runs: list[dict[str, Any]],
) -> Procedure[dict[str, dict[str, Any]]]:
    """One row for each loss: its rate, the accuracies of its networks on test, and the difference to the first loss.

    Args:
        runs: every training is appended to this list.
    """
    task, training = condition.task, condition.training
    listing = partial(context.listing, runs=runs, block=block, fraction=condition.fraction)
    if block == PAPER_RATE:
        rate = training.learning_rates[0]
        contenders = {
            name: Contender(next(iter(family.values())), next(iter(family)), rate, 0.0) for name, family in losses.items()
        }
    else:
        config = ComparisonConfig(learning_rates=plan.ladder, tuning_seeds=plan.tuning_seeds, seed=context.seed)
        contenders = yield from listing(choose(task, training, losses, config), purpose="choice of the rate")
    curves = {"curve_every": min(plan.curve_every, training.steps), "curve_on": "test"}
    training = training.model_copy(update=curves)
    results = yield from listing(repeat(task, training, contenders, plan.n, context.seed), purpose="measurement")
    return measured_rows(contenders, results, plan.n)


def repeat(
    task: Task, training: TrainingConfig, contenders: Mapping[str, Contender], n: int, seed: int
) -> Procedure[dict[str, list[Result]]]:
    """Train n networks of each loss; a network that fails is trained again with another seed.

    As in the paper, whose cross-entropy networks on little data "had to be run many times" (section IV.E).  All losses see
    the same seeds, in the same order.

    Returns:
        All results of each loss, failed ones too.
    """
    seeds = derive_seeds(seed, "test", ATTEMPTS * n)
    results: dict[str, list[Result]] = {name: [] for name in contenders}
    while True:
        wanted = [
            (each, name)
            for name, known in results.items()
            for each in seeds[len(known) :][: n - sum(map(_is_trained, known))]
        ]
        if not wanted:
            return results
        wanted.sort(key=lambda pair: seeds.index(pair[0]))  # networks of one seed side by side are trained faster
        trainings = [Training(contenders[name].expression, contenders[name].learning_rate) for _, name in wanted]
        batch = Batch(task, training, trainings, [each for each, _ in wanted], test=True)
        for (_, name), result in zip(wanted, (yield Request("measuring on test", batch)), strict=True):
            results[name].append(result)


def measured_rows(
    contenders: Mapping[str, Contender], results: Mapping[str, Sequence[Result]], n: int
) -> dict[str, dict[str, Any]]:
    """A row for each loss: as in a comparison, with validation accuracies, failures, mean curve and summed histogram.

    A network that is still missing after all attempts counts as 0.
    """
    trained = {name: [r for r in made if _is_trained(r)] for name, made in results.items()}
    samples = [Sample(tuple(r.test or 0.0 for r in good) + (0.0,) * (n - len(good))) for good in trained.values()]
    table: dict[str, dict[str, Any]] = {}
    for row in rows_of(contenders, samples):
        good = trained[row.name]
        values = row.to_dict()
        values["chosen_by"] = values.pop("validation")
        values["validation"] = float(np.mean([r.validation for r in good])) if good else 0.0
        values["failed"] = len(results[row.name]) - len(good)
        values["curve"] = _mean_curve(good)
        values["histogram"] = np.sum([r.histogram or (0,) * BINS for r in good], 0).tolist() if good else [0] * BINS
        table[row.name] = values
    return table


def _is_trained(result: Result) -> TypeGuard[TrainingResult]:
    return isinstance(result, TrainingResult) and not result.diverged


def _mean_curve(results: Sequence[TrainingResult]) -> list[list[float]]:
    """[step, mean metric] of trainings with the same steps."""
    if not results or not results[0].curve:
        return []
    steps = [step for step, _ in results[0].curve]
    means = np.mean([[score for _, score in result.curve] for result in results], 0)
    return [[step, mean] for step, mean in zip(steps, means.tolist(), strict=True)]
