"""Train candidates on this machine, in this process."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import torch
from torch import nn

from glo.errors import ModelError
from glo.evaluation.checks import probe_points
from glo.expr import fingerprint
from glo.records import FunnelCounts, Job, Outcome, Stage, StageCount, Status, TrainingConfig
from glo.tasks import Task
from glo.training import Training, TrainingResult, check_stackable, fresh_model, train_population, train_single

logger = logging.getLogger("glo")
FAILURES = (RuntimeError, ValueError, ArithmeticError)  # what PyTorch and a model raise, out of memory included
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class LocalEvaluator:
    """Trains a network for each job and each learning rate of the ladder; the best by validation counts.

    Networks are trained together (`train_population`) where the model can be stacked and that is faster, else one by one.

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
        self._task, self._training, self._device = task, training, device
        self._counts = counts
        self._points = probe_points(task.link, task.soft)  # pyright: ignore[reportArgumentType]
        self._together = worth_stacking(task, device)

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        started = time.perf_counter()
        outcomes: dict[int, Outcome] = {}
        for seed in dict.fromkeys(job.seed for job in jobs):
            positions = [position for position, job in enumerate(jobs) if job.seed == seed]
            outcomes |= dict(zip(positions, self._judge([jobs[p] for p in positions], seed), strict=True))
        if self._counts is not None:
            stopped = sum(outcome.status is Status.STOPPED for outcome in outcomes.values())
            failed = sum(outcome.status in (Status.DIVERGED, Status.CRASHED) for outcome in outcomes.values())
            self._counts[Stage.EARLY_STOP].add(StageCount(len(jobs), stopped))
            spent = time.perf_counter() - started
            self._counts[Stage.TRAINING].add(StageCount(len(jobs) - stopped, failed, spent))
        return [outcomes[position] for position in range(len(jobs))]

    def _judge(self, jobs: list[Job], seed: int) -> list[Outcome]:
        ladder = self._training.learning_rates
        results = self._train([Training(job.expression, rate) for job in jobs for rate in ladder], seed)
        return [
            self._outcome(job, results[start : start + len(ladder)])
            for job, start in zip(jobs, range(0, len(results), len(ladder)), strict=True)
        ]

    def _train(self, trainings: list[Training], seed: int) -> list[TrainingResult | str]:
        """A result for each, or why there is none."""
        if self._together and len(trainings) > 1:
            try:
                return list(train_population(self._task, trainings, self._training, seed, self._device))
            except FAILURES as error:
                logger.warning("training together failed, now one by one: %s", _first_line(error))
        return [self._train_one(training, seed) for training in trainings]

    def _train_one(self, training: Training, seed: int) -> TrainingResult | str:
        try:
            return train_single(self._task, training, self._training, seed, self._device)
        except FAILURES as error:
            return _first_line(error)

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


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def worth_stacking(task: Task, device: torch.device | str) -> bool:
    """Whether to train networks together: the model can be stacked, and is not a convolutional network on a CPU.

    A convolution already fills a CPU by itself; stacked, it becomes a grouped convolution, which is slower there.
    """
    model = fresh_model(task, seed=0)
    if torch.device(device).type == "cpu" and any(isinstance(module, CONVOLUTIONS) for module in model.modules()):
        return False
    try:
        check_stackable(task, model)
    except ModelError as error:
        logger.warning("%s", error)
        return False
    return True
