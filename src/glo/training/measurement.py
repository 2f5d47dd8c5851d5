"""Measure a network on a split, and make the result of its training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glo.loss import LINKS
from glo.records import BINS, Link, Predicted, TrainingConfig, TrainingResult
from glo.tasks import Task, with_metric
from glo.training.jackknife import without_each_group
from glo.training.predicted import predicted

EVALUATION_BATCH = 1000  # samples in one forward pass of an evaluation


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one network reaches on one split.

    Attributes:
        score: the task's metric; 0 if the network diverged.
        diverged: whether its outputs or the metric are NaN or infinite.
        histogram: how many of its predictions lie in each of `BINS` equal parts of [0, 1]; empty if it diverged.
        reason: why it counts as diverged, if its outputs are finite.
        fitted: the number that the metric was computed with, such as a threshold, if it has one.
        left_out: the score without each group of samples (`TrainingResult.left_out`); measured on test only.
        metrics: further metrics, by name, if asked for.
        predicted: the counts of its predictions; on test only.
    """

    score: float
    diverged: bool
    histogram: tuple[int, ...] = ()
    reason: str = ""
    fitted: float | None = None
    left_out: tuple[float, ...] = ()
    metrics: tuple[tuple[str, float], ...] = ()
    predicted: Predicted | None = None


def measure(
    task: Task,
    targets: Tensor,
    outputs: Tensor,
    validation: Measurement | None = None,
    metrics: Sequence[str] = (),
) -> Measurement:
    """Measure one network by its outputs on all samples of a split.

    A logit of -inf is the mask of a class, no divergence, as long as the softmax is finite.

    Args:
        task: with the metric.
        targets: of the split.
        outputs: a row for each prediction (`glo.tasks.as_matrix`).
        validation: for the test split, what the same network reaches on validation: a number that the metric has chosen
            there is used here.  A network that diverged there is not measured.
        metrics: names of further metrics to measure, for the validation split.
    """
    if validation is not None and validation.diverged:
        return Measurement(0.0, diverged=True)
    masked = outputs == -torch.inf if task.link is Link.SOFTMAX else torch.zeros((), dtype=torch.bool)
    predictions = LINKS[task.link].predict(outputs, 1)
    if not bool((torch.isfinite(outputs) | masked).all() and torch.isfinite(predictions).all()):
        return Measurement(0.0, diverged=True)
    fitted = task.fit_metric(predictions, targets) if validation is None else validation.fitted
    score = task.score(predictions, targets, fitted)
    if not math.isfinite(score):
        return Measurement(0.0, diverged=True, reason=f"the metric is {score}")
    histogram = tuple(torch.histc(predictions.float(), BINS, 0, 1).long().tolist())
    further = tuple((name, with_metric(task, name).score(predictions, targets)) for name in metrics)
    if validation is None:
        return Measurement(score, False, histogram, fitted=fitted, metrics=further)
    left_out = without_each_group(task, predictions, targets, fitted)
    counts = predicted(task, predictions, targets)
    return Measurement(score, False, histogram, fitted=fitted, left_out=left_out, metrics=further, predicted=counts)


def fits_elsewhere(task: Task, config: TrainingConfig) -> bool:
    """Whether each point of the curve needs a number that the metric chooses on validation, since the curve is on test."""
    return task.fits_metric and config.curve_on == "test"


def given_up(measured: Measurement, reason: str, curve: tuple[tuple[int, float], ...]) -> TrainingResult:
    """The result of a training that was given up at a checkpoint; one that has diverged there has diverged."""
    if measured.diverged:
        return TrainingResult(measured.score, diverged=True, curve=curve, reason=measured.reason)
    return TrainingResult(measured.score, stopped=True, curve=curve, reason=reason)


def final_result(
    validation: Measurement, finite_loss: bool, curve: tuple[tuple[int, float], ...], test: Measurement | None
) -> TrainingResult:
    """The result of a training that ran all its steps; with NaN or infinity it is worth 0 (section III.A).

    Args:
        validation: on the validation split.
        finite_loss: whether the loss of the last step is finite.
        curve: as in the result.
        test: on the test split, if asked for.
    """
    if validation.diverged or not finite_loss:
        worthless = None if test is None else 0.0
        return TrainingResult(0.0, diverged=True, curve=curve, test=worthless, reason=validation.reason)
    if test is None:
        return TrainingResult(validation.score, curve=curve, metrics=validation.metrics)
    return TrainingResult(
        validation.score,
        curve=curve,
        test=test.score,
        histogram=test.histogram,
        left_out=test.left_out,
        metrics=validation.metrics,
        predicted=test.predicted,
    )
