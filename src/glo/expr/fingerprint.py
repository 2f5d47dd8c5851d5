"""Fingerprint: what a training can see of a loss, as a short hash.

Only gradients reach the network, so two expressions with the same df/dy at every (x, y) train alike.  With hard labels,
df/dy is two functions of y.  It is computed in float64 at fixed probe points and rounded; where the loss itself is NaN or
infinite, the training fails, and the derivative does not matter.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from glo.expr.dual import visible_slopes
from glo.expr.tree import Expr


@dataclass(frozen=True, eq=False)
class ProbePoints:
    """The points at which the derivative is compared.  x and y: float64 arrays of one shape (points,)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


def _grid(x: list[float], y: NDArray[np.float64]) -> ProbePoints:
    labels, predictions = np.meshgrid(np.asarray(x), y, indexing="ij")
    return ProbePoints(labels.ravel(), predictions.ravel())


# Dense near 0 and 1, where losses differ most; without round numbers, at which losses may cross zero.
_PROBABILITIES = np.concatenate([[1.3e-6, 1.7e-4, 3.1e-3], np.linspace(0.0171, 0.9813, 18), [0.9961, 0.99973, 0.9999987]])
HARD = _grid([0.0, 1.0], _PROBABILITIES)
SOFT = _grid([0.0, 1.0, 0.0237, 0.3119, 0.7241, 0.9133], _PROBABILITIES)
# For regression, labels and predictions are real numbers of about unit scale.
REAL = _grid([-1.6180, -0.5772, 0.3679, 1.4142], np.linspace(-2.2361, 2.3561, 12))

DIGITS = 6
NOISE = 1e-9  # smaller derivatives count as zero: that of sqrt(square(y)) - y is a few 1e-16


# Priors and progress at which a loss that uses them is compared; those that do not know them need no more points.
CONTEXTS = ({"prior": 0.0131, "progress": 0.0}, {"prior": 0.0829, "progress": 0.2914}, {"prior": 0.2713, "progress": 0.6137},
            {"prior": 0.7119, "progress": 1.0})  # fmt: skip


@lru_cache(maxsize=10_000)  # several stages of the funnel use it
def probed_slopes(expr: Expr, points: ProbePoints) -> NDArray[np.float64]:
    """`visible_slopes` at the probe points, as a read-only array; one after the other for several priors and progress."""
    contexts = CONTEXTS if expr.context else ({},)
    slopes = np.concatenate([visible_slopes(expr, points.x, points.y, context) for context in contexts])
    slopes.flags.writeable = False
    return slopes


@lru_cache(maxsize=10_000)
def fingerprint(expr: Expr, points: ProbePoints = HARD) -> str:
    """16 hexadecimal digits; equal for expressions whose derivatives in y agree to 6 digits at the probe points."""
    return _digest(probed_slopes(expr, points))


@lru_cache(maxsize=10_000)
def scale_free_fingerprint(expr: Expr, points: ProbePoints = HARD) -> str:
    """Like `fingerprint`, but also equal for expressions whose derivatives differ by a positive factor."""
    return _scale_free(probed_slopes(expr, points))


@lru_cache(maxsize=10_000)
def softmax_fingerprint(expr: Expr, points: ProbePoints = HARD) -> str:
    """Like `scale_free_fingerprint`, but also equal for expressions whose derivatives differ by a constant.

    Under softmax the predictions sum to 1, so a multiple of y that is added to f for all classes alike changes no gradient.
    The derivative is compared with that at the probe point x = 0 whose y is nearest to 1/2.  For a loss with `prior` or
    `progress` it is `scale_free_fingerprint`, because such a multiple may differ by class or step.
    """
    slopes = probed_slopes(expr, points)
    if expr.context:
        return _scale_free(slopes)
    middle = int(np.argmin(np.abs(points.y - 0.5) + np.abs(points.x)))
    return _scale_free(slopes - slopes[middle])


def _scale_free(slopes: NDArray[np.float64]) -> str:
    sizes = np.abs(slopes[np.isfinite(slopes)])
    largest = sizes.max(initial=0.0)
    return _digest(slopes / np.median(sizes[sizes > NOISE * largest]) if largest > NOISE else slopes)


def _digest(slopes: NDArray[np.float64]) -> str:
    slopes = np.where(np.abs(slopes) < NOISE, 0.0, slopes)
    text = ",".join(f"{slope:.{DIGITS - 1}e}" for slope in slopes)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
