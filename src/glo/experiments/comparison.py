"""An honest comparison: each loss at its own best learning rate, chosen on validation, measured on the untouched test split.

A loss with a larger gradient wins at a fixed learning rate, whatever else it does; so no loss is compared at a rate that
was not chosen for it, and all are given the same ladder and the same seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glo.experiments.statistics import Sample
from glo.expr import Expr
from glo.records import TrainingConfig, derive_seed
from glo.tasks import Task
from glo.training import Training, train_population

LADDER = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True)
class Contender:
    """A loss as it enters the final: the variant and the rate that were best on validation.

    Attributes:
        variant: name of the variant, e.g. "smoothing 0.4".
        validation: mean validation metric over the tuning seeds.
    """

    expression: Expr
    variant: str
    learning_rate: float
    validation: float


def tune(
    task: Task,
    variants: Mapping[str, Expr],
    training: TrainingConfig,
    seeds: Sequence[int],
    device: str = "cpu",
    ladder: Sequence[float] = LADDER,
    on_seed: Callable[[], None] = lambda: None,
) -> Contender:
    """Choose the variant and the learning rate with the best mean validation metric over the seeds."""
    grid = [(name, expression, rate) for name, expression in variants.items() for rate in ladder]
    scores = np.zeros((len(seeds), len(grid)))
    for row, seed in enumerate(seeds):
        results = train_population(task, [Training(e, rate) for _, e, rate in grid], training, seed, device)
        scores[row] = [result.validation for result in results]
        on_seed()
    best = int(scores.mean(0).argmax())
    name, expression, rate = grid[best]
    return Contender(expression, name, rate, float(scores.mean(0)[best]))


def measure(
    task: Task,
    contenders: Sequence[Contender],
    training: TrainingConfig,
    seeds: Sequence[int],
    device: str = "cpu",
    on_seed: Callable[[], None] = lambda: None,
) -> list[Sample]:
    """The test metric of each contender over the seeds; with one seed all see the same weights and batches."""
    trainings = [Training(contender.expression, contender.learning_rate) for contender in contenders]
    columns: list[list[float]] = []
    for seed in seeds:
        results = train_population(task, trainings, training, seed, device, test=True)
        columns.append([result.test if result.test is not None else 0.0 for result in results])
        on_seed()
    return [Sample(values) for values in zip(*columns, strict=True)]


def seeds_for(seed: int, purpose: str, count: int) -> list[int]:
    """Seeds of one purpose; those of "tuning" and "test" never meet."""
    return [derive_seed(seed, purpose, number) for number in range(count)]
