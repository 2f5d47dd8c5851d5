"""Properties that a user may require of every loss: bounded, monotone, convex (docs/guide/constraints.md).

They are properties of -f(x, y) as a function of the prediction y, and none depends on the scale of the loss.  The label x is
0 or 1; in regression labels and predictions are those of the fingerprint.  monotone and convex are checked at the probe
points of the fingerprint, and on the chords between neighbours, so that a pole between two points is not overlooked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from glo.evaluation.checks import Check, probe_points
from glo.expr import Expr, evaluate, visible_slopes
from glo.expr.fingerprint import CONTEXTS
from glo.records import Link, Property
from glo.tasks import Problem, Task

Floats = NDArray[np.float64]
TOLERANCE = 1e-6  # of slopes, relative
ROUNDING = 1e-15  # of values, relative
NOISE = 1e-6  # of the spread of the values: smaller changes are none
# Where predictions go to a limit, the second step in the logarithm of the distance is twice the first one: a value that
# changes as much or more in it diverges, as slowly as log(log(y)) does.  Powers of 2, so that 1 - y is exact.
NEAR_0 = np.array([1e-20, 1e-40, 1e-80])
NEAR_1 = 1 - np.array([2.0**-13, 2.0**-26, 2.0**-52])
FAR = np.array([1e10, 1e20, 1e40])
SETTLES = 0.95  # the greatest quotient of the second change and the first
COARSE, FINE = 128, 1024  # intervals of the grids on which poles are looked for
SHRINKS = 0.5  # the greatest quotient of the largest changes on the fine grid and on the coarse one


def constraint_check(names: Sequence[Property], link: Link, weighted: bool = False) -> Check:
    """A check that a loss has all these properties; the arguments are those of `lacking`."""

    def reason(expression: Expr) -> str | None:
        whys = ((name, lacking(expression, name, link, weighted)) for name in names)
        return next((f"it is not {name}: {why}" for name, why in whys if why is not None), None)

    return lambda expressions: [reason(expression) for expression in expressions]


def constraints_of(task: Problem, names: Sequence[Property]) -> Check:
    """The check of these properties for a task."""
    return constraint_check(names, task.link, isinstance(task, Task) and task.class_weight is not None)


def lacking(expression: Expr, name: Property, link: Link, weighted: bool = False) -> str | None:
    """Why a loss lacks a property, with a point; None if it has it.

    A loss with `prior` or `progress` must have it for several values of these.

    Args:
        expression: f(x, y), which is maximised.
        name: "bounded": the loss stays finite as y goes to 0 and to 1 (in regression, as the error grows without limit),
            and has no pole between.  "monotone": moving probability from a wrong class to the true one never raises the
            loss; for sigmoid, and with class weights, it never rises with y for x = 1 nor falls with y for x = 0; in
            regression, it never falls as y moves away from x.  "convex": for each x, the loss is convex in y.
        link: how outputs become predictions.
        weighted: whether the terms of the classes have weights, so that a multiple of y added to f changes gradients.
    """
    used = expression.context
    for values in CONTEXTS if used else ({},):
        if (why := _lacking(expression, name, link, weighted or bool(used), values)) is not None:
            return ", ".join([why, *(f"{each} = {values[each]:g}" for each in used)])
    return None


def _lacking(expression: Expr, name: Property, link: Link, weighted: bool, context: Mapping[str, float]) -> str | None:
    """`lacking` for one value of `prior` and of `progress`."""
    probed = _probed(expression, link, tuple(context.items()))
    if not np.isfinite(probed.slopes).all():
        row, column = np.argwhere(~np.isfinite(probed.slopes))[0]
        return f"it or its derivative is not finite at {probed.point(row, column)}"
    if name == "bounded":
        return _unbounded(expression, probed.x, link, context)
    if name == "convex":
        return _not_convex(probed)
    return _not_moving(probed) if link is Link.SOFTMAX and not weighted else _not_monotone(probed, link)


@dataclass(frozen=True)
class Probed:
    """df/dy at the probe points, and between them its mean: the slopes of the chords.

    Attributes:
        x: the labels, of the shape (X,).
        low, high: the interval of each slope, of the shape (points,); at a probe point both are its y.
        slopes: for each label, in the order of y; of the shape (X, points).
        errors: how far each may be off by rounding.
    """

    x: Floats
    low: Floats
    high: Floats
    slopes: Floats
    errors: Floats

    def point(self, row: int, column: int) -> str:
        """The place of a slope, in words."""
        return f"x = {self.x[row]:.3g}, y = {_shown((self.low[column] + self.high[column]) / 2)}"


@lru_cache(maxsize=1000)  # for each property
def _probed(expression: Expr, link: Link, context: tuple[tuple[str, float], ...]) -> Probed:
    points = probe_points(link, soft=False)
    x = np.unique(points.x)
    y = points.y[: len(points.y) // len(x)]
    labels, known = x[:, None], dict(context)
    values, slopes = evaluate(expression, labels, y, known), visible_slopes(expression, labels, y, known)
    with np.errstate(all="ignore"):
        chords, rounding = np.diff(values) / np.diff(y), ROUNDING * np.abs(values).max() / np.diff(y)
        both = _interleaved(slopes, chords)
        errors = TOLERANCE * (np.abs(both) + np.median(np.abs(both))) + _interleaved(np.zeros_like(y), rounding)
    return Probed(x, _interleaved(y, y[:-1]), _interleaved(y, y[1:]), both, errors)


def _interleaved(at: Floats, between: Floats) -> Floats:
    """The values at the points, and after each but the last that of the interval which begins there."""
    both = np.empty((*at.shape[:-1], 2 * at.shape[-1] - 1))
    both[..., ::2], both[..., 1::2] = at, between
    return both


def _not_convex(probed: Probed) -> str | None:
    """The loss is convex if df/dy never rises with y."""
    rise = np.diff(probed.slopes) - probed.errors[:, 1:] - probed.errors[:, :-1]
    if rise.max() <= 0:
        return None
    row, column = np.unravel_index(rise.argmax(), rise.shape)
    return f"its slope falls near {probed.point(int(row), int(column))}"


def _not_moving(probed: Probed) -> str | None:
    """Probability can move from a wrong class at one y to the true class at another, if their sum is not above 1."""
    (wrong, true), (wrong_error, true_error) = probed.slopes, probed.errors
    gain = wrong[:, None] - true - wrong_error[:, None] - true_error
    gain = np.where(probed.high[:, None] + probed.high <= 1 + 1e-9, gain, -np.inf)
    if gain.max() <= 0:
        return None
    row, column = np.unravel_index(gain.argmax(), gain.shape)
    return (
        f"moving probability from a wrong class with y = {_shown(probed.high[row])} to the true class "
        f"with y = {_shown(probed.high[column])} raises it"
    )


def _not_monotone(probed: Probed, link: Link) -> str | None:
    """f must rise with y where y is below its label, and fall where y is above it."""
    label = probed.x[:, None]
    sign = np.where(probed.high <= label, 1.0, np.where(probed.low >= label, -1.0, 0.0))
    wrong = -sign * probed.slopes - probed.errors
    if wrong.max() <= 0:
        return None
    row, column = (int(position) for position in np.unravel_index(wrong.argmax(), wrong.shape))
    if link is Link.IDENTITY:
        return f"it falls as y moves away from x, at {probed.point(row, column)}"
    return f"it {'rises' if sign[row, column] > 0 else 'falls'} with y at {probed.point(row, column)}"


def _unbounded(expression: Expr, x: Floats, link: Link, context: Mapping[str, float]) -> str | None:
    """The loss must settle where predictions go to their limits, and have no pole between."""
    labels = x[:, None]
    if link is Link.IDENTITY:
        limits = {"minus infinity": labels - FAR, "infinity": labels + FAR}
        grid = np.linspace(-4, 4, FINE + 1)
    else:
        limits = {"0": NEAR_0, "1": NEAR_1}
        grid = np.linspace(0.001, 0.999, FINE + 1)
    rows = [np.broadcast_to(y, (len(x), y.shape[-1])) for y in (*limits.values(), grid)]
    *ends, inner = np.split(evaluate(expression, labels, np.hstack(rows), context), [len(FAR), 2 * len(FAR)], axis=1)
    if not np.isfinite(inner).all():
        row, column = np.argwhere(~np.isfinite(inner))[0]
        return f"it is not finite at x = {x[row]:.3g}, y = {_shown(float(grid[column]))}"
    noise = NOISE * np.ptp(inner)
    for where, values in zip(limits, ends, strict=True):
        with np.errstate(all="ignore"):
            first, second = np.abs(np.diff(values)).T
            diverges = ~np.isfinite(values).all(1) | (second > np.maximum(SETTLES * first, noise))
        if diverges.any():
            return f"at x = {x[int(diverges.argmax())]:.3g} it diverges as y goes to {where}"
    fine, coarse = (np.abs(np.diff(inner[:, :: FINE // count])) for count in (FINE, COARSE))
    if fine.max() > max(SHRINKS * coarse.max(), noise):
        row, column = np.unravel_index(fine.argmax(), fine.shape)
        return f"it has a pole or a jump near x = {x[row]:.3g}, y = {_shown(grid[column])}"
    return None


def _shown(y: float) -> str:
    """A prediction in words, with the digits that tell it from 1."""
    return f"{y:.3g}" if y < 0.99 else f"{y:.7g}"
