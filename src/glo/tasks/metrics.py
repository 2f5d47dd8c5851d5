"""Metrics: functions of predictions y (N, C) and targets, and whether the higher or the lower value is better.

With the softmax link, targets are class indices (N); soft labels are replaced by their likeliest class.  With the others,
targets are labels or values (N, C).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glo.errors import TaskError
from glo.records import Direction

MetricFunction = Callable[[Tensor, Tensor], float | Tensor]
Fit = Callable[[Tensor, Tensor], float]
ECE_BINS = 15


@dataclass(frozen=True)
class Metric:
    """A metric whose values may be any numbers, with its direction.

    A metric with `fit` has a number that is chosen for each network on the validation split, such as a threshold.  The test
    split is measured with the number that was chosen on validation for the same network, also in a curve on test.  So the
    fitness of a candidate, which is measured on validation, is slightly optimistic; comparisons, on test, are not.

    Attributes:
        function: of predictions (N, C) and targets; with `fit` it has the chosen number as its third argument.
        direction: "maximize" or "minimize".
        name: shown in tables; by default that of the function.
        fit: chooses a number, such as a threshold, from the predictions and targets of the validation split.

    Raises:
        TaskError: if the function or `fit` cannot be called, or the direction is another one.
    """

    function: Callable[..., float | Tensor]
    direction: Direction = Direction.MAXIMIZE
    name: str = ""
    fit: Fit | None = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TaskError(f"a metric is a function of predictions and targets, not a {type(self.function).__name__}")
        if self.fit is not None and not callable(self.fit):
            raise TaskError(f"fit of a metric is a function of predictions and targets, not a {type(self.fit).__name__}")
        if self.direction not in list(Direction):
            raise TaskError(f"the direction of a metric is one of {', '.join(Direction)}, not {self.direction!r}")
        object.__setattr__(self, "direction", Direction(self.direction))
        object.__setattr__(self, "name", self.name or getattr(self.function, "__name__", "metric"))

    def __call__(self, predictions: Tensor, targets: Tensor, fitted: float | None = None) -> float | Tensor:
        """The value for predictions (N, C).

        Args:
            predictions: (N, C).
            targets: (N), or (N, C).
            fitted: what `fit` has chosen on validation; None: it chooses from these predictions.
        """
        if self.fit is None:
            return self.function(predictions, targets)
        return self.function(predictions, targets, self.fit(predictions, targets) if fitted is None else fitted)


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
    """Mean F1 score over the classes that occur as a label or as a decision; of several yes-no labels, over the labels.

    The two answers of one yes-no output are two classes.
    """
    if targets.is_floating_point() and targets.shape[1] == 1:
        decided, true = _decisions(predictions, targets)
        return dice(nn.functional.one_hot(decided, 2), true)
    return dice(predictions, targets)


def dice(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean Dice coefficient, which is the F1 score, over the classes that occur as a label or as a decision.

    Of yes-no outputs, it is that of the answer yes, and the mean over the outputs.
    """
    hits, sizes = _overlaps(predictions, targets)
    return (2 * hits / sizes.clamp_min(1)).mean()


