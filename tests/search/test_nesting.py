"""Forbidden nestings: how they are written, and that no search asks for a tree that has one."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glo.errors import ConfigError
from glo.expr import OPERATORS, Expr, fingerprint, parse
from glo.search import (
    PAPER_WEIGHTS,
    Elements,
    EnumerationConfig,
    EnumerationSearch,
    GeneticConfig,
    GeneticSearch,
    SteadyStateSearch,
    all_trees,
    fitting,
    trees_by_size,
)
from glo.search.nesting import forbidden_nesting, read_nestings
from glo.testing.search import AdaptiveSearchContract, history
from search.frequencies import assert_drawn_from, normalised
from strategies import expressions, moderate_constants

FORBIDDEN = ("log(log)", "log(sqrt)", "sqrt(/)", "-(-)")
nestings = st.lists(st.tuples(st.sampled_from(sorted(OPERATORS)), st.sampled_from(sorted(OPERATORS))), max_size=6).map(
    lambda pairs: [f"{outer}({inner})" for outer, inner in pairs]
)


def pairs_in(expr: Expr) -> set[str]:
    """All nestings of an expression, from its definition."""
    return {
        f"{outer.symbol}({inner.symbol})"
        for outer in expr.walk()
        for child in outer.children
        for inner in child.walk()
        if inner.children
    }


@given(expressions(moderate_constants(), max_leaves=8), nestings)
def test_a_forbidden_nesting_is_found_wherever_it_is(expr: Expr, texts: list[str]) -> None:
    found = forbidden_nesting(expr, read_nestings(texts))
    assert (found is None) == (not pairs_in(expr) & set(texts))
    assert found is None or found in texts


def test_how_they_are_written() -> None:
    assert read_nestings([" log ( exp )", "log(sqrt)", "log(exp)", "/(/)", "pow(pow)"]) == {
        "log": {"exp", "sqrt"},
        "/": {"/"},
        "pow": {"pow"},
    }
    assert GeneticConfig(forbidden=("log(sqrt)", "exp( exp )", "log(exp)")).forbidden == (
        "log(exp)",
        "log(sqrt)",
        "exp(exp)",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("log", r"OUTER\(INNER\), e\.g\. log\(exp\), not 'log'"),
        ("log(exp(x))", r"OUTER\(INNER\)"),
        ("", r"OUTER\(INNER\)"),
        ("log(sin)", "'sin' .* is no operator: use log, "),
        ("log(y)", "'y' .* is no operator"),
    ],
)
def test_what_is_no_nesting(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_nestings([text])
    with pytest.raises(ConfigError, match=rf"option 'forbidden': .*{message}"):
        GeneticConfig(forbidden=(text,))


def test_a_start_expression_with_a_forbidden_nesting_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"start expression x\*log\(sqrt\(y\)\) has the forbidden nesting log\(sqrt\)"):
        GeneticConfig(start=("x*y", "x*log(sqrt(y))"), forbidden=FORBIDDEN)


@given(nestings, st.integers(0, 2**32), st.integers(0, 4))
def test_random_trees_have_none(texts: list[str], seed: int, depth: int) -> None:
    """They are drawn without, so a search never waits for one that happens to have none."""
    weights = dict.fromkeys(OPERATORS, 1.0) | {"x": 1e-9, "y": 1e-9}
    tree = Elements(weights, nestings=read_nestings(texts)).tree(np.random.default_rng(seed), depth)
    assert not pairs_in(tree) & set(texts)


def test_the_other_operators_keep_their_proportions() -> None:
    """20,000 children of a logarithm, below which two operators may not occur; false alarm 1e-4."""
    elements, rng = Elements(PAPER_WEIGHTS, nestings=read_nestings(["log(log)", "log(sqrt)"])), np.random.default_rng(7)
    counts = Counter(elements.grown(rng, "log", 2).children[0].symbol for _ in range(20_000))
    assert_drawn_from(counts, normalised({s: w for s, w in PAPER_WEIGHTS.items() if s not in ("log", "sqrt")}))


def usable(expressions: Sequence[Expr]) -> list[str | None]:
    """A screen that passes what uses both variables."""
    return [fingerprint(e) if e.uses("x") and e.uses("y") else None for e in expressions]


WILD: dict[str, Any] = {"population": 30, "replacement": 0.4, "grow": 0.3, "forbidden": FORBIDDEN, "initial_depth": 4}


class TestConstrained(AdaptiveSearchContract):
    """With forbidden nestings and real constants, and so many mutations that later generations are new as well."""

    def make(self, seed: int, rounds: int) -> GeneticSearch:
        return GeneticSearch(GeneticConfig.model_validate({**WILD, "constants": 2.0}), seed, rounds)


@pytest.mark.parametrize("viable", [False, True])
def test_no_tree_of_a_genetic_search_has_one(viable: bool) -> None:
    config = GeneticConfig.model_validate({**WILD, "viable": viable, "max_nodes": 25, "attempts": 5})
    searches = (GeneticSearch(config, 1, 6, usable), SteadyStateSearch(config, 1, 150, usable))
    for search in searches:
        trees = [tree for generation in history(search) for tree in generation]
        assert len(trees) >= 150
        assert all(map(fitting(config), trees))
        assert not {pair for tree in trees for pair in pairs_in(tree)} & set(FORBIDDEN)


def test_without_them_such_trees_are_common() -> None:
    """So the tests above can fail."""
    free = GeneticConfig.model_validate({**WILD, "forbidden": ()})
    trees = [tree for seed in range(5) for generation in history(GeneticSearch(free, seed, 6)) for tree in generation]
    assert sum(bool(pairs_in(tree) & set(FORBIDDEN)) for tree in trees) > 30


def test_an_enumeration_leaves_them_out() -> None:
    def by_text(expressions: Sequence[Expr]) -> list[str | None]:
        return list(map(str, expressions))

    weights = {"x": 1.0, "y": 1.0, "log": 1.0, "*": 1.0}

    def asked(*forbidden: str) -> set[Expr]:
        search = EnumerationSearch(EnumerationConfig(), weights, by_text, forbidden)
        return {tree for generation in history(search) for tree in generation}

    left_out = {tree for tree in asked() if pairs_in(tree) & {"log(log)", "*(log)"}}
    assert left_out
    assert asked("log(log)", "*(log)") == asked() - left_out


# --- trees by size --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbols", [["x", "y", "log", "*"], ["x", "1", "pow", "-"], ["y"], ["log"]])
@pytest.mark.parametrize("max_nodes", [1, 3, 5])
def test_trees_by_size_are_all_trees_once(symbols: list[str], max_nodes: int) -> None:
    found = list(trees_by_size(symbols, max_nodes, lambda tree: True))
    assert [tree.nodes for tree in found if tree] == sorted(tree.nodes for tree in found if tree)
    assert len(set(found)) == len(found)
    deep = {tree for tree in all_trees(symbols, 3 if "log" in symbols else 2) if tree.nodes <= max_nodes}
    assert {tree for tree in found if tree and tree.depth <= (3 if "log" in symbols else 2)} == deep


def test_they_end_where_no_larger_tree_can_fit() -> None:
    """Not only after a thousand sizes: every operator is forbidden below every other."""
    operators = ["log", "*", "-", "sqrt"]
    config = GeneticConfig(forbidden=tuple(f"{a}({b})" for a, b in itertools.product(operators, operators)))
    found = [tree for tree in trees_by_size(["x", "y", *operators], 1000, fitting(config)) if tree]
    assert set(found) == set(all_trees(["x", "y", *operators], 1))
    assert parse("x*y") in found
