"""Coefficients: a number at a node of a tree."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glo.catalog import NAMED
from glo.errors import ExpressionError
from glo.expr import MAX_DEPTH, OPERATORS, SOFT, Expr, all_coefficients, evaluate, parse, visible_slopes, with_coefficients
from strategies import deep_expressions, expressions, moderate_constants

# From numbers too small to change a sum to numbers whose square overflows, and both zeros.
SIZES = (0.0, -0.0, 1e-300, -1e-300, 5e-324, 1e-7, -1e-7, -1.0, 1.0, 0.3, -2.5, 1e9, -1e9, 1e300, -1e300)
NUMBERS = st.sampled_from(SIZES) | st.floats(-1e9, 1e9)


@given(expressions() | deep_expressions())
def test_coefficients_of_1_change_nothing(expr: Expr) -> None:
    assert with_coefficients(expr, dict.fromkeys(all_coefficients(expr), 1.0)) == expr
    assert with_coefficients(expr, {}) == expr


def test_every_node_can_have_a_coefficient() -> None:
    assert all_coefficients(parse("log(y) - x/y")) == [0, 1, 2, 3, 4, 5]
    assert all_coefficients(parse("x*log(y)")) == [0, 1, 2, 3]
    assert all_coefficients(parse("y")) == [0]


@pytest.mark.parametrize(
    ("position", "text"),
    [
        (0, "2.5*(log(y) - x/y)"),
        (1, "2.5*log(y) - x/y"),
        (2, "log(2.5*y) - x/y"),
        (3, "log(y) - 2.5*(x/y)"),
        (4, "log(y) - 2.5*x/y"),
        (5, "log(y) - x/(2.5*y)"),
    ],
)
def test_coefficient_is_at_the_node_of_its_position(position: int, text: str) -> None:
    assert with_coefficients(NAMED["baikal"], {position: 2.5}) == parse(text)


@given(expressions(moderate_constants()), st.data())
def test_each_coefficient_multiplies_its_node_and_no_other(expr: Expr, data: st.DataObject) -> None:
    """Bit-identical to an evaluation that counts the nodes, parents first, and multiplies at the given positions."""
    chosen = data.draw(st.dictionaries(st.sampled_from(all_coefficients(expr)), NUMBERS, max_size=4))
    x, y = np.array([0.0, 1.0, 0.3, 0.7, -1.5]), np.array([0.4, 0.9, 0.02, 0.6, 2.5])
    positions = itertools.count()

    def value(node: Expr) -> Any:
        factor = chosen.get(next(positions), 1.0)
        arguments = [value(child) for child in node.children]
        if node.children:
            number = OPERATORS[node.symbol].value(np, *arguments)
        else:
            number = {"x": x, "y": y}[node.symbol] if node.symbol in "xy" else np.full(5, node.value)
        return number if factor == 1 else factor * number

    with np.errstate(all="ignore"):
        expected = value(expr)
    np.testing.assert_array_equal(evaluate(with_coefficients(expr, chosen), x, y), expected)


@given(expressions(moderate_constants()) | deep_expressions(moderate_constants()), st.data())
def test_no_number_breaks_an_expression_or_its_text(expr: Expr, data: st.DataObject) -> None:
    """The text has all digits, and the exponent of pow is still a number."""
    positions = st.sampled_from(all_coefficients(expr))
    scaled = with_coefficients(expr, data.draw(st.dictionaries(positions, NUMBERS, max_size=6)) if expr.depth < 50 else {})
    assert parse(str(scaled)) == scaled
    assert visible_slopes(scaled, SOFT.x, SOFT.y).shape == SOFT.x.shape


@given(st.sampled_from(list(NAMED.values())), st.sampled_from([math.nan, math.inf, -math.inf]), st.data())
def test_coefficient_that_is_not_finite_is_refused(expr: Expr, number: float, data: st.DataObject) -> None:
    position = data.draw(st.sampled_from(all_coefficients(expr)))
    with pytest.raises(ExpressionError, match="not finite"):
        with_coefficients(expr, {position: number})


def test_expression_that_becomes_too_large_is_refused() -> None:
    deep = parse("neg(" * MAX_DEPTH + "y" + ")" * MAX_DEPTH)
    with pytest.raises(ExpressionError, match=f"at most {MAX_DEPTH} deep"):
        with_coefficients(deep, {7: 2.0})
    wide = parse(" + ".join(["exp(y)"] * 90))
    with pytest.raises(ExpressionError, match="nodes"):
        with_coefficients(parse(f"({wide})*({wide})*({wide})"), dict.fromkeys(range(800), 2.0))
