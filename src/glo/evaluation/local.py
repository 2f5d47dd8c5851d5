"""Train candidates on this machine, in this process."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from glo.evaluation.checks import probe_points
from glo.expr import fingerprint
from glo.records import FunnelCounts, Job, Outcome, Stage, StageCount, Status, TrainingConfig
from glo.tasks import Task
from glo.training import Trainer, Training, TrainingResult


class LocalEvaluator:
    """Trains a network for each job and each learning rate of the ladder; the best by validation counts.

    Args:
        task: what to train on.
        training: how; with the ladder of learning rates.
        device: where.
        counts: where trainings, early stops and seconds are counted.
    """

    def __init__(
        self,
        task: Task,
        training: TrainingConfig,
        device: torch.device | str = "cpu",
        counts: FunnelCounts | None = None,
    ) -> None:
        self._training, self._counts = training, counts
        self._trainer = Trainer(task, training, device)
        self._points = probe_points(task.link, task.soft)  # pyright: ignore[reportArgumentType]

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        started = time.perf_counter()
        ladder = self._training.learning_rates
        trainings = [Training(job.expression, rate) for job in jobs for rate in ladder]
        results = self._trainer.train(trainings, [job.seed for job in jobs for _ in ladder])
        starts = range(0, len(results), len(ladder))
        outcomes = [
            self._outcome(job, results[start : start + len(ladder)]) for job, start in zip(jobs, starts, strict=True)
        ]
        if self._counts is not None:
            stopped = sum(outcome.status is Status.STOPPED for outcome in outcomes)
            failed = sum(outcome.status in (Status.DIVERGED, Status.CRASHED) for outcome in outcomes)
            self._counts[Stage.EARLY_STOP].add(StageCount(len(jobs), stopped))
            spent = time.perf_counter() - started
            self._counts[Stage.TRAINING].add(StageCount(len(jobs) - stopped, failed, spent))
        return outcomes

    def _outcome(self, job: Job, results: Sequence[TrainingResult | str]) -> Outcome:
        """The best of the ladder."""
        text, mark = str(job.expression), fingerprint(job.expression, self._points)
        ladder = zip(results, self._training.learning_rates, strict=True)
        ran = [(result, rate) for result, rate in ladder if isinstance(result, TrainingResult)]
        if not ran:
            return Outcome(text, mark, Status.CRASHED, Stage.TRAINING, str(results[0]))
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
