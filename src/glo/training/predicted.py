"""Count the predictions of a network: confusions, calibration, residuals."""

from __future__ import annotations

import torch
from torch import Tensor

from glo.records import CONFIDENCES, CONFUSED, RESIDUAL_RANGE, RESIDUALS, Link, Predicted
from glo.tasks import Task
from glo.tasks.shapes import as_rows


def predicted(task: Task, predictions: Tensor, targets: Tensor) -> Predicted:
    """The counts of predictions on a split.

    Of soft labels, the likeliest class counts as true.  The confidence is the probability of the likeliest class or, for
    yes-no outputs, of the decision (as in `glo.tasks.metrics.ece`).

    Args:
        task: that the network is for.
        predictions: a row for each prediction, as for `Task.score`.
        targets: of the split.
    """
    labels = as_rows(targets)
    if task.link is Link.IDENTITY:
        return Predicted(residuals=_residuals(predictions, labels))
    if task.link is Link.SIGMOID:
        yes, true = predictions.flatten().double(), (labels > 0.5).flatten().long()
        decided = (yes > 0.5).long()
        return Predicted(_confusion(true, decided, 2), _calibration(torch.maximum(yes, 1 - yes), decided == true))
    if labels.is_floating_point():
        labels = labels.argmax(1)
    if task.ignore_index is not None:
        counts = labels != task.ignore_index
        predictions, labels = predictions[counts], labels[counts]
    confidence, decided = predictions.double().max(1)
    classes = predictions.shape[1]
    return Predicted(
        _confusion(labels, decided, classes) if classes <= CONFUSED else (), _calibration(confidence, decided == labels)
    )


def _confusion(true: Tensor, decided: Tensor, classes: int) -> tuple[tuple[int, ...], ...]:
    counts = torch.bincount(true * classes + decided, minlength=classes * classes).reshape(classes, classes)
    return tuple(tuple(row) for row in counts.tolist())


def _calibration(confidence: Tensor, right: Tensor) -> tuple[tuple[int, float, int], ...]:
    part = (confidence * CONFIDENCES).ceil().long().clamp(1, CONFIDENCES) - 1
    counts, hits = (torch.bincount(each, minlength=CONFIDENCES).tolist() for each in (part, part[right]))
    sums = torch.zeros(CONFIDENCES, dtype=torch.float64, device=part.device).index_add(0, part, confidence.double()).tolist()
    return tuple(zip(counts, sums, hits, strict=True))


def _residuals(predictions: Tensor, labels: Tensor) -> tuple[int, ...]:
    """In parts of a range that depends on the labels alone, so that two losses can be compared."""
    reach = RESIDUAL_RANGE * float(labels.double().std()) if labels.numel() > 1 else 0.0
    within = (predictions - labels.reshape(predictions.shape)).float().clamp(-reach, reach)
    return tuple(torch.histc(within, RESIDUALS, -reach, reach).long().tolist()) if reach else ()
