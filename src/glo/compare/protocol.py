"""An honest comparison: each loss at its own best learning rate, chosen on validation, measured on the untouched test split.

A loss with a larger gradient wins at a fixed learning rate, whatever else it does.  So each loss has its own rate chosen,
from the same ladder and with the same seeds for all.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from glo.compare.config import ComparisonConfig
from glo.compare.failures import NO_FAILURES, Failures, failures_of
from glo.compare.families import Family
from glo.compare.procedures import Procedure, Request
from glo.compare.rows import ComparisonRow, Contender, rows_of
from glo.compare.statistics import Sample
from glo.execution import Batch
from glo.loss import unit_factor
from glo.records import (
    Failure,
    Predicted,
    Result,
    Training,
    TrainingConfig,
    TrainingResult,
    derive_seeds,
    together,
)
from glo.tasks import Objective, Problem, Task

logger = logging.getLogger("glo")
OWN_RATE = 1.0  # stands for the learning rate of an objective, which chooses its own
EXTENSIONS = 6  # rates that are tried beyond an end of the ladder, at most
LEADERS = 3  # of each family, that a run-off tries again
Pair = tuple[str, float]  # a variant and a rate


def compare(
    task: Problem,
    training: TrainingConfig,
    families: Mapping[str, Family],
    config: ComparisonConfig,
    known: Mapping[str, Contender] | None = None,
) -> Procedure[list[ComparisonRow]]:
    """Choose each contender on validation, measure all on test, and compare each with the first.

    Args:
        training: without its ladder and its early stopping, which may stop a loss that starts slowly.
        families: the contenders by name; the first is the baseline.
        known: the choice of some of them, made before.

    Raises:
        TaskError: if the task has no test split; before anything is trained.
    """
    if not isinstance(task, Objective):
        task.split("test")
    training = training.whole
    known = known or {}
    new = yield from choose(task, training, {name: family for name, family in families.items() if name not in known}, config)
    chosen = {name: known[name] if name in known else new[name] for name in families}
    samples = yield from measure(task, training, list(chosen.values()), config)
    return rows_of(chosen, samples)


def choose(
    task: Problem, training: TrainingConfig, families: Mapping[str, Family], config: ComparisonConfig
) -> Procedure[dict[str, Contender]]:
    """The variant and the learning rate of each family with the best mean validation metric over the tuning seeds.

    Where the best rate is at an end of the ladder, the ladder is continued for that family's best variant.  With a run-off,
    the best few of each family are then trained with further seeds: one that diverges with some seeds may be lucky with two.
    """
    tuning = config.tuning_seeds
    seeds = derive_seeds(config.seed, "tuning", tuning + config.run_off)
    ladder = (OWN_RATE,) if isinstance(task, Objective) else config.ladder
    choices = {name: _Choice(family, ladder) for name, family in families.items()}
    yield from _ladders(task, training, choices, seeds[:tuning])
    leaders = [(name, pair) for name, choice in choices.items() for pair in choice.leaders()]
    if config.run_off and leaders:
        yield from _tried("choosing among the best", task, training, choices, leaders, seeds[tuning:])
        yield from _ladders(task, training, choices, seeds)  # the best may be another variant now, at an end of its ladder
    return {name: _scaled(choice.winner(task.direction.sign), task, training) for name, choice in choices.items()}


def _ladders(
    task: Problem, training: TrainingConfig, choices: Mapping[str, _Choice], seeds: Sequence[int]
) -> Procedure[None]:
    """Try each family's ladder, and continue it as long as the best rate is at its end."""
    for _ in range(1 + EXTENSIONS):
        wanted = [(name, pair) for name, choice in choices.items() for pair in choice.wanted()]
        if not wanted:
            break
        yield from _tried("choosing learning rates", task, training, choices, wanted, seeds)


def _tried(
    label: str,
    task: Problem,
    training: TrainingConfig,
    choices: Mapping[str, _Choice],
    wanted: Sequence[tuple[str, Pair]],
    seeds: Sequence[int],
) -> Procedure[None]:
    """Train some pairs of some families with each seed, and note their scores."""
    trainings = [Training(choices[name].family[variant], rate) for name, (variant, rate) in wanted]
    results = yield from _by_seed(label, task, training, trainings, seeds)
    scores = [scores_of(task, row, test=False) for row in results]
    for (name, pair), column, of_pair in zip(wanted, zip(*results, strict=True), zip(*scores, strict=True), strict=True):
        choices[name].values.setdefault(pair, []).extend(task.direction.sign * score for score in of_pair)
        choices[name].failures += failures_of(column)


def _scaled(contender: Contender, task: Problem, training: TrainingConfig) -> Contender:
    """The contender with what its loss is multiplied by."""
    factor = unit_factor(contender.expression, task.link, task.classes, task.prior) if training.unit_gradient else None
    return replace(contender, scale=factor or 1.0)


