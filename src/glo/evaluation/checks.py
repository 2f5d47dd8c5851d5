"""The cheapest checks before a training: is this expression worth one?  Each gives a reason against it, or None."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from glo.expr import HARD, REAL, SOFT, Expr, ProbePoints, probed_slopes
from glo.records import Link, TrainingConfig
from glo.tasks import Problem

# For each expression, why it is not worth a training, or None.
Check = Callable[[Sequence[Expr]], list[str | None]]


def probe_points(link: Link, soft: bool) -> ProbePoints:
    """The points of a fingerprint: labels 0 and 1, also soft labels if a task has them, and real numbers in regression."""
    if link is Link.IDENTITY:
        return REAL
    return SOFT if soft else HARD


def points_of(task: Problem, training: TrainingConfig) -> ProbePoints:
    """The points for the labels of a task; label smoothing makes them soft."""
    return probe_points(task.link, task.soft or training.label_smoothing > 0)


def structure(expressions: Sequence[Expr]) -> list[str | None]:
    """A loss needs the label and the prediction (paper, section III.A)."""
    return [
        None if not (missing := [v for v in ("x", "y") if not e.uses(v)]) else f"does not use {' and '.join(missing)}"
        for e in expressions
    ]


def finite_derivative(points: ProbePoints) -> Check:
    """The loss and its derivative must be finite everywhere, and the derivative not zero everywhere."""

    def reason(expression: Expr) -> str | None:
        slopes = probed_slopes(expression, points)
        if not np.isfinite(slopes).all():
            bad = int(np.argmin(np.isfinite(slopes)))
            return f"it or its derivative is not finite, e.g. at x = {points.x[bad]:g}, y = {points.y[bad]:.3g}"
        return "its derivative is zero" if np.abs(slopes).max() < 1e-9 else None

    return lambda expressions: [reason(expression) for expression in expressions]
