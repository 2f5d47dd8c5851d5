"""Fingerprint: what a training can see of a loss, as a short hash.

Gradients are all that reaches the network, so two expressions with the same df/dy at every (x, y) train alike.  For hard
labels that is two functions of one variable.  The derivative is taken in float64 at fixed probe points and rounded; where
the loss itself is NaN or infinite, so is the training, and the derivative does not matter.
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
    """Where the derivative is looked at.  x and y: float64 arrays of one shape (points,)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


def _grid(x: list[float], y: NDArray[np.float64]) -> ProbePoints:
    labels, predictions = np.meshgrid(np.asarray(x), y, indexing="ij")
    return ProbePoints(labels.ravel(), predictions.ravel())


# Probabilities: dense near 0 and 1, where losses differ most, and nowhere a round number, where they may cross zero.
_PROBABILITIES = np.concatenate([[1.3e-6, 1.7e-4, 3.1e-3], np.linspace(0.0171, 0.9813, 18), [0.9961, 0.99973, 0.9999987]])
HARD = _grid([0.0, 1.0], _PROBABILITIES)
SOFT = _grid([0.0, 1.0, 0.0237, 0.3119, 0.7241, 0.9133], _PROBABILITIES)
# For regression, labels and predictions are real numbers of about unit scale.
REAL = _grid([-1.6180, -0.5772, 0.3679, 1.4142], np.linspace(-2.2361, 2.3561, 12))

DIGITS = 6
NOISE = 1e-9  # sqrt(square(y)) - y has a derivative of a few 1e-16: that is zero


@lru_cache(maxsize=10_000)  # each stage of the funnel looks at it
def probed_slopes(expr: Expr, points: ProbePoints) -> NDArray[np.float64]:
    """df/dy at the probe points, as `visible_slopes`; not to be written to."""
    slopes = visible_slopes(expr, points.x, points.y)
    slopes.flags.writeable = False
    return slopes


@lru_cache(maxsize=10_000)
def fingerprint(expr: Expr, points: ProbePoints = HARD) -> str:
    """16 hex digits; equal for expressions with equal derivative in y at the probe points (to 6 digits)."""
    return _digest(probed_slopes(expr, points))


def scale_free_fingerprint(expr: Expr, points: ProbePoints = HARD) -> str:
    """Like `fingerprint`, but also equal for expressions whose derivatives differ by a positive factor."""
    slopes = probed_slopes(expr, points)
    sizes = np.abs(slopes[np.isfinite(slopes)])
    largest = sizes.max(initial=0.0)
    return _digest(slopes / np.median(sizes[sizes > NOISE * largest]) if largest > NOISE else slopes)


def _digest(slopes: NDArray[np.float64]) -> str:
    slopes = np.where(np.abs(slopes) < NOISE, 0.0, slopes)
    text = ",".join(f"{slope:.{DIGITS - 1}e}" for slope in slopes)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
