"""Metrics with a parameter: F-beta, the pinball loss, and the mean cost of decisions by a cost matrix.

Each factory returns a `Metric` of a function of this module with its parameter, so that it can be pickled, and so that its
identity is the function and the parameter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from glo.errors import TaskError
from glo.records import Direction
from glo.tasks.metrics import Metric

Costs = tuple[tuple[float, ...], ...]
DECISIONS = ("argmax", "expected")


def f_beta_metric(beta: float) -> Metric:
    """F-beta of the answer yes, or of the second of two classes, with a threshold that is chosen on validation.

    The threshold is the best of all on the validation split, for each network.  The test split is measured with that
    threshold.  So fitness, on validation, is slightly optimistic; comparisons, on test, are not.

    Args:
        beta: how much recall counts: 1 as much as precision, 2 more, 0.5 less.

    Raises:
        TaskError: if beta is not a number above 0.  A task raises it for other than two classes or one yes-no output.
    """
    number = _number(beta)
    if not (number > 0 and 0 < number * number < math.inf):
        raise TaskError(f"beta of f_beta is a number above 0, such as 2, not {beta!r}")
    return Metric(partial(f_beta, beta=number), name=f"f_beta:{number:g}", fit=partial(best_threshold, beta=number))


def pinball_metric(q: float) -> Metric:
    """The mean pinball loss of predictions of the quantile q, to be minimised; for regression.

    Args:
        q: the quantile, such as 0.9; at 0.5 it is half the mean absolute error.

    Raises:
        TaskError: unless 0 < q < 1.  A task raises it if its targets are class indices.
    """
    number = _number(q)
    if not 0 < number < 1:
        raise TaskError(f"q of pinball is a number between 0 and 1, such as 0.9, not {q!r}")
    return Metric(partial(pinball, q=number), Direction.MINIMIZE, f"pinball:{number:g}")


def cost_metric(
    matrix: Sequence[Sequence[float]] | Any, decide: Literal["argmax", "expected"] = "argmax", name: str = "cost"
) -> Metric:
    """The mean cost of decisions, to be minimised.

    Args:
        matrix: (C, C), of which `matrix[i][j]` is the cost of deciding j when i is true; a list, an array or a tensor.  For
            one yes-no output it is (2, 2), and no is 0.
        decide: "argmax" decides for the likeliest class, "expected" for the class of the lowest expected cost under the
            predicted probabilities.
        name: shown in tables.

    Raises:
        TaskError: if the matrix is not square, has other than finite numbers, or is smaller than (2, 2), or for another
            `decide`.  A task raises it if the matrix does not have the task's number of classes.
    """
    try:
        costs = torch.as_tensor(matrix, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TaskError(f"a cost matrix has a number for each true and each decided class: {error}") from None
    if costs.dim() != 2 or not 2 <= costs.shape[0] == costs.shape[1]:
        raise TaskError(f"a cost matrix is square, of two classes or more, not of shape {tuple(costs.shape)}")
    if not bool(costs.isfinite().all()):
        raise TaskError("a cost matrix has finite numbers, no NaN or infinity")
    if decide not in DECISIONS:
        raise TaskError(f"decide is one of {', '.join(DECISIONS)}, not {decide!r}")
    rows = tuple(tuple(row) for row in costs.tolist())
    return Metric(partial(mean_cost, costs=rows, decide=decide), Direction.MINIMIZE, name)


def f_beta(predictions: Tensor, targets: Tensor, threshold: float, beta: float) -> float:
    """F-beta of the answer yes, which is decided for predictions of at least the threshold; 0 if it is never right."""
    scores, true = _positive(predictions, targets)
    decided = scores.double() >= threshold
    hits, weight = float((decided & true).sum()), beta * beta
    return (1 + weight) * hits / (float(decided.sum()) + weight * float(true.sum())) if hits else 0.0


def best_threshold(predictions: Tensor, targets: Tensor, beta: float) -> float:
    """The threshold with the highest F-beta: the highest such prediction; 1/2 if there is no sample of the answer yes."""
    scores, true = _positive(predictions, targets)
    scores, order = scores.double().sort(descending=True)
    hits = true[order].cumsum(0).double()
    decided = torch.arange(1, len(scores) + 1, device=scores.device)
    values = (1 + beta * beta) * hits / (decided + beta * beta * hits[-1])
    values[:-1][scores[:-1] == scores[1:]] = -1  # equal predictions are decided alike: only the last of them is a threshold
    best = values.argmax()
    return float(scores[best]) if hits[best] > 0 else 0.5


def pinball(predictions: Tensor, targets: Tensor, q: float) -> Tensor:
    """Mean of q (x - y) where the prediction y is below the value x, and of (1 - q) (y - x) where it is above."""
    if not targets.is_floating_point():
        raise TaskError("pinball is for regression, not for classes")
    missing = targets.double() - predictions.double()
    return torch.maximum(q * missing, (q - 1) * missing).mean()


def mean_cost(predictions: Tensor, targets: Tensor, costs: Costs, decide: str) -> Tensor:
    """Mean of costs[true][decided]."""
    probabilities, true = _as_classes(predictions, targets, "a cost matrix")
    if probabilities.shape[1] != len(costs):
        raise TaskError(f"the cost matrix is for {len(costs)} classes, but the task has {probabilities.shape[1]}")
    table = torch.tensor(costs, dtype=torch.float64, device=predictions.device)
    decided = (probabilities.double() @ table).argmin(1) if decide == "expected" else probabilities.argmax(1)
    return table[true, decided].mean()


def _positive(predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The prediction of the answer yes, or of the second class, and whether it is true: both (N)."""
    probabilities, true = _as_classes(predictions, targets, "f_beta")
    if probabilities.shape[1] != 2:
        raise TaskError(f"f_beta is for two classes or one yes-no output, not for {probabilities.shape[1]} classes")
    return probabilities[:, 1], true == 1


def _as_classes(predictions: Tensor, targets: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """Predictions of classes (N, C) and the true class (N); one yes-no output is two classes."""
    if not targets.is_floating_point():
        return predictions, targets
    if targets.shape[1] != 1:
        raise TaskError(f"{what} is for classes or one yes-no output, not for {targets.shape[1]} outputs")
    return torch.cat([1 - predictions, predictions], 1), (targets[:, 0] > 0.5).long()


def _number(value: object) -> float:
    try:
        return float(value)  # pyright: ignore[reportArgumentType] - a number of any kind
    except (TypeError, ValueError):
        return math.nan
