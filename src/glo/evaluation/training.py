"""Judge candidates by training them; on this machine, unless told otherwise."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence

import torch

from glo.evaluation.checks import probe_points
from glo.evaluation.evaluator import OnOutcomes, unheard
from glo.execution import Trainer, TrainsInParts
from glo.expr import fingerprint
from glo.records import FunnelCounts, Job, Outcome, Stage, StageCount, Status, TrainingConfig
from glo.tasks import Task
from glo.training import Result, TimedOut, Training, TrainingResult

FAILED = (Status.DIVERGED, Status.CRASHED, Status.TIMED_OUT)


class LocalEvaluator:
    """Trains a network for each job and each learning rate of the ladder; the best by validation counts.

    Args:
        task: what to train on.
        training: how; with the ladder of learning rates.
        device: where.
        counts: where trainings, early stops and seconds are counted.
        trainer: what trains, of the same task and training; by default a `Trainer` on the device.
    """

    def __init__(
        self,
        task: Task,
        training: TrainingConfig,
        device: torch.device | str = "cpu",
        counts: FunnelCounts | None = None,
        trainer: TrainsInParts | None = None,
    ) -> None:
        self._training, self._counts = training, counts
        self._trainer = trainer or Trainer(task, training, device)
        self._points = probe_points(task.link, task.soft)  # pyright: ignore[reportArgumentType]

    def evaluate(self, jobs: Sequence[Job], on_outcomes: OnOutcomes = unheard) -> list[Outcome]:
        started = time.perf_counter()
        known: dict[int, Outcome] = {}
        for ended in self._ended(jobs):
            on_outcomes(ended)
            known |= ended
        outcomes = [known[position] for position in range(len(jobs))]
        self.count(outcomes, time.perf_counter() - started)
        return outcomes

    def trainings(self, jobs: Sequence[Job]) -> tuple[list[Training], list[int]]:
        """What is trained for these jobs: for each the whole ladder; and the seed of each training."""
        ladder = self._training.learning_rates
        return [Training(job.expression, rate) for job in jobs for rate in ladder], [
            job.seed for job in jobs for _ in ladder
        ]

    def outcomes(self, jobs: Sequence[Job], results: Sequence[Result]) -> list[Outcome]:
        """What the results of `trainings(jobs)` come to."""
        rungs = len(self._training.learning_rates)
        return [self._outcome(job, results[rungs * i : rungs * (i + 1)]) for i, job in enumerate(jobs)]

    def count(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Count what has ended."""
        if self._counts is not None:
            stopped = sum(outcome.status is Status.STOPPED for outcome in outcomes)
            failed = sum(outcome.status in FAILED for outcome in outcomes)
            self._counts[Stage.EARLY_STOP].add(StageCount(len(outcomes), stopped))
            self._counts[Stage.TRAINING].add(StageCount(len(outcomes) - stopped, failed, seconds))

    def _ended(self, jobs: Sequence[Job]) -> Iterator[dict[int, Outcome]]:
        """Outcomes by position, each as soon as its whole ladder is trained."""
        ladder = self._training.learning_rates
        results: dict[int, Result] = {}
        missing = [len(ladder)] * len(jobs)
        for done in self._trainer.parts(*self.trainings(jobs)):
            results |= done
            touched = Counter(position // len(ladder) for position in done)
            for job, count in touched.items():
                missing[job] -= count
            whole = sorted(job for job in touched if missing[job] == 0)
            if whole:
                rungs = {job: [results[len(ladder) * job + rung] for rung in range(len(ladder))] for job in whole}
                yield {job: self._outcome(jobs[job], rungs[job]) for job in whole}

    def _outcome(self, job: Job, results: Sequence[Result]) -> Outcome:
        """The best of the ladder."""
        text, mark = str(job.expression), fingerprint(job.expression, self._points)
        ladder = zip(results, self._training.learning_rates, strict=True)
        ran = [(result, rate) for result, rate in ladder if isinstance(result, TrainingResult)]
        if not ran:
            status = Status.TIMED_OUT if isinstance(results[0], TimedOut) else Status.CRASHED
            return Outcome(text, mark, status, Stage.TRAINING, str(results[0]))
        if all(result.diverged for result, _ in ran):
            reason = "outputs became NaN or infinite at every learning rate"
            return Outcome(text, mark, Status.DIVERGED, Stage.TRAINING, reason)
        best, rate = max(ran, key=lambda pair: (not pair[0].diverged, not pair[0].stopped, pair[0].validation))
        fitness = max(0.0, best.validation)
        if best.stopped:
            percent = f"{self._training.early_stop:.0%}"
            return Outcome(
                text, mark, Status.STOPPED, Stage.EARLY_STOP, f"at chance after {percent} of the steps", fitness, rate
            )
        return Outcome(text, mark, Status.TRAINED, Stage.TRAINING, "", fitness, rate)
