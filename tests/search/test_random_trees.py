"""Random trees are drawn with the paper's weights (section III.A).

Each chi-square test fails for a correct generator with one seed in ten thousand; the seeds are fixed.  The samples are large
enough that a weight that is wrong by one unit (e.g. 2 instead of 3 for log) fails clearly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glo.evaluation import structure
from glo.expr import OPERATORS, Expr
from glo.search import PAPER_WEIGHTS, Elements
from search.frequencies import FALSE_ALARM, assert_drawn_from, normalised

TREES = 20_000
# The paper's weights, independent of those in the code.
WEIGHTS = {"log": 3, "x": 3, "y": 3, "sqrt": 2, "square": 1, "+": 1, "*": 1, "-": 1, "/": 1, "1": 1, "-1": 1}
LEAVES = {"x": 3, "y": 3, "1": 1, "-1": 1}


@pytest.fixture(scope="module")
def trees() -> list[Expr]:
    elements, rng = Elements(PAPER_WEIGHTS), np.random.default_rng(20)
    return [elements.tree(rng, 2) for _ in range(TREES)]


def test_roots_are_drawn_by_weight_from_all_symbols(trees: list[Expr]) -> None:
    """20,000 roots; false alarm 1e-4; with weight 2 for log, 1,000 of 3,333 would be missing."""
    assert_drawn_from(Counter(tree.symbol for tree in trees), normalised(WEIGHTS))


def test_inner_nodes_are_drawn_by_weight_from_all_symbols(trees: list[Expr]) -> None:
    """About 17,000 nodes at depth 1, which may have children; false alarm 1e-4."""
    assert_drawn_from(Counter(child.symbol for tree in trees for child in tree.children), normalised(WEIGHTS))


def test_nodes_at_the_maximum_depth_are_leaves_drawn_by_weight(trees: list[Expr]) -> None:
    """About 14,000 nodes at depth 2; false alarm 1e-4; a uniform draw would give 2.5 times too many 1s."""
    deepest = [leaf for tree in trees for child in tree.children for leaf in child.children]
    assert len(deepest) > 10_000
    assert_drawn_from(Counter(leaf.symbol for leaf in deepest), normalised(LEAVES))
    assert not any(leaf.children for leaf in deepest)


def test_children_are_drawn_independently(trees: list[Expr]) -> None:
    """The joint distribution of the two leaves of about 1,800 nodes (leaf op leaf) at depth 1; false alarm 1e-4."""
    pairs = [
        (node.children[0].symbol, node.children[1].symbol)
        for tree in trees
        for node in tree.children
        if len(node.children) == 2
    ]
    leaf = normalised(LEAVES)
    assert_drawn_from(Counter(pairs), {(a, b): leaf[a] * leaf[b] for a in leaf for b in leaf})


def test_trees_are_up_to_two_deep(trees: list[Expr]) -> None:
    assert {tree.depth for tree in trees} == {0, 1, 2}


def probability_that_all_leaves(allowed: Callable[[str], bool], depth: int) -> float:
    """The probability that a random tree has only allowed leaves, by recursion over the weights."""
    leaf = normalised(LEAVES)
    at_end = sum(probability for symbol, probability in leaf.items() if allowed(symbol))
    if depth == 0:
        return at_end
    below = probability_that_all_leaves(allowed, depth - 1)
    symbols = normalised(WEIGHTS)
    operators = sum(p * below ** OPERATORS[symbol].arity for symbol, p in symbols.items() if symbol in OPERATORS)
    return operators + sum(p for symbol, p in symbols.items() if symbol in LEAVES and allowed(symbol))


def test_nine_in_ten_random_trees_lack_a_variable(trees: list[Expr]) -> None:
    """So most of the paper's first generation cannot be trained.  Computed exactly and counted (4 standard errors, 6e-5)."""
    without_x = probability_that_all_leaves(lambda symbol: symbol != "x", 2)
    without_y = probability_that_all_leaves(lambda symbol: symbol != "y", 2)
    without_both = probability_that_all_leaves(lambda symbol: symbol not in "xy", 2)
    expected = without_x + without_y - without_both
    assert expected == pytest.approx(0.89, abs=0.01)
    lacking = sum(reason is not None for reason in structure(trees)) / TREES
    assert lacking == pytest.approx(expected, abs=4 * (expected * (1 - expected) / TREES) ** 0.5)


def test_weights_of_other_operators_are_used_too() -> None:
    """Root symbols with weights for all operators; 20,000 roots; false alarm 1e-4."""
    weights: dict[str, float] = dict(PAPER_WEIGHTS) | {"exp": 2.0, "tanh": 0.5, "pow": 1.5, "min": 1.0, "0.5": 1.0}
    elements, rng = Elements(weights), np.random.default_rng(21)
    assert_drawn_from(Counter(elements.tree(rng, 1).symbol for _ in range(TREES)), normalised(weights))


def test_exponents_are_small_integers_with_equal_probability() -> None:
    """The exponents of 3,000 random powers are 2, 3 or 4; false alarm 1e-4."""
    elements, rng = Elements({"x": 1.0, "y": 1.0, "pow": 1.0}), np.random.default_rng(22)
    powers = [elements.grown(rng, "pow", 1) for _ in range(3_000)]
    assert_drawn_from(Counter(power.children[1].symbol for power in powers), normalised({"2": 1, "3": 1, "4": 1}))


@given(st.integers(0, 2**32), st.integers(0, 4))
def test_random_tree_has_only_weighted_symbols_and_respects_the_maximum_depth(seed: int, depth: int) -> None:
    weights = {"x": 1.0, "y": 2.0, "0.5": 1.0, "tanh": 1.0, "max": 1.0, "log": 0.0, "7": 0.0}
    tree = Elements(weights).tree(np.random.default_rng(seed), depth)
    assert {node.symbol for node in tree.walk()} <= {"x", "y", "0.5", "tanh", "max"}
    assert tree.depth <= depth


def test_chi_square_tests_tell_right_weights_from_wrong_ones() -> None:
    """A generator with one weight off by one unit fails; a correct one passes."""
    rng = np.random.default_rng(23)
    right, wrong = normalised(WEIGHTS), normalised(WEIGHTS | {"sqrt": 1})
    draw = lambda law: Counter(rng.choice(list(law), size=TREES, p=list(law.values())).tolist())  # noqa: E731
    assert_drawn_from(draw(right), right)
    with pytest.raises(AssertionError, match="p = "):
        assert_drawn_from(draw(wrong), right)
    assert FALSE_ALARM == 1e-4
