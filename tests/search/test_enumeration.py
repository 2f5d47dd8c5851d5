"""Enumeration: the contract of every search; all trees up to a depth, each once; the order of the expressions."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candidates import SHORT, digits
from fakes import FakeExecutor
from glo.catalog import baikal, cross_entropy
from glo.errors import ConfigError
from glo.evaluation import Funnel
from glo.expr import OPERATORS, Expr, fingerprint, parse
from glo.records import FunnelConfig, Stage, Status
from glo.search import PAPER_WEIGHTS, EnumerationConfig, EnumerationSearch, Screen, all_trees, count_trees, enumerable
from glo.testing.search import SearchContract, failing, history

FEW = {"x": 1.0, "y": 1.0, "log": 1.0, "*": 1.0}  # 74 trees up to depth 2
PAPER = list(PAPER_WEIGHTS)


def by_fingerprint(expressions: Sequence[Expr]) -> list[str | None]:
    return [fingerprint(expression) for expression in expressions]


def by_text(expressions: Sequence[Expr]) -> list[str | None]:
    """A screen that passes every tree, each as a different loss."""
    return [str(expression) for expression in expressions]


def with_both_variables(expressions: Sequence[Expr]) -> list[str | None]:
    return [fingerprint(e) if e.uses("x") and e.uses("y") else None for e in expressions]


def search(
    screen: Screen = by_text, weights: Mapping[str, float] = FEW, max_depth: int = 2, batch: int = 32
) -> EnumerationSearch:
    return EnumerationSearch(EnumerationConfig(max_depth=max_depth, batch=batch), weights, screen)


def asked_by(searching: EnumerationSearch) -> list[Expr]:
    return list(itertools.chain.from_iterable(history(searching)))


# --- the contract of every search -----------------------------------------------------------------------------------


class TestEveryTree(SearchContract):
    """All 74 trees, in batches of equal size."""

    def make(self, seed: int, rounds: int) -> EnumerationSearch:
        return search(batch=-(-74 // rounds))


class TestEachLossOnce(SearchContract):
    """The losses with both variables, by fingerprint; the last batch may be smaller."""

    def make(self, seed: int, rounds: int) -> EnumerationSearch:
        return search(with_both_variables, batch=-(-losses_with_both_variables() // rounds))


@functools.cache
def losses_with_both_variables() -> int:
    return len(set(with_both_variables(list(all_trees(list(FEW), 2)))) - {None})


class TestNumbersAndPowers(SearchContract):
    """With numbers, and with an operator whose argument must be a constant; up to depth 1."""

    def make(self, seed: int, rounds: int) -> EnumerationSearch:
        weights = {"x": 1.0, "y": 1.0, "-1": 1.0, "0.5": 1.0, "pow": 1.0, "exp": 1.0, "-": 1.0, "min": 1.0}
        return search(weights=weights, max_depth=1, batch=-(-52 // rounds))


# --- all trees ------------------------------------------------------------------------------------------------------


def every_tree(symbols: Sequence[str], max_depth: int) -> set[Expr]:
    """By definition: a leaf, or an operator on trees that are less deep; the exponents of pow are 2, 3 and 4."""
    trees = {Expr(symbol) for symbol in symbols if symbol not in OPERATORS}
    if max_depth == 0:
        return trees
    smaller = every_tree(symbols, max_depth - 1)
    exponents = {Expr("2"), Expr("3"), Expr("4")}
    for symbol in set(symbols) & set(OPERATORS):
        row = OPERATORS[symbol]
        choices = [exponents if place in row.constant_arguments else smaller for place in range(row.arity)]
        trees |= {Expr(symbol, children) for children in itertools.product(*choices)}
    return trees


# 2 and 3 are also exponents of pow.
SYMBOLS = st.lists(st.sampled_from(["x", "y", "1", "-1", "2", "3", "0.5", *OPERATORS]), unique=True, max_size=7)


@given(SYMBOLS, st.integers(0, 4))
def test_every_tree_is_made_once_in_order_of_depth_and_counted(symbols: list[str], max_depth: int) -> None:
    """The depth is limited so that there are at most 3,000 trees."""
    while max_depth > 0 and count_trees(symbols, max_depth) > 3000:
        max_depth -= 1
    trees = list(all_trees(symbols, max_depth))
    assert set(trees) == every_tree(symbols, max_depth)
    assert len(set(trees)) == len(trees) == count_trees(symbols, max_depth)
    depths = [tree.depth for tree in trees]
    assert depths == sorted(depths)


def test_without_leaves_there_are_no_trees() -> None:
    assert list(all_trees(["log", "+", "pow"], 3)) == []
    assert count_trees(["log", "+", "pow"], 3) == 0


def test_number_of_the_papers_trees() -> None:
    """80 trees up to depth 1 (4 leaves, 3*4 unary and 4*4**2 binary operators on leaves), 25,844 up to depth 2."""
    trees = list(all_trees(PAPER, 2))
    assert [len(trees), count_trees(PAPER, 2)] == [25_844] * 2
    assert len(set(trees)) == 25_844
    assert [sum(tree.depth == depth for tree in trees) for depth in range(3)] == [4, 76, 25_764]
    assert [tree.depth for tree in trees] == sorted(tree.depth for tree in trees)
    assert sum(tree.uses("x") and tree.uses("y") for tree in trees) == 9_496
    assert {baikal, cross_entropy} <= set(trees)


@pytest.mark.parametrize(("depth", "count"), [(0, 4), (1, 80), (2, 25_844), (3, 2_671_726_880)])
def test_trees_are_counted_without_making_them(depth: int, count: int) -> None:
    assert count_trees(PAPER, depth) == count


def test_exponents_are_2_3_and_4() -> None:
    """There are powers of powers, but neither y**y nor y**1."""
    trees = set(all_trees(["x", "y", "1", "pow"], 2))
    powers = [node for tree in trees for node in tree.walk() if node.symbol == "pow"]
    assert {node.children[1] for node in powers} == {Expr("2"), Expr("3"), Expr("4")}
    assert {Expr("pow", (Expr("y"), Expr("2"))), parse("pow(y**3, 4)"), parse("x**4")} <= trees
    assert all(parse(str(tree)) == tree for tree in trees)


# --- the search -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "sizes"),
    [
        (1, [1] * 74),
        (2, [2] * 35 + [3, 1]),  # the last batch is never full, so that it can be recognised
        (7, [7] * 10 + [4]),
        (32, [32, 32, 10]),
        (37, [38, 36]),
        (74, [74]),
        (1000, [74]),
    ],
)
def test_all_trees_that_pass_the_screen_are_asked_for_in_batches(batch: int, sizes: list[int]) -> None:
    batches = history(search(batch=batch))
    assert list(itertools.chain.from_iterable(batches)) == list(all_trees(list(FEW), 2))
    assert [len(asked) for asked in batches] == sizes


@pytest.mark.parametrize("screen", [by_fingerprint, with_both_variables])
def test_each_loss_is_asked_for_once_as_its_first_tree(screen: Screen) -> None:
    """The first tree is one of the smallest depth."""
    weights = {**FEW, "-": 1.0, "/": 1.0}
    first: dict[str, Expr] = {}
    for tree in all_trees(list(weights), 2):
        (found,) = screen([tree])
        if found is not None:
            first.setdefault(found, tree)
    assert 50 < len(first) < count_trees(list(weights), 2) / 2
    assert asked_by(search(screen, weights)) == list(first.values())


def test_outcomes_change_nothing() -> None:
    assert history(search(by_fingerprint)) == history(search(by_fingerprint), failing(Status.DIVERGED, Stage.TRAINING))


def test_caller_may_empty_the_last_list_without_ending_the_search() -> None:
    searching = search(batch=74)
    searching.ask().clear()
    assert not searching.done
    searching.tell([])
    assert searching.done


def test_equal_losses_are_found_among_thousands_of_trees() -> None:
    """More trees than are screened in one call; trees with the same number of nodes count as the same loss."""
    weights = dict.fromkeys([*FEW, "1", "+", "-", "sqrt"], 1.0)
    assert count_trees(list(weights), 2) == 3_963
    asked = asked_by(search(lambda trees: [str(tree.nodes) for tree in trees], weights))
    assert sorted(tree.nodes for tree in asked) == [1, 2, 3, 4, 5, 6, 7]


def test_search_is_done_at_once_if_no_tree_passes_the_screen() -> None:
    assert search(lambda expressions: [None] * len(expressions)).done


def test_symbols_without_a_weight_are_not_used() -> None:
    weights = {**FEW, "log": 0.0, "-": 0.0, "sqrt": 0.5}
    assert enumerable(EnumerationConfig(), weights) == ["x", "y", "*", "sqrt"]
    asked = asked_by(search(weights=weights))
    assert asked == list(all_trees(["x", "y", "*", "sqrt"], 2))


@pytest.mark.parametrize("weight", [0.01, 1.0, 50.0])
def test_size_of_a_weight_does_not_matter(weight: float) -> None:
    assert asked_by(search(weights=dict.fromkeys(FEW, weight))) == asked_by(search())


def test_too_many_trees_are_refused_before_any_is_made() -> None:
    """The message says how many there are and what to do; the advice works."""

    def never(expressions: Sequence[Expr]) -> list[str | None]:
        raise AssertionError("no tree may be screened")

    config = EnumerationConfig(max_depth=3)
    with pytest.raises(ConfigError) as caught:
        EnumerationSearch(config, PAPER_WEIGHTS, never)
    for part in ("2.67e+09", "depth 3", "2,000,000", "lower the depth", "fewer operators", "--set genetic.weights.square=0"):
        assert part in str(caught.value)
    with pytest.raises(ConfigError):
        enumerable(config, PAPER_WEIGHTS)
    assert enumerable(EnumerationConfig(max_depth=2), PAPER_WEIGHTS) == PAPER
    fewer = {symbol: weight * (symbol in ("x", "y", "log", "*", "-")) for symbol, weight in PAPER_WEIGHTS.items()}
    assert sorted(enumerable(config, fewer)) == sorted(("x", "y", "log", "*", "-"))


def test_funnel_passes_64_losses_of_depth_2_with_the_papers_operators() -> None:
    """All checks of the funnel for digits are the screen; Baikal and cross-entropy are among the 64."""
    executor = FakeExecutor()
    funnel = Funnel(digits(), SHORT, FunnelConfig(derivative=True, descent=True), executor)
    asked = asked_by(search(funnel.screen, PAPER_WEIGHTS))
    fingerprints = {fingerprint(expression) for expression in asked}
    assert len(asked) == len(fingerprints) == 64
    assert {fingerprint(baikal), fingerprint(cross_entropy)} <= fingerprints
    assert funnel.counts[Stage.STRUCTURE].candidates == 25_844
    assert funnel.counts[Stage.STRUCTURE].rejected == 25_844 - 9_496
    assert executor.submitted == []
