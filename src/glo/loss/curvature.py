"""Gradient and Hessian of a loss by raw scores, from the first two derivatives of f.  NumPy only.

`glo.loss.boosting_source` writes these functions into exported source, word for word: they may use nothing but numpy, one
another, and `ConfigError`.

The predictions of both probability links are y = sigmoid(u): under sigmoid u is the score z; under softmax u_k is
log(y_k) - log(1 - y_k) of class k.  In this coordinate the derivatives of y, log(y) and log(1 - y) are bounded, so no score
is too large.  Under the identity link u = y = z.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from glo.errors import ConfigError

LOWEST_SCORE = -1e9  # a score below it, such as -inf for a class that is masked, counts as this one
LARGEST = 3e38  # the libraries keep derivatives in float32


def call_arguments(first: Any, second: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """Labels, scores and weights of a call with (y_true, y_pred, sample_weight), or with (scores, data set)."""
    if hasattr(second, "get_label"):
        labels, weights = second.get_label(), second.get_weight()
        return labels, first, None if weights is None or len(weights) == 0 else weights
    return first, second, sample_weight


def as_numbers(values: object, name: str) -> np.ndarray:
    """The values in float64."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} are numbers, not {type(values).__name__} ({error})") from None


def checked_scores(scores: object, link: str, classes: int | None) -> np.ndarray:
    """Raw scores in float64: (n, classes) for softmax; (n) or (n, outputs) for the other links."""
    z = as_numbers(scores, "scores")
    if link == "softmax":
        if z.ndim != 2 or z.shape[1] < 2:
            raise ConfigError(
                f"the softmax link needs scores of shape (n, classes), not {z.shape}: tell the library the number of "
                "classes (num_class), or use the link 'sigmoid' for two classes with one score"
            )
        if classes is not None and z.shape[1] != classes:
            raise ConfigError(
                f"scores of shape {z.shape} do not fit {classes} classes: set num_class={classes} in the library"
            )
    elif z.ndim not in (1, 2):
        raise ConfigError(f"the {link} link needs scores of shape (n) or (n, outputs), not {z.shape}")
    return z


def checked_labels(labels: object, z: np.ndarray, link: str) -> np.ndarray:
    """The labels x, of the shape of the scores z; class indices become one-hot."""
    x = as_numbers(labels, "labels")
    if link == "softmax" and x.shape in ((len(z),), (len(z), 1)):
        x = x.reshape(-1)
        bad = x[~((x >= 0) & (x < z.shape[1]) & (x == np.floor(x)))]
        if bad.size:
            raise ConfigError(
                f"the label {bad[0]} is not among the classes 0 to {z.shape[1] - 1}: encode the labels as these"
            )
        return np.eye(z.shape[1])[x.astype(np.int64)]
    if x.shape != z.shape and (x.size != z.size or len(x) != len(z) or max(x.ndim, z.ndim) > 2):
        raise ConfigError(f"labels of shape {x.shape} do not fit scores of shape {z.shape}")
    bad = x[~np.isfinite(x)] if link == "identity" else x[~((x >= 0) & (x <= 1))]
    if bad.size:
        range_ = "finite numbers" if link == "identity" else "between 0 and 1: encode the two classes as 0 and 1"
        raise ConfigError(f"the label {bad[0]} is not allowed: labels of the {link} link are {range_}")
    return x.reshape(z.shape)


def checked_weights(sample_weight: object, z: np.ndarray) -> np.ndarray | None:
    """Weights in a shape that broadcasts with the scores z."""
    if sample_weight is None:
        return None
    weights = as_numbers(sample_weight, "weights")
    if weights.shape != (len(z),) or not np.all((weights >= 0) & np.isfinite(weights)):
        raise ConfigError(f"sample_weight is a number of at least 0 for each of the {len(z)} samples, shape ({len(z)},)")
    return weights.reshape((-1,) + (1,) * (z.ndim - 1))


def log_probabilities(z: np.ndarray, link: str) -> tuple[np.ndarray, np.ndarray]:
    """log(y) and log(1 - y)."""
    if link == "sigmoid":
        rest = np.log1p(np.exp(-np.abs(z)))
        return np.minimum(z, 0) - rest, np.minimum(-z, 0) - rest
    shifted = z - z.max(axis=1, keepdims=True)
    log_y = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    # Of the largest class, 1 - y comes from the other classes; of the others, from y, which is at most 1/2.
    largest = np.arange(z.shape[1]) == log_y.argmax(axis=1)[:, None]
    others = np.logaddexp.reduce(np.where(largest, -3e38, log_y), axis=1, keepdims=True)
    return log_y, np.where(largest, others, np.log1p(-np.minimum(np.exp(log_y), 0.5)))


