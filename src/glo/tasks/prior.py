"""The prior of training labels: what a constant prediction would know of them."""

from __future__ import annotations

import math

from torch import Tensor

from glo.records import Link


def prior_of(rows: Tensor, link: Link, classes: int) -> tuple[float, ...]:
    """The share of each class; of positive labels of each output for sigmoid; mean and standard deviation for regression.

    Args:
        rows: the labels of a training split as rows: class indices (N), or labels (N, C).
        link: of the task.
        classes: number of classes, for class indices.
    """
    if link is Link.IDENTITY:
        labels = rows.double()
        return _rounded(float(labels.mean())), _rounded(float(labels.std(correction=0)))
    shares = rows.double().mean(0) if rows.is_floating_point() else rows.bincount(minlength=classes).double() / len(rows)
    return tuple(map(_rounded, shares.tolist()))


def _rounded(value: float) -> float:
    """Six digits, so that the prior does not depend on the order in which a machine adds."""
    return float(f"{value:.6g}") if math.isfinite(value) else 0.0
