"""All checks of one expression, without a study."""

from __future__ import annotations

from glo.evaluation.checks import finite_derivative, probe_points, structure
from glo.expr import Expr
from glo.records import Link, TrainingConfig


def viability(expression: Expr, classes: int = 10, link: Link = Link.SOFTMAX) -> str | None:
    """Why an expression cannot train a network, by all the checks, or None if it seems it can.

    torch is imported only if the expression passes the checks that do without.
    """
    for check in (structure, finite_derivative(probe_points(link, soft=False))):
        if (reason := check([expression])[0]) is not None:
            return reason
    from glo.evaluation.descent import DescentProbe

    return DescentProbe(link, classes, TrainingConfig())([expression])[0]
