"""LaTeX of an expression, read from the operator table."""

from __future__ import annotations

from glo.expr.operators import Operator
from glo.expr.tree import ATOM, Expr, Text, fold

SYMBOLS = {"prior": r"\pi", "progress": "t"}


def latex(expr: Expr) -> str:
    """LaTeX for f(x, y), e.g. `\\log\\left(y\\right) - \\frac{x}{y}`."""
    return fold(expr, _leaf, _apply)[0]


def _leaf(leaf: Expr) -> Text:
    if leaf.symbol in SYMBOLS:
        return SYMBOLS[leaf.symbol], ATOM
    if leaf.is_constant and "e" in leaf.symbol:
        mantissa, exponent = leaf.symbol.split("e")
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}", 2
    return leaf.symbol, 2 if leaf.symbol.startswith("-") else ATOM


def _apply(operator: Operator, arguments: tuple[Text, ...]) -> Text:
    if operator.precedence is None or operator.name == "/":  # the notation delimits the arguments
        return operator.latex.format(*(text for text, _ in arguments)), ATOM
    (left, left_binds), (right, right_binds) = arguments
    left = left if left_binds >= operator.precedence else rf"\left({left}\right)"
    right = right if right_binds > operator.precedence else rf"\left({right}\right)"
    return operator.latex.format(left, right), operator.precedence
