"""Unit gradient: a loss scaled so that its gradient at uninformed predictions is that of the standard loss of its link.

At one learning rate, a loss with a larger gradient learns faster, whatever else it does.  Scaled like this, all losses start
with steps of the same size, and only their shape differs: a learning rate that suits cross-entropy suits them too.

The scale is a property of the expression, the link, the number of classes and the labels' prior; no data and no network has
a part in it (docs/decisions/0021-unit-gradient.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from glo.catalog import STANDARD
from glo.errors import ConfigError
from glo.expr import Context, Expr, visible_slopes, with_coefficients
from glo.loss.prior import check_prior
from glo.records import Link

SAMPLES = 64
REGRESSION_SAMPLES = 1024  # labels have no end there: a robust loss has a gradient at a few of them only
SPREAD = 0.3  # standard deviation of the outputs: near 0, but not 0, where some losses have no gradient
DIGITS = 6  # of the factor, so that it does not depend on the machine's rounding
SMALLEST = 1e-9  # a mean gradient below it is a rounding error
PRIOR: dict[Link, tuple[float, ...]] = {Link.SOFTMAX: (), Link.SIGMOID: (0.5,), Link.IDENTITY: (0.0, 1.0)}
PROGRESS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of a training, for losses that change with it


def unit_gradient(expression: Expr, link: Link | str = Link.SOFTMAX, classes: int = 10, prior: Sequence[float] = ()) -> Expr:
    """The expression times its `unit_factor`; the expression itself if that is 1, or there is none.

    Raises:
        ExpressionError: if the product is too large for an expression.

    Example:
        criterion = glo.ExpressionLoss(glo.unit_gradient(glo.parse("x*sqrt(y)"), classes=10))
    """
    factor = unit_factor(expression, Link.named(link), classes, tuple(prior))
    return with_coefficients(expression, {0: 1.0 if factor is None else factor})


@lru_cache(maxsize=10_000)
def unit_factor(
    expression: Expr, link: Link = Link.SOFTMAX, classes: int = 10, prior: tuple[float, ...] = ()
) -> float | None:
    """The factor that gives a loss the unit gradient.

    It is the quotient of two means over the same outputs near 0: of the length of the gradient by the outputs of the
    standard loss (cross-entropy, binary cross-entropy, squared error), and of that of this loss.  For a loss that uses
    `prior`, the samples are of the classes by their shares; for one that uses `progress`, it is a mean over a training.

    Args:
        expression: f(x, y), which is maximised.
        link: how outputs become predictions.
        classes: number of outputs; only softmax needs it.
        prior: the share of each class, or of positive labels of each output for sigmoid, by default 1/2; for regression the
            mean and the standard deviation of the labels, by default 0 and 1.  Softmax needs it only if the loss uses
            `prior`: else f is the same function for each class.

    Returns:
        The factor, of 6 digits; None if the loss has no gradient at these outputs, or it is not finite.

    Raises:
        ConfigError: if the loss uses `prior`, and there is none; for softmax without classes.
    """
    if link is Link.SOFTMAX and classes < 1:
        raise ConfigError(f"softmax needs the number of classes, at least 1: not {classes}")
    uses_prior = expression.uses("prior")
    if uses_prior:
        check_prior(expression, link, prior)
    if link is Link.SOFTMAX and not uses_prior:
        prior = ()
    outputs, labels, weights = _uninformed(link, classes, prior or PRIOR[link])
    shares = prior if link is Link.SOFTMAX else np.mean(prior or PRIOR[link])
    known = {"prior": shares} if uses_prior else {}
    contexts = [{**known, "progress": progress} for progress in PROGRESS] if expression.uses("progress") else [known]
    own = float(np.mean([_mean_gradient(expression, link, outputs, labels, weights, context) for context in contexts]))
    standard = _mean_gradient(STANDARD[link], link, outputs, labels, weights, {})
    return float(f"{standard / own:.{DIGITS}g}") if SMALLEST < own < math.inf else None


def _uninformed(
    link: Link, classes: int, prior: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Outputs near 0, labels, and the weight of each sample; outputs and labels have the shape (samples, C)."""
    random = np.random.RandomState(20200719)  # numpy promises that its numbers never change
    if link is Link.SOFTMAX:
        drawn = np.arange(SAMPLES) % classes
        weights = np.asarray(prior or (1.0,) * classes)[drawn]
        return SPREAD * random.standard_normal((SAMPLES, classes)), np.eye(classes)[drawn], weights / weights.sum()
    if link is Link.SIGMOID:
        outputs = SPREAD * random.standard_normal((SAMPLES, 1))
        both = np.repeat([[1.0], [0.0]], SAMPLES, axis=0)
        share = float(np.mean(prior))
        return np.tile(outputs, (2, 1)), both, np.repeat([share / SAMPLES, (1 - share) / SAMPLES], SAMPLES)
    mean, deviation = prior
    shape = (REGRESSION_SAMPLES, 1)
    outputs, labels = SPREAD * random.standard_normal(shape), mean + deviation * random.standard_normal(shape)
    return outputs, labels, np.full(REGRESSION_SAMPLES, 1 / REGRESSION_SAMPLES)


def _mean_gradient(
    expression: Expr,
    link: Link,
    outputs: NDArray[np.float64],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
    context: Context,
) -> float:
    """The mean length of the gradient of the loss by the outputs of a sample."""
    with np.errstate(all="ignore"):
        if link is Link.SOFTMAX:
            y = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
            slopes = visible_slopes(expression, labels, y, context) * y
            gradients = slopes - y * slopes.sum(1, keepdims=True)
        elif link is Link.SIGMOID:
            y = 1 / (1 + np.exp(-outputs))
            gradients = visible_slopes(expression, labels, y, context) * y * (1 - y)
        else:
            gradients = visible_slopes(expression, labels, outputs, context)
        return float(weights @ np.sqrt(np.square(gradients).sum(1)))