def by_scores(
    first: np.ndarray, second: np.ndarray, log_y: np.ndarray, log_not_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Softmax: the derivatives of the sum of f over classes by each score, from those of each f by its own u.

    u_k = z_k - log(sum of exp(z_i) over i != k).  By z_k its derivatives are 1 and 0; by another z_j they are -q and
    -q*(1 - q), where q = y_j/(1 - y_k) is the probability of j among the classes other than k.
    """
    y, not_y = np.exp(log_y), np.exp(log_not_y)
    largest = np.arange(y.shape[1]) == log_y.argmax(axis=1)[:, None]
    # Of the largest class k, 1 - y may be 0 in floating point: its q comes from the logarithms.
    log_not_largest = np.where(largest, log_not_y, 0.0).sum(axis=1, keepdims=True)
    q = np.where(largest, 0.0, np.exp(np.minimum(log_y - log_not_largest, 0.0)))
    first_k, second_k = (np.where(largest, part, 0.0).sum(axis=1, keepdims=True) for part in (first, second))
    divisor = np.where(largest, 1.0, not_y)
    slopes = np.where(largest, 0.0, first) / divisor
    bends = np.where(largest, 0.0, second + first * y) / divisor**2  # q of h and -q*(1 - q) of g, without what cancels
    slopes, bends = (part.sum(axis=1, keepdims=True) - part for part in (slopes, bends))
    gradient = first - y * slopes - q * first_k
    hessian = second + y * (y * bends - not_y * slopes) + q * (q * second_k - (1 - q) * first_k)
    return gradient, hessian


def exact_derivatives(
    terms: Callable[..., tuple[np.ndarray, np.ndarray]], x: np.ndarray, z: np.ndarray, link: str, eps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and diagonal of the Hessian of the loss, minus the sum over classes of f, of each sample.

    `terms(x, y, slope, bend, log_y, log_not_y, p, not_p)` gives the derivatives of f by u; slope and bend are those of
    y, which is p clamped to [eps, 1 - eps].
    """
    with np.errstate(all="ignore"):
        if link == "identity":
            first, second = terms(x, z, 1.0, 0.0, None, None, None, None)
            return -first, -second
        outside = (z < LOWEST_SCORE) | (z > -LOWEST_SCORE) if link == "sigmoid" else z < LOWEST_SCORE
        z = np.clip(z, LOWEST_SCORE, -LOWEST_SCORE if link == "sigmoid" else None)
        log_y, log_not_y = log_probabilities(z, link)
        p, not_p = np.exp(log_y), np.exp(log_not_y)
        inside = (p >= eps) & (p <= 1 - eps)
        slope, bend = (np.where(inside, part, 0.0) for part in (p * not_p, p * not_p * (not_p - p)))
        first, second = terms(x, np.clip(p, eps, 1 - eps), slope, bend, log_y, log_not_y, p, not_p)
        if link == "softmax":
            first, second = by_scores(first, second, log_y, log_not_y)
        return np.where(outside, 0.0, -first), np.where(outside, 0.0, -second)


def positive(hessian: np.ndarray, rule: str, floor: float, factor: float) -> np.ndarray:
    """The Hessian as a library can use it: "absolute" |h|, "floor" h, "constant" 1; times factor, and at least floor."""
    if rule == "constant":
        return np.full_like(hessian, factor)
    with np.errstate(all="ignore"):
        size = factor * (np.abs(hessian) if rule == "absolute" else hessian)
        return np.where(size < LARGEST, np.maximum(size, floor), floor)  # NaN is not below


def refuse_infinite(gradient: np.ndarray, x: np.ndarray, z: np.ndarray) -> None:
    """Raise an error if a derivative is not finite, before a library grows trees from it."""
    bad = np.argwhere(~(np.abs(gradient) < LARGEST))
    if len(bad):
        at = tuple(bad[0])
        raise ConfigError(
            f"the gradient of the loss is {gradient[at]} for the label {x[at]} and the score {z[at]} (sample {at[0]}; "
            f"{len(bad)} such scores): use a loss that is finite for every score that can occur, or a smaller learning rate"
        )


def derivatives_for_trees(
    terms: Callable[..., tuple[np.ndarray, np.ndarray]],
    labels: object,
    scores: object,
    sample_weight: object,
    *,
    link: str,
    classes: int | None,
    class_reduction: str,
    eps: float,
    hessian_rule: str,
    floor: float,
    factor: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and positive Hessian, of the shape of the scores, each times the weight of its sample."""
    z = checked_scores(scores, link, classes)
    x = checked_labels(labels, z, link)
    weights = checked_weights(sample_weight, z)
    gradient, hessian = exact_derivatives(terms, x, z, link, eps)
    refuse_infinite(gradient, x, z)
    share = 1 / z.shape[1] if class_reduction == "mean" and z.ndim == 2 else 1.0
    gradient, hessian = gradient * share, positive(hessian * share, hessian_rule, floor, factor)
    return (gradient, hessian) if weights is None else (gradient * weights, hessian * weights)
