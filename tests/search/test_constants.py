"""Real-valued constants: how they are drawn, how they move, and that the paper has none."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glo.expr import OPERATORS, Expr, constant, parse
from glo.search import PAPER_WEIGHTS, Elements, GeneticConfig, GeneticSearch, mutate
from glo.testing.search import history
from search.frequencies import assert_drawn_from, normalised
from strategies import any_constants, expressions, moderate_constants

NOTHING = {"integer_step": 0.0, "replacement": 0.0, "shrink": 0.0, "grow": 0.0}
seeds = st.integers(0, 2**32)


def is_real(node: Expr) -> bool:
    return node.is_constant and not node.is_integer


def moving(probability: float, **options: float) -> GeneticConfig:
    return GeneticConfig.model_validate({**NOTHING, "constants": 1.0, "constant_step": probability, **options})


def test_they_are_drawn_by_weight_beside_the_other_symbols() -> None:
    """20,000 roots and 20,000 leaves; false alarm 1e-4."""
    elements, rng = Elements(PAPER_WEIGHTS, constants=2.0), np.random.default_rng(1)
    for depth, weights in ((1, PAPER_WEIGHTS), (0, {"x": 3.0, "y": 3.0, "1": 1.0, "-1": 1.0})):
        drawn = (elements.tree(rng, depth) for _ in range(20_000))
        counts = Counter("real" if is_real(tree) else tree.symbol for tree in drawn)
        assert_drawn_from(counts, normalised({**weights, "real": 2.0}))


def test_their_size_is_log_uniform_with_two_digits_and_either_sign() -> None:
    """4,000 constants in four classes each; false alarm 1e-4."""
    elements, rng = Elements({"x": 1e-12, "y": 1e-12}, constants=1.0), np.random.default_rng(2)
    values = np.array([elements.leaf(rng).value for _ in range(4_000)])
    assert np.abs(values).min() >= 0.1
    assert np.abs(values).max() <= 10
    assert all(float(f"{value:.2g}") == value for value in values)
    # Edges between two numbers of two digits, so that rounding moves none to another class.
    edges = np.array([0.0999, 0.315, 0.995, 3.15, 10.01])
    law = np.diff(np.log10(np.clip(edges, 0.1, 10)))
    counts = np.histogram(np.abs(values), edges)[0]
    assert_drawn_from(dict(enumerate(counts)), normalised(dict(enumerate(law))))
    assert_drawn_from(Counter(np.sign(values)), {-1.0: 0.5, 1.0: 0.5})


def test_half_of_the_exponents_are_real_too() -> None:
    elements, rng = Elements({"x": 1.0, "y": 1.0, "pow": 1.0}, constants=1e-3), np.random.default_rng(3)
    exponents = [elements.grown(rng, "pow", 1).children[1] for _ in range(3_000)]
    assert_drawn_from(Counter(map(is_real, exponents)), {True: 0.5, False: 0.5})


def test_they_move_by_a_random_factor_and_seldom_change_their_sign() -> None:
    config, elements, rng = moving(1.0), Elements(PAPER_WEIGHTS), np.random.default_rng(4)
    moved = np.array([mutate(constant(2.5), config, elements, rng).value for _ in range(4_000)])
    assert_drawn_from(Counter(moved > 0), {True: 0.9, False: 0.1})
    factors = np.log(np.abs(moved) / 2.5)
    assert abs(factors.mean()) < 0.02  # of 4,000 with a standard deviation of 0.3, four standard errors
    assert factors.std() == pytest.approx(0.3, abs=0.02)


def test_the_probability_counts() -> None:
    """20,000 constants of which 20 % move, and one in 25 of these by less than its digits show; false alarm 1e-4."""
    config, elements, rng = moving(0.2), Elements(PAPER_WEIGHTS), np.random.default_rng(5)
    still = sum(mutate(parse("0.55"), config, elements, rng) == parse("0.55") for _ in range(20_000))
    assert 0.80 < still / 20_000 < 0.82


@given(any_constants(), seeds)
def test_every_constant_can_move(number: Expr, seed: int) -> None:
    """Including the largest, which must remain finite, and exponents; the result can be parsed from its text."""
    tree = Expr("pow", (Expr("x"), number))
    mutant = mutate(tree, moving(1.0), Elements(PAPER_WEIGHTS), np.random.default_rng(seed))
    assert parse(str(mutant)) == mutant
    assert is_real(mutant.children[1]) == is_real(number)


@given(expressions(moderate_constants(), max_leaves=8), seeds)
def test_only_real_constants_move(expr: Expr, seed: int) -> None:
    mutant = mutate(expr, moving(1.0), Elements(PAPER_WEIGHTS), np.random.default_rng(seed))
    for before, after in zip(expr.walk(), mutant.walk(), strict=True):
        assert before.symbol == after.symbol or (is_real(before) and is_real(after))


@given(expressions(moderate_constants(), max_leaves=8), seeds)
def test_without_constants_none_is_made_and_none_moves(expr: Expr, seed: int) -> None:
    config = GeneticConfig(constant_step=1.0, integer_step=0.5, replacement=0.3, grow=0.3, shrink=0.1)
    mutant = mutate(expr, config, Elements(config.weights), np.random.default_rng(seed))
    before = {node.symbol for node in expr.walk() if is_real(node)}
    assert {node.symbol for node in mutant.walk() if is_real(node)} <= before


def test_the_papers_search_has_none() -> None:
    trees = [tree for generation in history(GeneticSearch(GeneticConfig(), 3, 4)) for tree in generation]
    assert not any(is_real(node) for tree in trees for node in tree.walk())
    assert {node.symbol for tree in trees for node in tree.walk()} <= {*OPERATORS, "x", "y"} | set(map(str, range(-9, 10)))
