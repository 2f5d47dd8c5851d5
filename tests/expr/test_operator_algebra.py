"""The column `algebra` of the table of operators: how a factor of an argument changes the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from glo.expr import OPERATORS, Operator

Array = NDArray[np.floating[Any]]

_RANDOM = np.random.default_rng(3)
SIGNED, OTHER = _RANDOM.normal(size=(2, 2, 40))
POSITIVE, ALSO_POSITIVE = _RANDOM.uniform(0.1, 3, size=(2, 2, 40))
FACTORS = (0.3, 2.0, 7.0)


def _close(one: Any, other: Any) -> bool:
    return np.allclose(one, other, rtol=1e-9, atol=1e-12)


def _one_number(values: Any) -> bool:
    return _close(values, values.flat[0])


def algebra_of(row: Operator) -> str:
    """How a factor of an argument changes the result, found by experiment; the names are those of `Operator.algebra`."""
    free = row.arity - len(row.constant_arguments)  # constant arguments come last

    def op(*arguments: Any) -> Any:
        return row.value(np, *arguments[:free], *[np.full(40, 1.7)] * (row.arity - free))

    def of_one(place: int) -> Callable[[Any], Any]:
        """The operator as a function of one argument, with the others fixed."""
        return lambda a: op(*(a if other == place else POSITIVE[other] for other in range(free)))

    def each(check: Callable[[Callable[[Any], Any], Array], bool]) -> list[bool]:
        return [check(of_one(place), POSITIVE[place]) for place in range(free)]

    if _close(op(*(SIGNED + OTHER)), op(*SIGNED) + op(*OTHER)):
        return "sum"
    if all(each(lambda f, a: all(_one_number(f(k * a) / f(a)) for k in FACTORS))):
        linear = each(lambda f, a: _close(f(a + ALSO_POSITIVE[0]), f(a) + f(ALSO_POSITIVE[0])))
        return "product" if linear == [True, True] else "quotient" if linear == [True, False] else "power"
    if all(each(lambda f, a: all(_one_number(f(k * a) - f(a)) for k in FACTORS))):
        return "logarithm"
    if all(_close(op(*(k * POSITIVE)), k * op(*POSITIVE)) for k in FACTORS):
        return "order"
    return "shape"


@pytest.mark.parametrize("row", OPERATORS.values(), ids=OPERATORS)
def test_algebra_of_the_table_is_correct(row: Operator) -> None:
    with np.errstate(invalid="ignore"):
        assert algebra_of(row) == row.algebra


@pytest.mark.parametrize("row", [row for row in OPERATORS.values() if row.algebra == "sum"], ids=lambda row: row.name)
@given(st.floats(-1e3, 1e3))
def test_factor_of_both_arguments_is_a_factor_of_a_sum(row: Operator, factor: float) -> None:
    arguments = SIGNED[: row.arity]
    np.testing.assert_allclose(
        row.value(np, *(factor * arguments)), factor * row.value(np, *arguments), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("row", [row for row in OPERATORS.values() if row.algebra == "order"], ids=lambda row: row.name)
def test_only_a_positive_factor_of_both_arguments_is_a_factor_of_min_or_max(row: Operator) -> None:
    """min(-a, -b) is -max(a, b)."""
    np.testing.assert_allclose(row.value(np, *(2.5 * SIGNED)), 2.5 * row.value(np, *SIGNED))
    assert not np.allclose(row.value(np, *-SIGNED), -row.value(np, *SIGNED))
