"""The cheapest checks before a training: is this expression worth one?  Each gives a reason against it, or None."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from glo.expr import (
    HARD,
    REAL,
    SOFT,
    Expr,
    ProbePoints,
    fingerprint,
    probed_slopes,
    scale_free_fingerprint,
    softmax_fingerprint,
)
from glo.loss import why_no_prior
from glo.records import Link, TrainingConfig
from glo.tasks import Objective, Problem, Task

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


def marker(task: Problem, training: TrainingConfig) -> Callable[[Expr], str]:
    """The fingerprint by which losses are told apart.

    With the unit gradient, a factor of a loss changes nothing; nor does a multiple of y under softmax, unless its terms have
    class weights.
    """
    mark, points = fingerprint, points_of(task, training)
    if training.unit_gradient:
        weighted = isinstance(task, Task) and task.class_weight is not None
        mark = softmax_fingerprint if task.link is Link.SOFTMAX and not weighted else scale_free_fingerprint
    return lambda expression: mark(expression, points)


def structure_for(task: Problem) -> Check:
    """`structure`, and whether the task knows the class shares that a loss with `prior` needs."""

    unknown = None if isinstance(task, Objective) else why_no_prior(task.link, task.prior)  # whose own function gives it
    if unknown is None:
        return structure

    def check(expressions: Sequence[Expr]) -> list[str | None]:
        return [
            found or (f"uses prior, and {unknown}" if expression.uses("prior") else None)
            for found, expression in zip(structure(expressions), expressions, strict=True)
        ]

    return check


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
            bad = int(np.argmin(np.isfinite(slopes))) % len(points.x)  # of a loss with a prior, for one of several
            return f"it or its derivative is not finite, e.g. at x = {points.x[bad]:g}, y = {points.y[bad]:.3g}"
        return "its derivative is zero" if np.abs(slopes).max() < 1e-9 else None

    return lambda expressions: [reason(expression) for expression in expressions]
