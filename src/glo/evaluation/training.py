"""Evaluate candidates by training them."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from glo.evaluation.checks import marker
from glo.evaluation.failures import FAILED, RepeatedFailures
from glo.evaluation.protocol import Key
from glo.execution import Batch, Executor
from glo.records import (
    Failure,
    FunnelCounts,
    Job,
    Outcome,
    Result,
    Stage,
    StageCount,
    Status,
    Training,
    TrainingConfig,
    TrainingResult,
    new_counts,
)
from glo.tasks import Objective, Problem


@dataclass
class _Pending:
    """Jobs that are trained as one batch, with their results and outcomes so far."""

    jobs: dict[Key, Job]
    trainings: dict[Key, list[tuple[int, float]]]  # the positions in the batch and the learning rates of each job
    started: float
    results: dict[int, Result] = field(default_factory=dict)
    outcomes: dict[Key, Outcome] = field(default_factory=dict)


class TrainingEvaluator:
    """Trains a network for each job at each learning rate of the ladder; the best by validation counts.

    Args:
        task: what to train on.
        training: how, with the ladder of learning rates.
        executor: where.
        counts: where trainings, early stops and seconds are counted.
        max_failures: of an objective, how many trials in a row may fail, for whatever reasons.
    """

    def __init__(
        self,
        task: Problem,
        training: TrainingConfig,
        executor: Executor,
        counts: FunnelCounts | None = None,
        max_failures: int | None = None,
    ) -> None:
        self._task, self._training, self._executor = task, training, executor
        self._counts = new_counts() if counts is None else counts
        self._mark = marker(task, training)
        self._failures = RepeatedFailures(max_failures)
        self._earlier: dict[int, list[float]] = {}  # what candidates have reported, or had at the rungs, by step
        self._learned: set[str] = set()  # fingerprints
        self._pending: dict[int, _Pending] = {}
        self._submitted = 0

    @property
    def slots(self) -> int:
        return self._executor.slots

    def submit(self, jobs: Mapping[Key, Job]) -> None:
        if not jobs:
            return
        trainings, seeds, places = list[Training](), list[int](), dict[Key, list[tuple[int, float]]]()
        for key, job in jobs.items():
            ladder = self._training.learning_rates if job.learning_rate is None else (job.learning_rate,)
            places[key] = list(enumerate(ladder, len(trainings)))
            trainings += [Training(job.expression, rate, job.number) for rate in ladder]
            seeds += [job.seed] * len(ladder)
        self._pending[self._submitted] = _Pending(dict(jobs), places, time.perf_counter())
        self._executor.submit(self._submitted, self._batch(trainings, seeds))
        self._submitted += 1

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """Take note of what candidates have reported or had at the rungs, by which later ones are given up."""
        for outcome in outcomes:
            if outcome.fingerprint in self._learned:  # an elite of a generation before, or known for another reason
                continue
            self._learned.add(outcome.fingerprint)
            for step, value in outcome.reports:
                if not math.isnan(value):
                    self._earlier.setdefault(step, []).append(value)

    @property
    def standing(self) -> list[tuple[int, tuple[float, ...]]]:
        """What later candidates are measured by; the outcome of one that is trained now depends on it."""
        return [(step, tuple(values)) for step, values in sorted(self._earlier.items())]

    def _batch(self, trainings: list[Training], seeds: list[int]) -> Batch:
        return Batch(self._task, self._training, trainings, seeds, earlier=dict(self.standing) or None)

    def next(self) -> dict[Key, Outcome]:
        while True:
            number, results = self._executor.next()
            assert isinstance(number, int)  # noqa: S101 - the keys are those of submit
            if outcomes := self._arrived(number, results):
                return outcomes

    def close(self) -> None:
        self._pending.clear()
        self._executor.close()

    def _arrived(self, number: int, results: Mapping[int, Result]) -> dict[Key, Outcome]:
        """The outcomes of the jobs whose whole ladder is trained now."""
        pending = self._pending[number]
        pending.results |= results
        outcomes: dict[Key, Outcome] = {}
        traces: dict[Key, str] = {}
        for key, places in pending.trainings.items():
            if key in pending.outcomes or not all(position in pending.results for position, _ in places):
                continue
            ladder = [(pending.results[position], rate) for position, rate in places]
            outcomes[key] = self._outcome(pending.jobs[key], ladder)
            first = ladder[0][0]
            traces[key] = first.trace if isinstance(first, Failure) else ""
        pending.outcomes |= outcomes
        for key, outcome in outcomes.items():
            self._failures.count(outcome, traces[key])
        if len(pending.outcomes) == len(pending.jobs):
            del self._pending[number]
            self._failures.check(list(pending.outcomes.values()))
            self._count(list(pending.outcomes.values()), time.perf_counter() - pending.started)
        return outcomes

    def _outcome(self, job: Job, ladder: Sequence[tuple[Result, float]]) -> Outcome:
        """The best of the ladder."""
        text, mark = str(job.expression), self._mark(job.expression)
        if isinstance(self._task, Objective):
            return _judged(text, mark, ladder[0][0])
        ran = [(result, rate) for result, rate in ladder if isinstance(result, TrainingResult)]
        if not ran:
            failure = next(result for result, _ in ladder if isinstance(result, Failure))
            return Outcome(text, mark, failure.status, Stage.TRAINING, failure.reason)
        if all(result.diverged for result, _ in ran):
            reason = next((result.reason for result, _ in ran if result.reason), "outputs became NaN or infinite")
            reason += " at every learning rate"
            return Outcome(text, mark, Status.DIVERGED, Stage.TRAINING, reason)
        sign, free = self._task.direction.sign, self._task.free_scores
        best, rate = max(ran, key=lambda pair: (not pair[0].diverged, not pair[0].stopped, sign * pair[0].validation))
        fitness = best.validation if free else max(0.0, best.validation)
        reports = _best_by_step([result for result, _ in ran], sign) if self._training.rungs else ()
        if best.stopped:
            return Outcome(text, mark, Status.STOPPED, Stage.EARLY_STOP, best.reason, fitness, rate, reports)
        return Outcome(text, mark, Status.TRAINED, Stage.TRAINING, "", fitness, rate, reports)

    def _count(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        stopped = sum(outcome.status is Status.STOPPED for outcome in outcomes)
        failed = sum(outcome.status in (Status.DIVERGED, *FAILED) for outcome in outcomes)
        self._counts[Stage.EARLY_STOP].add(StageCount(len(outcomes), stopped))
        self._counts[Stage.TRAINING].add(StageCount(len(outcomes) - stopped, failed, seconds))


def _best_by_step(results: Sequence[TrainingResult], sign: int) -> tuple[tuple[int, float], ...]:
    """What the best of a ladder had at each rung."""
    best: dict[int, float] = {}
    for step, score in (point for result in results for point in result.curve):
        best[step] = sign * max(sign * score, sign * best.get(step, score))
    return tuple(sorted(best.items()))


def _judged(text: str, mark: str, result: Result) -> Outcome:
    """The outcome of a trial of an objective: its fitness is what the user's function has returned."""
    if isinstance(result, Failure):
        return Outcome(text, mark, result.status, Stage.TRAINING, result.reason)
    if result.diverged:
        return Outcome(text, mark, Status.DIVERGED, Stage.TRAINING, result.reason, reports=result.curve)
    if result.stopped:
        return Outcome(text, mark, Status.STOPPED, Stage.EARLY_STOP, result.reason, result.validation, None, result.curve)
    return Outcome(text, mark, Status.TRAINED, Stage.TRAINING, "", result.validation, None, result.curve)
