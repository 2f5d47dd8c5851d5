"""The code of an expression computes what the operator table does, also at infinities, NaN and both zeros."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from glo.expr import OPERATORS, Expr, Operator, constant, parse
from glo.loss import code
from glo.loss.graph import Symbol
from glo.loss.python import Code, CodeFunctions

SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 3.0, 1e-300, 1e300)
GRID = np.array(list(itertools.product(SPECIAL, SPECIAL))).T
ROWS = [pytest.param(row, id=row.name) for row in OPERATORS.values()]


def run(text: str, module: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    of_torch = module == "torch"
    names: dict[str, Any] = {"np": np, "torch": torch}
    names |= {"x": torch.from_numpy(x), "y": torch.from_numpy(y)} if of_torch else {"x": x, "y": y}
    with np.errstate(all="ignore"):
        return np.asarray(eval(text, names))  # noqa: S307 - running the code is the test


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """Also the sign of zero, which 1/0.0 and 1/-0.0 make visible."""
    np.testing.assert_allclose(found, expected, rtol=1e-14, strict=True)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("module", ["np", "torch"])
def test_code_computes_the_value(row: Operator, module: str) -> None:
    x, y = GRID.copy()
    with np.errstate(all="ignore"):
        for number in filter(np.isfinite, SPECIAL):
            second = np.full_like(y, number) if row.constant_arguments else y
            expr = Expr(row.name, (Expr("x"), constant(number) if row.constant_arguments else Expr("y"))[: row.arity])
            assert_same(run(code(expr, module), module, x, y), row.value(np, *(x, second)[: row.arity]))


@pytest.mark.parametrize("module", ["np", "torch"])
@pytest.mark.parametrize("first", [row.name for row in OPERATORS.values()])
def test_code_of_nested_operators_has_its_parentheses(first: str, module: str) -> None:
    """Each operator as every argument of every other; the values are distinct numbers."""
    x, y = np.array([0.3, 1.7]), np.array([0.6, 0.45])

    def node(name: str, *children: Expr) -> Expr:
        row = OPERATORS[name]
        second = constant(-1.5) if row.constant_arguments else children[1]
        return Expr(name, (children[0], second)[: row.arity])

    for second in OPERATORS:
        inner = node(second, parse("x"), parse("-y"))
        for expr in (node(first, inner, parse("y")), node(first, parse("x"), inner), node(first, inner, inner)):
            found = run(code(expr, module, has_logs=False), module, x, y)
            np.testing.assert_allclose(found, value_of(expr, x, y), rtol=1e-12)


def value_of(expr: Expr, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The value by the table alone."""
    if not expr.children:
        return np.full_like(y, expr.value) if expr.is_constant else {"x": x, "y": y}[expr.symbol]
    with np.errstate(all="ignore"):
        return OPERATORS[expr.symbol].value(np, *(value_of(child, x, y) for child in expr.children))


def test_an_operator_may_use_everything_that_populations_can_compute() -> None:
    """An operator of a user, with comparisons, whose code has its parentheses."""

    def value(m: Any, a: Any, b: Any) -> Any:
        return (a <= b) * 1.0 - (a < 0) / (2 - (b >= 0.5) * m.sign(a)) + -((a > b) * (1 + b)) * 3

    text = value(CodeFunctions("np"), Code("x"), Code("y")).text
    x, y = GRID
    with np.errstate(all="ignore"):
        expected = value(np, x, y)
    np.testing.assert_array_equal(run(text, "np", x, y), expected)
    assert (set(vars(Symbol)) & set(dir(float))) - {"__getstate__"} <= set(vars(Code))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x*log(y) + (1 - x)*log(1 - y)", "x * log_y + (1.0 - x) * log_not_y"),
        ("log(1.0 - y)", "log_not_y"),
        ("log(1*y) - log(2 - y)", "np.log(1.0 * y) - np.log(2.0 - y)"),
        ("square(x - y)", "(x - y) ** 2"),
        ("(y - x)**0.5", "(y - x) ** np.full_like(y, 0.5)"),
        ("x - (y - 1) - -x/y", "x - (y - 1.0) - -x / y"),
        ("1/y - 2/y", "1.0 / y - np.full_like(y, 2.0) / y"),
        ("max(x, 2*3)", "np.maximum(x, np.full_like(y, 6.0)) + 0.0"),
        ("0.5", "np.full_like(y, 0.5)"),
    ],
)
def test_code_reads_as_people_write_it(text: str, expected: str) -> None:
    assert code(parse(text), "np") == expected


def test_code_of_nested_squares_does_not_grow() -> None:
    expr = parse("x - y")
    for _ in range(80):
        expr = Expr("square", (expr,))
    assert len(code(expr, "torch")) < 1_000