@dataclass
class _Choice:
    """The variants and rates of one family, and what is known of those that were tried.

    Attributes:
        values: the score of each seed; higher is better.
        failures: of the trainings.
    """

    family: Family
    ladder: tuple[float, ...]
    values: dict[Pair, list[float]] = field(default_factory=dict)
    failures: Failures = NO_FAILURES

    def wanted(self) -> Iterator[Pair]:
        """The next to try: first the whole grid, then one rate beyond an end of the ladder if the best is there."""
        if not self.values:
            yield from ((variant, rate) for variant in self.family for rate in self.ladder)
        elif beyond := self._beyond():
            yield beyond

    def leaders(self) -> list[Pair]:
        """The best few, which a run-off tries again; none if there is only one."""
        return self._ranked()[:LEADERS] if len(self.values) > 1 else []

    def winner(self, sign: int) -> Contender:
        variant, rate = self._ranked()[0]
        values = self.values[variant, rate]
        return Contender(
            self.family[variant],
            variant,
            rate,
            sign * float(np.mean(values)),
            self._beyond() is not None,
            failures=self.failures,
            spread=float(np.std(values, ddof=1)) if len(values) > 1 else 0.0,
        )

    def _ranked(self) -> list[Pair]:
        """Those with the most seeds, the highest mean first; of equal ones the first variant at its lowest rate."""
        order, most = list(self.family), max(map(len, self.values.values()))
        known = [pair for pair, values in self.values.items() if len(values) == most]
        return sorted(known, key=lambda pair: (-float(np.mean(self.values[pair])), order.index(pair[0]), pair[1]))

    def _beyond(self) -> tuple[str, float] | None:
        """The next rate, if the best is the lowest or the highest that its variant was tried at."""
        if len(self.ladder) == 1 or self.failures.count == self.failures.trainings:  # no rate is better than another
            return None
        variant, rate = self._ranked()[0]
        tried = [r for v, r in self.values if v == variant]
        if rate == min(tried):
            further = _rounded(rate * self.ladder[0] / self.ladder[1])
        elif rate == max(tried):
            further = _rounded(rate * self.ladder[-1] / self.ladder[-2])
        else:
            return None
        return None if further in tried else (variant, further)


def measure(
    task: Problem, training: TrainingConfig, contenders: Sequence[Contender], config: ComparisonConfig
) -> Procedure[list[Sample]]:
    """The test metric of each contender over fresh seeds; with one seed all see the same weights and batches."""
    trainings = [Training(contender.expression, contender.learning_rate) for contender in contenders]
    seeds = derive_seeds(config.seed, "test", config.repeats)
    results = yield from _by_seed("measuring on test", task, training, trainings, seeds, test=True)
    if isinstance(task, Objective) and not any(isinstance(r, TrainingResult) and r.test is not None for r in results[0]):
        logger.warning("objective '%s' returns no test score: its validation score with fresh seeds is compared", task.name)
    values = scores_of(task, [result for row in results for result in row], test=True)
    size = len(task.split("test")) if isinstance(task, Task) else None
    return [
        Sample(
            tuple(values[position :: len(contenders)]),
            failures_of(column, test=True),
            _left_out(column),
            size,
            *_predictions(column),
        )
        for position, column in enumerate(zip(*results, strict=True))
    ]


def _left_out(results: Sequence[Result]) -> NDArray[np.float64] | None:
    """The mean metric without each group of test samples; a training that failed does not depend on them, and counts 0."""
    known = [result.left_out for result in results if isinstance(result, TrainingResult) and not result.diverged]
    if not known or not all(known):
        return None
    return np.sum(known, axis=0) / len(results)


def _predictions(results: Sequence[Result]) -> tuple[Predicted | None, tuple[int, ...]]:
    """What the networks predict on test, counted together, and its histogram."""
    known = [result for result in results if isinstance(result, TrainingResult) and result.predicted and result.histogram]
    if not known:
        return None, ()
    histograms = [result.histogram or () for result in known]
    return together([result.predicted for result in known if result.predicted]), tuple(
        map(sum, zip(*histograms, strict=True))
    )


def scores_of(task: Problem, results: Sequence[Result], test: bool) -> list[float]:
    """The scores of trainings, and what one that failed counts: 0, or the worst of the others if scores may be any numbers.

    Args:
        test: whether those on the test split are meant; an objective that has none is compared on its validation score.
    """
    if not task.free_scores:
        measured = [None if isinstance(r, Failure) else r.test if test else r.validation for r in results]
        return [max(0.0, value or 0.0) for value in measured]  # r2 can be any negative number
    ran = [r if isinstance(r, TrainingResult) and not r.diverged else None for r in results]
    scores = [None if r is None else r.test if test and r.test is not None else r.validation for r in ran]
    known = [score for score in scores if score is not None]
    sign = task.direction.sign
    worst = min(known, key=lambda score: sign * score, default=0.0)
    return [worst if score is None else score for score in scores]


def _by_seed(
    label: str,
    task: Problem,
    training: TrainingConfig,
    trainings: Sequence[Training],
    seeds: Sequence[int],
    test: bool = False,
) -> Generator[Request, list[Result], list[list[Result]]]:
    """All trainings with each seed: a row of results for each seed."""
    each = [seed for seed in seeds for _ in trainings]
    results = yield Request(label, Batch(task, training, [*trainings] * len(seeds), each, test))
    return [results[start : start + len(trainings)] for start in range(0, len(results), len(trainings))]


def _rounded(rate: float) -> float:
    return float(f"{rate:.6g}")
