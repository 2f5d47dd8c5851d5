"""The forms in which an expression is shown."""

from __future__ import annotations

from glo.expr.canonical import canonical
from glo.expr.latex import latex
from glo.expr.tree import Expr


def describe(expr: Expr) -> dict[str, str]:
    """The text, the canonical form and the LaTeX of an expression."""
    return {"expression": str(expr), "canonical": str(canonical(expr)), "latex": latex(expr)}
