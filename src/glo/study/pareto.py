"""Finalists that no other beats in several metrics."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from glo.errors import ConfigError
from glo.execution import Batch, open_for, train
from glo.expr import parse
from glo.progress import OnProgress
from glo.records import Failure, Result, Training, derive_seeds
from glo.study.result import FrozenTrial, StudyResult
from glo.tasks import Objective, Problem, Task, with_metric

logger = logging.getLogger("glo")
FINALISTS = 12  # that are measured where none were confirmed


def check_metrics(task: Problem, metrics: Sequence[str]) -> Task:
    """Check that these metrics can be measured; returns the task.

    Raises:
        ConfigError: for an objective, no metric, or one that is given twice.
        TaskError: for a metric that does not exist or does not fit the task.
    """
    if isinstance(task, Objective):
        raise ConfigError(f"objective '{task.name}' returns one score, and glo sees no predictions: it has no other metrics")
    if isinstance(metrics, str) or not metrics or len(set(metrics)) < len(metrics):
        raise ConfigError(f"metrics are names such as ['accuracy', 'ece'], each given once, not {metrics!r}")
    for metric in metrics:
        with_metric(task, metric)
    return task


def pareto_front(
    result: StudyResult,
    task: Problem,
    metrics: Sequence[str],
    where: Mapping[str, Any],
    on_progress: OnProgress = lambda label, done, total: None,
) -> list[FrozenTrial]:
    """The finalists that no other beats in all of these metrics, best by the first metric first; see `Study.pareto`.

    Args:
        where: arguments of `open_for`.
    """
    task = check_metrics(task, metrics)
    wanted = result.config.confirmation
    finalists = result.finalists(wanted.candidates or FINALISTS)
    seeds = derive_seeds(result.config.seed, "finalists", wanted.seeds)
    config = result.config.training.whole.model_copy(update={"metrics": tuple(metrics)})
    trainings = [
        Training(parse(trial.expression), trial.learning_rate or config.learning_rates[0], trial.number)
        for trial in finalists
        for _ in seeds
    ]
    if not trainings:
        return []
    with open_for(task, **where) as executor:
        batch = Batch(task, config, trainings, seeds * len(finalists))
        results = train(executor, batch, lambda done: on_progress("metrics", done, len(trainings)))
    measured = [
        replace(trial, metrics=means)
        for position, trial in enumerate(finalists)
        if (means := _means(trial, results[position * len(seeds) : (position + 1) * len(seeds)]))
    ]
    signs = [with_metric(task, metric).direction.sign for metric in metrics]
    values = [[sign * trial.metrics[metric] for sign, metric in zip(signs, metrics, strict=True)] for trial in measured]
    front = sorted(non_dominated(values), key=lambda position: values[position], reverse=True)
    return [measured[position] for position in front]


def non_dominated(rows: Sequence[Sequence[float]]) -> list[int]:
    """The positions of the rows that no other row dominates: is at least as high everywhere, and somewhere higher."""
    return [position for position, row in enumerate(rows) if not any(_dominates(other, row) for other in rows)]


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def _means(trial: FrozenTrial, results: Sequence[Result]) -> dict[str, float]:
    """The mean of each metric over the seeds; none if a training has failed, or a metric has no value."""
    for result in results:
        reason = result.reason if isinstance(result, Failure) else result.why_diverged
        if reason or isinstance(result, Failure) or any(not math.isfinite(value) for _, value in result.metrics):
            logger.warning("%s is left out of the metrics: %s", trial.expression, reason or "a metric has no value for it")
            return {}
    values = [dict(result.metrics) for result in results if not isinstance(result, Failure)]
    return {metric: sum(each[metric] for each in values) / len(values) for metric in values[0]}
