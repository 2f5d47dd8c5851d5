"""Metrics: functions of predictions y (N, C) and targets; higher is better.

With the softmax link, targets are class indices (N); soft labels are replaced by their likeliest class.  With the others,
targets are labels or values (N, C).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Metric = Callable[[Tensor, Tensor], float | Tensor]


def accuracy(predictions: Tensor, targets: Tensor) -> Tensor:
    """Fraction of correct decisions: the class with the largest prediction or, for yes-no outputs, the side of 1/2."""
    if not targets.is_floating_point():
        return (predictions.argmax(1) == targets).double().mean()
    return ((predictions > 0.5) == (targets > 0.5)).double().mean()


def balanced_accuracy(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean recall over the classes that occur; each counts the same, however rare it is."""
    decided, true = _decisions(predictions, targets)
    return torch.stack([(decided[true == label] == label).double().mean() for label in true.unique()]).mean()


def f1_macro(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean F1 score over the classes that occur as a label or as a decision; of several yes-no labels, over the labels."""
    if targets.is_floating_point() and targets.shape[1] > 1:
        decided, true = predictions > 0.5, targets > 0.5
        hits, counted = (decided & true).sum(0), decided.sum(0) + true.sum(0)
        return (2 * hits / counted.clamp_min(1)).mean()  # 0 for a label that is neither true nor decided, as in scikit-learn
    decided, true = _decisions(predictions, targets)
    scores: list[Tensor] = []
    for label in torch.cat([true, decided]).unique():
        hits = ((decided == label) & (true == label)).sum()
        scores.append(2 * hits / ((decided == label).sum() + (true == label).sum()))
    return torch.stack(scores).mean()


def r2(predictions: Tensor, targets: Tensor) -> Tensor:
    """Coefficient of determination: 1 for perfect, 0 for predicting the mean."""
    return 1 - ((predictions - targets) ** 2).sum() / ((targets - targets.mean(0)) ** 2).sum()


def _decisions(predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The class that each prediction decides for, and the true class, from class indices or from one yes-no output."""
    if not targets.is_floating_point():
        return predictions.argmax(1), targets
    return (predictions[:, 0] > 0.5).long(), (targets[:, 0] > 0.5).long()


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "f1_macro": f1_macro,
    "r2": r2,
}
