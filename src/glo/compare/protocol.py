"""An honest comparison: each loss at its own best learning rate, chosen on validation, measured on the untouched test split.

A loss with a larger gradient wins at a fixed learning rate, whatever else it does; so no loss is compared at a rate that
was not chosen for it, and all are given the same ladder and the same seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glo.catalog import binary_cross_entropy, cross_entropy, mse, smoothed_binary_cross_entropy, smoothed_cross_entropy
from glo.compare.statistics import Sample, difference_interval, hedges_g, holm, welch
from glo.errors import ConfigError
from glo.execution import Trainer, Trains
from glo.expr import Expr, describe
from glo.records import Link, TrainingConfig, derive_seeds
from glo.tasks import Task
from glo.training import Result, Training

LADDER = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
SMOOTHINGS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
EXTENSIONS = 6  # steps beyond an end of the ladder

Family = Mapping[str, Expr]  # the variants of one contender by name; the best on validation enters the final
Report = Callable[[str, int, int], None]  # report(phase, done, total)


@dataclass(frozen=True)
class Protocol:
    """How a comparison is made.

    Attributes:
        ladder: learning rates to choose from; one alone is a fixed rate, and confounds the comparison.
        tuning_seeds: trainings over which rate and variant are chosen, on validation.
        repeats: fresh seeds of the final, on test.
        seed: from which all others are derived.

    Raises:
        ConfigError: for fewer than two repeats, no tuning seed, or rates that are not positive numbers.
    """

    ladder: tuple[float, ...] = LADDER
    tuning_seeds: int = 3
    repeats: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.repeats < 2:
            raise ConfigError(f"{self.repeats} repeat has no spread to compare by: give at least 2 --repeats, better 10")
        if self.tuning_seeds < 1:
            raise ConfigError("at least 1 tuning seed is needed to choose a learning rate")
        if not self.ladder or not all(0 < rate < float("inf") for rate in self.ladder):
            given = ", ".join(f"{rate:g}" for rate in self.ladder) or "none at all"
            raise ConfigError(f"learning rates are positive numbers, e.g. 0.01,0.1,1, not {given}")
        object.__setattr__(self, "ladder", tuple(sorted(set(self.ladder))))

    @property
    def fixed(self) -> bool:
        """Whether all losses are given the same learning rate."""
        return len(self.ladder) == 1


@dataclass(frozen=True)
class Contender:
    """A loss as it enters the final: the variant and the rate that were best on validation.

    Attributes:
        variant: name of the variant, e.g. smoothing "0.4".
        validation: mean validation metric over the tuning seeds.
        at_edge: whether the best rate is still the lowest or highest that was tried.
    """

    expression: Expr
    variant: str
    learning_rate: float
    validation: float
    at_edge: bool = False


def baselines(task: Task, smoothings: Sequence[float] = SMOOTHINGS) -> dict[str, Family]:
    """What a loss has to beat: cross-entropy, and cross-entropy with label smoothing; squared error in regression."""
    if task.link is Link.IDENTITY:
        return {"mse": {"": mse}}
    if task.link is Link.SIGMOID:
        smoothed = {f"{s:g}": smoothed_binary_cross_entropy(s) for s in smoothings}
        return {"binary_cross_entropy": {"": binary_cross_entropy}, "label_smoothing": smoothed}
    smoothed = {f"{s:g}": smoothed_cross_entropy(s, task.classes) for s in smoothings}
    return {"cross_entropy": {"": cross_entropy}, "label_smoothing": smoothed}


def compare(
    task: Task,
    families: Mapping[str, Family],
    training: TrainingConfig,
    protocol: Protocol,
    make_trainer: Callable[[Task, TrainingConfig], Trains] = Trainer,
    report: Report = lambda phase, done, total: None,
) -> dict[str, dict[str, Any]]:
    """Choose each contender on validation, measure all on test, and compare each with the first.

    Args:
        families: the contenders by name; the first is the baseline.
        training: early stopping is taken out of it, since it may stop a loss that starts slowly.
        make_trainer: settles where networks are trained; by default in this process, or others of this machine.

    Returns:
        A JSON-like row for each contender, by name: expression, rate, mean, sd, n, and the difference to the baseline.

    Raises:
        TaskError: if the task has no test split.
    """
    task.split("test")  # that there is none is better known before hours of tuning
    trainer = make_trainer(task, training.model_copy(update={"early_stop": 0.0}))
    contenders = choose(trainer, families, protocol, report)
    samples = measure(trainer, list(contenders.values()), protocol, report)
    return rows(contenders, samples)


def choose(
    trainer: Trains,
    families: Mapping[str, Family],
    protocol: Protocol,
    report: Report = lambda phase, done, total: None,
) -> dict[str, Contender]:
    """The variant and the learning rate of each family with the best mean validation metric over the tuning seeds.

    Where the best rate is at an end of the ladder, the ladder is continued for that family's best variant.
    """
    seeds = derive_seeds(protocol.seed, "tuning", protocol.tuning_seeds)
    fields = {name: _Field(family, protocol.ladder) for name, family in families.items()}
    before = 0
    for _ in range(1 + EXTENSIONS):
        wanted = [(name, variant, rate) for name, field in fields.items() for variant, rate in field.wanted()]
        if not wanted:
            break
        trainings = [Training(families[name][variant], rate) for name, variant, rate in wanted]
        total = before + len(seeds) * len(trainings)
        results = _grid(trainer, trainings, seeds, _telling(report, "choosing learning rates", before, total))
        before = total
        scores = np.array([[0.0 if isinstance(r, str) else _useful(r.validation) for r in row] for row in results])
        for (name, variant, rate), score in zip(wanted, scores.mean(0).tolist(), strict=True):
            fields[name].scores[variant, rate] = score
    return {name: field.winner() for name, field in fields.items()}


@dataclass
class _Field:
    """The variants and rates of one family, and what is known of them."""

    family: Family
    ladder: tuple[float, ...]
    scores: dict[tuple[str, float], float] = field(default_factory=dict)

    def wanted(self) -> Iterator[tuple[str, float]]:
        """What is to be tried next: at first the whole grid, then one rate beyond an edge where the best is there."""
        if not self.scores:
            yield from ((variant, rate) for variant in self.family for rate in self.ladder)
        elif beyond := self._beyond():
            yield beyond

    def winner(self) -> Contender:
        (variant, rate), score = self._best()
        return Contender(self.family[variant], variant, rate, score, at_edge=self._beyond() is not None)

    def _best(self) -> tuple[tuple[str, float], float]:
        """Of equals the first variant at its lowest rate."""
        order = list(self.family)
        return max(self.scores.items(), key=lambda item: (item[1], -order.index(item[0][0]), -item[0][1]))

    def _beyond(self) -> tuple[str, float] | None:
        """The next rate, if the best is the lowest or the highest that its variant was tried at."""
        if len(self.ladder) == 1:
            return None
        (variant, rate), _ = self._best()
        tried = [r for v, r in self.scores if v == variant]
        if rate == min(tried):
            further = _rounded(rate * self.ladder[0] / self.ladder[1])
        elif rate == max(tried):
            further = _rounded(rate * self.ladder[-1] / self.ladder[-2])
        else:
            return None
        return None if further in tried else (variant, further)


def _rounded(rate: float) -> float:
    return float(f"{rate:.6g}")


def _useful(metric: float | None) -> float:
    """A metric as it counts: 0 is as good as useless, and what is below it no worse (r2 can be any negative number)."""
    return max(0.0, metric or 0.0)


def measure(
    trainer: Trains,
    contenders: Sequence[Contender],
    protocol: Protocol,
    report: Report = lambda phase, done, total: None,
) -> list[Sample]:
    """The test metric of each contender over fresh seeds; with one seed all see the same weights and batches."""
    trainings = [Training(contender.expression, contender.learning_rate) for contender in contenders]
    seeds = derive_seeds(protocol.seed, "test", protocol.repeats)
    total = len(seeds) * len(trainings)
    results = _grid(trainer, trainings, seeds, _telling(report, "measuring on test", 0, total), test=True)
    columns = [[0.0 if isinstance(r, str) else _useful(r.test) for r in row] for row in results]
    return [Sample(values) for values in zip(*columns, strict=True)]


def _telling(report: Report, phase: str, before: int, total: int) -> Callable[[int], None]:
    """Reports trainings that are done, after those of earlier rounds."""
    return lambda done: report(phase, before + done, total)


def _grid(
    trainer: Trains,
    trainings: Sequence[Training],
    seeds: Sequence[int],
    on_done: Callable[[int], None],
    test: bool = False,
) -> list[list[Result]]:
    """All trainings with each seed: a row of results for each."""
    each = [seed for seed in seeds for _ in trainings]
    results = trainer.train([*trainings] * len(seeds), each, test, on_done)
    return [results[start : start + len(trainings)] for start in range(0, len(results), len(trainings))]


def rows(contenders: Mapping[str, Contender], samples: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    """What is reported of each contender; each but the first is compared with the first."""
    baseline = samples[0].values
    several = min(sample.n for sample in samples) > 1  # one value has no spread to compare by
    p_values = [welch(sample.values, baseline) for sample in samples] if several else []
    corrected = [None, *holm(p_values[1:])] if len(p_values) > 2 else [None] * len(samples)
    table: dict[str, dict[str, Any]] = {}
    for number, ((name, contender), sample) in enumerate(zip(contenders.items(), samples, strict=True)):
        table[name] = {
            **describe(contender.expression),
            "variant": contender.variant,
            "learning_rate": contender.learning_rate,
            "at_edge": contender.at_edge,
            "validation": contender.validation,
            "mean": sample.mean,
            "sd": sample.sd,
            "n": sample.n,
            "values": list(sample.values),
            "difference": sample.mean - samples[0].mean if number else None,
            "interval": list(difference_interval(sample.values, baseline)) if number and several else None,
            "p_value": p_values[number] if number and several else None,
            "p_holm": corrected[number],
            "hedges_g": hedges_g(sample.values, baseline) if number and several else None,
        }
    return table
