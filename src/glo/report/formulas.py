"""Formulas for a page: typeset as MathML, and as a list of instructions that the page's script evaluates."""

from __future__ import annotations

import re
from functools import lru_cache

from latex2mathml.converter import convert
from markupsafe import Markup

from glo.expr import Expr, latex
from glo.expr.operators import Operator
from glo.expr.tree import fold

DIGITS = 4  # of coefficients in a typeset formula
NUMBER = re.compile(r"\d+\.\d+")


@lru_cache(maxsize=1000)
def mathml(expr: Expr, name: str = "f(x, y)") -> Markup:
    """The formula `name = expr` as MathML, with coefficients of four digits.

    Args:
        name: LaTeX of the left side; empty for none.
    """
    right = NUMBER.sub(lambda number: f"{float(number[0]):.{DIGITS}g}", latex(expr))
    return Markup(convert(f"{name} = {right}" if name else right, display="block" if name else "inline"))  # noqa: S704


def instructions(expr: Expr) -> str:
    """The expression in postfix form, such as "y log x y / -": variables, numbers and operators, separated by blanks."""
    return fold(expr, lambda leaf: leaf.symbol, _instruction)


def _instruction(operator: Operator, arguments: tuple[str, ...]) -> str:
    return " ".join((*arguments, operator.name))
