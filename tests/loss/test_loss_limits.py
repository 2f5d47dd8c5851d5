"""Every operation on a loss within the parser's limits ends in a second: training with it, exporting it, sympy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import sympy
import torch
from torch import Tensor

from adversarial import hard_expressions
from glo.catalog import NAMED
from glo.expr import Expr, evaluate, parse
from glo.loss import ExpressionLoss, PopulationLoss, binary_minimum, right_minimum, source, to_sympy
from glo.loss.symbolic import Unsimplified
from glo.records import Link
from limits import Operation, only_posix, too_slow

EXPRESSIONS = hard_expressions()
SYMBOLS = sympy.symbols("x y", real=True)


def draw(link: Link) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    z, target = torch.randn(6, 4, generator=generator), torch.rand(6, 4, generator=generator)
    return z, torch.arange(6) % 4 if link is Link.SOFTMAX else target


def trained(link: Link) -> Operation:
    def operation(expr: Expr) -> None:
        z, target = draw(link)
        loss = ExpressionLoss(expr, link=link)(z.requires_grad_(), target)
        if loss.requires_grad:  # the expression uses y
            loss.backward()

    return operation


def population(link: Link) -> Operation:
    def operation(expr: Expr) -> None:
        z, target = draw(link)
        loss = PopulationLoss([expr], link)
        loss.gradient(z[None], target)
        loss.value(z[None], target)

    return operation


def exported(link: Link) -> Operation:
    def operation(expr: Expr) -> None:
        compile(source(expr, "torch", link), "exported", "exec")
        compile(source(expr, "numpy", link), "exported", "exec")

    return operation


OPERATIONS: dict[str, Operation] = {
    "sympy": lambda expr: str(to_sympy(expr)),
    "minimum of two classes": binary_minimum,
    "minimum of many classes": lambda expr: right_minimum(expr, 1000),
    **{
        f"{name} for {link}": make(link)
        for name, make in {"training": trained, "population": population, "source": exported}.items()
        for link in Link
    },
}


@pytest.fixture(autouse=True)
def _warm() -> None:
    """The time of an operation shall not include imports."""
    binary_minimum(NAMED["baikal"])
    str(to_sympy(NAMED["baikal"]))


@only_posix
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_ends_in_a_second(name: str) -> None:
    assert too_slow({name: OPERATIONS[name]}, EXPRESSIONS) == []


def unsimplified() -> list[tuple[str, Expr]]:
    return [(name, expr) for name, expr in EXPRESSIONS[::3] if isinstance(to_sympy(expr), Unsimplified)]


def test_an_unsimplified_expression_has_the_same_values() -> None:
    compared = 0
    for name, expr in unsimplified():
        try:
            function: Callable[..., float] = sympy.lambdify(SYMBOLS, to_sympy(expr), "numpy")
        except KeyError:  # sympy has no code for a division by zero
            continue
        for x, y in ((0.25, 0.7), (1.0, 0.3)):
            expected = float(evaluate(expr, x, y))
            with np.errstate(all="ignore"):
                found = complex(function(np.float64(x), np.float64(y)))
            if np.isfinite(expected):  # sympy has complex numbers, and no NaN
                np.testing.assert_allclose(found.real, expected, rtol=1e-6, atol=1e-9, err_msg=name)
                compared += 1
    assert compared > 100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("square(" * 40 + "3*y" + ")" * 40, "(" * 40 + "3*y" + ")**2" * 40),
        ("log(" * 9 + "x/y - 1" + ")" * 9, "log(" * 9 + "x/y - 1" + ")" * 9),
        ("2**1e10*y", "oo*y"),  # as in float64
        ("0.5**1e10*y", "0*y"),
        ("(exp(exp(exp(exp(9)))) - 3)/y", "oo/y"),
        ("min(exp(exp(exp(9))), -x - -y)/2", "Min(oo, -x - (-1)*y)/2"),
        ("sqrt(-1/0*y) - (x - neg(2))", "sqrt(-oo*y) - (x + 2)"),
        ("abs(y)**-1.5*1e308*1e308 + 1", "(1.0e+308/Abs(y)**1.5)*1.0e+308 + 1"),
    ],
)
def test_what_is_too_hard_for_sympy_is_left_as_it_is_written(text: str, expected: str) -> None:
    found = to_sympy(parse(text))
    assert isinstance(found, Unsimplified)
    assert str(found) == expected


def test_an_unsimplified_expression_can_be_used() -> None:
    hard = to_sympy(parse("log(" * 9 + "y" + ")" * 9))
    assert str(2 * hard + 1) == f"1 + 2*{'log(' * 9}y{')' * 9}"
    assert hard.subs(SYMBOLS[1], 2).is_number
    assert hard.doit().func is sympy.log


@pytest.mark.parametrize("expr", NAMED.values(), ids=NAMED.keys())
def test_sympy_simplifies_ordinary_losses(expr: Expr) -> None:
    assert not isinstance(to_sympy(expr), Unsimplified)
