"""The table of operators: partial derivatives, agreement of numpy and torch, and commutativity."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from glo.expr import OPERATORS, Operator

ROWS = [pytest.param(row, id=row.name) for row in OPERATORS.values()]
# No point is 0, and no two are equal: there abs, min and max have a corner.
FIRST = (-2.3, -0.6, 0.3, 0.8, 1.7, 2.6)
SECOND = (-3.0, -1.1, 0.45, 0.9, 2.0, 3.1)
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 3.0, 1e-300, 1e300)


def grid(*axes: tuple[float, ...]) -> list[np.ndarray]:
    """One float64 array for each argument: all combinations."""
    return list(np.asarray(list(itertools.product(*axes)), np.float64).T)


def special_arguments(row: Operator) -> list[np.ndarray]:
    return grid(*[SPECIAL] * row.arity)


def value(row: Operator, arguments: list[np.ndarray]) -> np.ndarray:
    with np.errstate(all="ignore"):
        return row.value(np, *arguments)


def tensors(arguments: list[np.ndarray]) -> list[torch.Tensor]:
    return [torch.from_numpy(argument.copy()) for argument in arguments]


@pytest.mark.parametrize("row", ROWS)
def test_partials_are_the_slopes_of_the_value(row: Operator) -> None:
    arguments = grid(*(FIRST, SECOND)[: row.arity])
    with np.errstate(all="ignore"):
        partials = row.partials(np, row.value(np, *arguments), *arguments)
    assert len(partials) == row.arity
    h = 1e-6
    for position, partial in enumerate(partials):
        up, down = ([a + s * h * (i == position) for i, a in enumerate(arguments)] for s in (1, -1))
        numeric = (value(row, up) - value(row, down)) / (2 * h)
        inside = np.isfinite(numeric)
        assert inside.sum() >= len(inside) // 3, "too few points are inside the domain for this to be a test"
        slopes = np.broadcast_to(partial, inside.shape)
        np.testing.assert_allclose(slopes[inside], numeric[inside], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("row", ROWS)
def test_numpy_and_torch_agree_on_the_value(row: Operator) -> None:
    for arguments in (grid(*(FIRST, SECOND)[: row.arity]), special_arguments(row)):
        theirs = row.value(torch, *tensors(arguments)).numpy()
        np.testing.assert_allclose(theirs, value(row, arguments), rtol=1e-14, strict=True)


@pytest.mark.parametrize("row", ROWS)
def test_numpy_and_torch_agree_on_the_partials(row: Operator) -> None:
    # Except at NaN, whose sign is 0 in torch and NaN in numpy; the value is NaN in both, which is enough.
    arguments = grid(*[SPECIAL[1:]] * row.arity)
    ours = tensors(arguments)
    with np.errstate(all="ignore"):
        expected = row.partials(np, row.value(np, *arguments), *arguments)
    for in_torch, in_numpy in zip(row.partials(torch, row.value(torch, *ours), *ours), expected, strict=True):
        np.testing.assert_allclose(np.asarray(in_torch), in_numpy, rtol=1e-14)


def test_first_seven_operators_are_those_of_the_paper() -> None:
    assert list(OPERATORS)[:7] == ["log", "square", "sqrt", "+", "*", "-", "/"]


def test_rows_are_stored_under_their_name() -> None:
    assert all(name == row.name for name, row in OPERATORS.items())


@pytest.mark.parametrize("row", ROWS)
def test_latex_uses_every_argument(row: Operator) -> None:
    marks = ["<first>", "<second>"][: row.arity]
    text = row.latex.format(*marks)
    assert all(mark in text for mark in marks)


COMMUTATIVE = [row for row in OPERATORS.values() if row.commutative]


def test_commutative_operators() -> None:
    assert {row.name for row in COMMUTATIVE} == {"+", "*", "min", "max"}


@pytest.mark.parametrize("row", COMMUTATIVE, ids=lambda row: row.name)
@pytest.mark.parametrize("module", [np, torch], ids=["numpy", "torch"])
def test_commutative_operators_are_bit_identical_in_both_orders(row: Operator, module: Any) -> None:
    arguments = special_arguments(row)
    a, b = arguments if module is np else tensors(arguments)
    with np.errstate(all="ignore"):
        one, other = np.asarray(row.value(module, a, b)), np.asarray(row.value(module, b, a))
    np.testing.assert_array_equal(one, other)
    # assert_array_equal does not distinguish 0.0 from -0.0, but 1/0.0 and 1/-0.0 differ.
    zero = one == 0
    np.testing.assert_array_equal(np.signbit(one[zero]), np.signbit(other[zero]))
