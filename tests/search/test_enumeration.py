"""Every expression up to a depth: the contract of every search, that no tree is missed or comes twice, and what is asked."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.evaluator_contract import SHORT, digits
from glo.testing.search import SearchContract, failing, history
from glo.catalog import baikal, cross_entropy
from glo.errors import ConfigError
from glo.evaluation import Funnel, FunnelConfig, OnOutcomes, unheard
from glo.expr import OPERATORS, Expr, fingerprint, parse
from glo.records import FunnelCounts, Job, Outcome, Stage, Status
from glo.search import PAPER_WEIGHTS, EnumerationConfig, EnumerationSearch, Screen, all_trees, count_trees, enumerable

FEW = {"x": 1.0, "y": 1.0, "log": 1.0, "*": 1.0}  # 74 trees up to depth 2
PAPER = list(PAPER_WEIGHTS)


def by_fingerprint(expressions: Sequence[Expr]) -> list[str | None]:
    return [fingerprint(expression) for expression in expressions]


def by_text(expressions: Sequence[Expr]) -> list[str | None]:
    """Passes every tree, each as a loss of its own."""
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
    """74 of them, in batches of equal size."""

    def make(self, seed: int, rounds: int) -> EnumerationSearch:
        return search(batch=-(-74 // rounds))


class TestEachLossOnce(SearchContract):
    """Those with both variables, by fingerprint; the last batch may be smaller."""

    def make(self, seed: int, rounds: int) -> EnumerationSearch:
        return search(with_both_variables, batch=-(-losses_with_both_variables() // rounds))


@functools.cache
def losses_with_both_variables() -> int:
    return len(set(with_both_variables(list(all_trees(list(FEW), 2)))) - {None})


class TestNumbersAndPowers(SearchContract):
    """Operators whose argument must be a constant, and depth 1 only."""

    def make(self, seed: int, rounds: int) -> EnumerationSearch:
        weights = {"x": 1.0, "y": 1.0, "-1": 1.0, "0.5": 1.0, "pow": 1.0, "exp": 1.0, "-": 1.0, "min": 1.0}
        return search(weights=weights, max_depth=1, batch=-(-52 // rounds))


# --- which trees there are ------------------------------------------------------------------------------------------


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
def test_every_tree_comes_once_in_order_of_depth_and_is_counted(symbols: list[str], max_depth: int) -> None:
    """Trees of up to three thousand are made, to the greatest depth at which there are no more."""
    while max_depth > 0 and count_trees(symbols, max_depth) > 3000:
        max_depth -= 1
    trees = list(all_trees(symbols, max_depth))
    assert set(trees) == every_tree(symbols, max_depth)
    assert len(set(trees)) == len(trees) == count_trees(symbols, max_depth)
    depths = [tree.depth for tree in trees]
    assert depths == sorted(depths)


def test_no_leaves_no_trees() -> None:
    assert list(all_trees(["log", "+", "pow"], 3)) == []
    assert count_trees(["log", "+", "pow"], 3) == 0


def test_the_papers_trees() -> None:
    """Four leaves; 3*4 + 4*4**2 operators on them; and so on: 80 of depth 1 or less, 25,844 of depth 2 or less."""
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


def test_exponents_are_small_whole_numbers() -> None:
    """And nothing else is; y**2 is there, and (y**2)**3, but not y**y or y**1."""
    trees = set(all_trees(["x", "y", "1", "pow"], 2))
    powers = [node for tree in trees for node in tree.walk() if node.symbol == "pow"]
    assert {node.children[1] for node in powers} == {Expr("2"), Expr("3"), Expr("4")}
    assert {Expr("pow", (Expr("y"), Expr("2"))), parse("pow(y**3, 4)"), parse("x**4")} <= trees
    assert all(parse(str(tree)) == tree for tree in trees)


# --- what is asked --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 7, 32, 74, 1000])
def test_all_that_passes_is_asked_in_batches(batch: int) -> None:
    batches = history(search(batch=batch))
    assert list(itertools.chain.from_iterable(batches)) == list(all_trees(list(FEW), 2))
    assert [len(asked) for asked in batches[:-1]] == [batch] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= batch


@pytest.mark.parametrize("screen", [by_fingerprint, with_both_variables])
def test_each_loss_is_asked_once_by_the_first_of_its_trees(screen: Screen) -> None:
    """So by one of the least depth."""
    weights = {**FEW, "-": 1.0, "/": 1.0}
    first: dict[str, Expr] = {}
    for tree in all_trees(list(weights), 2):
        (mark,) = screen([tree])
        if mark is not None:
            first.setdefault(mark, tree)
    assert 50 < len(first) < count_trees(list(weights), 2) / 2
    assert asked_by(search(screen, weights)) == list(first.values())


def test_outcomes_change_nothing() -> None:
    assert history(search(by_fingerprint)) == history(search(by_fingerprint), failing(Status.DIVERGED, Stage.TRAINING))


def test_the_caller_may_empty_the_last_question_without_ending_the_search() -> None:
    searching = search(batch=74)
    searching.ask().clear()
    assert not searching.done
    searching.tell([])
    assert searching.done


def test_what_is_the_same_is_found_among_thousands_of_trees() -> None:
    """More than are screened at once: here trees of as many nodes count as the same loss."""
    weights = dict.fromkeys([*FEW, "1", "+", "-", "sqrt"], 1.0)
    assert count_trees(list(weights), 2) == 3_963
    asked = asked_by(search(lambda trees: [str(tree.nodes) for tree in trees], weights))
    assert sorted(tree.nodes for tree in asked) == [1, 2, 3, 4, 5, 6, 7]


def test_if_nothing_passes_there_is_nothing_to_ask() -> None:
    assert search(lambda expressions: [None] * len(expressions)).done


def test_symbols_without_a_weight_are_not_used() -> None:
    weights = {**FEW, "log": 0.0, "-": 0.0, "sqrt": 0.5}
    assert enumerable(EnumerationConfig(), weights) == ["x", "y", "*", "sqrt"]
    asked = asked_by(search(weights=weights))
    assert asked == list(all_trees(["x", "y", "*", "sqrt"], 2))


@pytest.mark.parametrize("weight", [0.01, 1.0, 50.0])
def test_the_size_of_a_weight_does_not_matter(weight: float) -> None:
    assert asked_by(search(weights=dict.fromkeys(FEW, weight))) == asked_by(search())


def test_too_many_trees_are_refused_before_any_is_made() -> None:
    """With their number, and what to do about it, which helps."""

    def never(expressions: Sequence[Expr]) -> list[str | None]:
        raise AssertionError("nothing is to be screened")

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


class Untrained:
    """In place of a training, which an enumeration does not need to know what it will ask."""

    def __init__(self, counts: FunnelCounts) -> None:
        self.counts = counts

    def evaluate(self, jobs: Sequence[Job], on_outcomes: OnOutcomes = unheard) -> list[Outcome]:
        raise AssertionError("nothing is to be trained")


def test_the_papers_operators_have_64_losses_of_depth_2_that_could_classify_digits() -> None:
    """With the whole funnel as the screen; the paper's loss is among them, and the one it is compared with."""
    funnel = Funnel(digits(), SHORT, FunnelConfig(derivative=True, descent=True), Untrained)
    asked = asked_by(search(funnel.screen, PAPER_WEIGHTS))
    marks = {fingerprint(expression) for expression in asked}
    assert len(asked) == len(marks) == 64
    assert {fingerprint(baikal), fingerprint(cross_entropy)} <= marks
    assert funnel.counts[Stage.STRUCTURE].candidates == 25_844
    assert funnel.counts[Stage.STRUCTURE].rejected == 25_844 - 9_496
