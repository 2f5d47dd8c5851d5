"""Hypothesis strategies for expressions, shared by the whole suite."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from hypothesis import strategies as st

from glo.expr import MAX_DEPTH, OPERATORS, Expr, constant

# Sums and products of these are exact in float64.
SIMPLE_NUMBERS = (0, 1, -1, 2, -2, 3, 4, -5, 0.5, -0.25, 0.75, -0.0)
AWKWARD_NUMBERS = (0, -0.0, 0.1, 1 / 3, 1e-7, -1e-7, 1e20, 5e-324, 1.7976931348623157e308, 2**53, -(2**53))


def variables() -> st.SearchStrategy[Expr]:
    return st.sampled_from([Expr("y"), Expr("x")])


def leaves() -> st.SearchStrategy[Expr]:
    """The variables, and what a loss may know besides."""
    return st.sampled_from([Expr("y"), Expr("x"), Expr("prior"), Expr("progress")])


def simple_constants() -> st.SearchStrategy[Expr]:
    """Small numbers with which arithmetic is exact, both zeros among them."""
    return st.sampled_from(SIMPLE_NUMBERS).map(constant)


def moderate_constants() -> st.SearchStrategy[Expr]:
    """Numbers that neither overflow nor vanish, but whose sums and products are rounded."""
    reals = st.floats(0.01, 10) | st.floats(-10, -0.01) | st.just(1e-7)
    return simple_constants() | reals.map(constant)


def any_constants() -> st.SearchStrategy[Expr]:
    """Every number that the language can hold."""
    reals = st.floats(allow_nan=False, allow_infinity=False)
    return (st.integers(-(2**53), 2**53) | reals | st.sampled_from(AWKWARD_NUMBERS)).map(constant)


def expressions(
    constants: st.SearchStrategy[Expr] | None = None,
    operators: Iterable[str] = OPERATORS,
    max_leaves: int = 12,
    symbols: st.SearchStrategy[Expr] | None = None,
) -> st.SearchStrategy[Expr]:
    """Trees over the symbols (x and y), numbers and the given operators; by default every operator and every number."""
    numbers = any_constants() if constants is None else constants
    symbols = variables() if symbols is None else symbols

    def grow(smaller: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        return st.one_of([_node(name, smaller, numbers) for name in operators])

    return st.recursive(symbols | symbols | numbers, grow, max_leaves=max_leaves)


def deep_expressions(constants: st.SearchStrategy[Expr] | None = None) -> st.SearchStrategy[Expr]:
    """Chains up to the greatest allowed depth: each operator has the rest of the tree and at most one leaf below it."""
    numbers = any_constants() if constants is None else constants
    leaves = variables() | numbers

    def grow(expr: Expr, step: tuple[str, Expr, Expr, bool]) -> Expr:
        name, leaf, number, swap = step
        if OPERATORS[name].arity == 1:
            return Expr(name, (expr,))
        if OPERATORS[name].constant_arguments:
            return Expr(name, (expr, number))
        return Expr(name, (leaf, expr) if swap else (expr, leaf))

    steps = st.lists(
        st.tuples(st.sampled_from(sorted(OPERATORS)), leaves, numbers, st.booleans()), min_size=1, max_size=MAX_DEPTH
    )
    return st.builds(functools.partial(functools.reduce, grow), steps, leaves)


def _node(name: str, smaller: st.SearchStrategy[Expr], numbers: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    row = OPERATORS[name]
    arguments = [numbers if position in row.constant_arguments else smaller for position in range(row.arity)]
    return st.tuples(*arguments).map(lambda children: Expr(name, children))