def iou(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean intersection over union, the Jaccard index, over the same classes or outputs as `dice`."""
    hits, sizes = _overlaps(predictions, targets)
    return (hits / (sizes - hits).clamp_min(1)).mean()


def _overlaps(predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Of each class that occurs, or of each yes-no output: the right decisions for it (K), and decisions plus labels (K).

    Both are 0 for an output that is never yes and never has the label, which then scores 0 as in scikit-learn.
    """
    if targets.is_floating_point():
        decided, true = predictions > 0.5, targets > 0.5
        return (decided & true).sum(0), decided.sum(0) + true.sum(0)
    decided, classes = predictions.argmax(1), predictions.shape[1]
    hits = targets[decided == targets].bincount(minlength=classes)
    sizes = decided.bincount(minlength=classes) + targets.bincount(minlength=classes)
    return hits[sizes > 0], sizes[sizes > 0]


def r2(predictions: Tensor, targets: Tensor) -> Tensor:
    """Coefficient of determination: 1 for perfect, 0 for predicting the mean."""
    return 1 - ((predictions - targets) ** 2).sum() / ((targets - targets.mean(0)) ** 2).sum()


def _decisions(predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The class that each prediction decides for, and the true class, from class indices or from one yes-no output."""
    if not targets.is_floating_point():
        return predictions.argmax(1), targets
    return (predictions[:, 0] > 0.5).long(), (targets[:, 0] > 0.5).long()


def rmse(predictions: Tensor, targets: Tensor) -> Tensor:
    """Root of the mean squared error."""
    return (predictions - targets).double().square().mean().sqrt()


def mae(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute error."""
    return (predictions - targets).double().abs().mean()


def log_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """Minus the mean logarithm of the probability that was given to the truth, at least 1e-12."""
    y = predictions.double().clamp(1e-12, 1 - 1e-12)
    if not targets.is_floating_point():
        return -y.gather(1, targets[:, None]).log().mean()
    return -(targets * y.log() + (1 - targets) * (1 - y).log()).mean()


def brier(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of the probabilities, summed over classes."""
    true = targets if targets.is_floating_point() else nn.functional.one_hot(targets, predictions.shape[1])
    return (predictions.double() - true).square().sum(1).mean()


def ece(predictions: Tensor, targets: Tensor) -> Tensor:
    """Expected calibration error: |confidence - accuracy| in 15 equal bins of confidence, weighted by their samples.

    The confidence is the probability of the likeliest class or, for yes-no outputs, of the decision (Guo et al. 2017).
    """
    if targets.is_floating_point():
        confidence = torch.maximum(predictions, 1 - predictions).flatten().double()
        right = ((predictions > 0.5) == (targets > 0.5)).flatten().double()
    else:
        confidence, decided = predictions.double().max(1)
        right = (decided == targets).double()
    bins = (confidence * ECE_BINS).ceil().long().clamp(1, ECE_BINS) - 1
    gaps = torch.zeros(ECE_BINS, dtype=torch.float64, device=predictions.device).index_add(0, bins, right - confidence)
    return gaps.abs().sum() / len(confidence)


def average_precision(predictions: Tensor, targets: Tensor) -> float:
    """Average precision (scikit-learn's), of each class or label against the rest, and their mean."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(*_ranked(predictions, targets)))


def roc_auc(predictions: Tensor, targets: Tensor) -> float:
    """Area under the ROC curve (scikit-learn's), of each class or label against the rest, and their mean."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(*_ranked(predictions, targets)))


def mcc(predictions: Tensor, targets: Tensor) -> float:
    """Matthews' correlation coefficient (scikit-learn's) of the decisions."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(*_classes(predictions, targets)))


def cohen_kappa(predictions: Tensor, targets: Tensor) -> float:
    """Cohen's kappa with quadratic weights (scikit-learn's) of the decisions, for classes that have an order."""
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(*_classes(predictions, targets), weights="quadratic"))


def _ranked(predictions: Tensor, targets: Tensor) -> tuple[Any, Any]:
    """Labels of 0 and 1 and their scores: of the second of two classes, of each of several classes, or of each label."""
    if targets.is_floating_point():
        return (targets > 0.5).int().cpu().numpy(), predictions.cpu().numpy()
    if predictions.shape[1] == 2:
        return targets.cpu().numpy(), predictions[:, 1].cpu().numpy()
    present = targets.unique()  # a class without a sample has no curve
    true = nn.functional.one_hot(targets, predictions.shape[1])[:, present]
    return true.cpu().numpy(), predictions[:, present].cpu().numpy()


def _classes(predictions: Tensor, targets: Tensor) -> tuple[Any, Any]:
    decided, true = _decisions(predictions, targets)
    return true.cpu().numpy(), decided.cpu().numpy()
