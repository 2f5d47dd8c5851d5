"""An expression in its several ways of writing."""

from __future__ import annotations

from glo.expr.canonical import canonical
from glo.expr.latex import latex
from glo.expr.tree import Expr


def describe(expr: Expr) -> dict[str, str]:
    """Text, canonical form and LaTeX."""
    return {"expression": str(expr), "canonical": str(canonical(expr)), "latex": latex(expr)}
