"""The prior of training labels: what a constant prediction would know of them."""

from __future__ import annotations

import math

from torch import Tensor

from glo.records import Link


def prior_of(targets: Tensor, link: Link) -> tuple[float, ...]:
    """The share of positive labels for sigmoid; the mean and the standard deviation for regression; nothing for softmax.

    Args:
        targets: the labels of a training split; for sigmoid and regression of shape (N, C, ...).
    """
    if link is Link.SOFTMAX:
        return ()
    labels = targets.double()
    mean, deviation = float(labels.mean()), float(labels.std(correction=0))
    return (_rounded(mean),) if link is Link.SIGMOID else (_rounded(mean), _rounded(deviation))


def _rounded(value: float) -> float:
    """Six digits, so that the prior does not depend on the order in which a machine adds."""
    return float(f"{value:.6g}") if math.isfinite(value) else 0.0
