"""How often each mutation happens: the paper's 5 %, 5 %, 2.5 % and 2.5 % (section III.A), each tested separately.

Each chi-square test fails for a correct generator with one seed in ten thousand; the seeds are fixed.  Among 20,000 mutants,
a rate of 2.5 % instead of 5 % (or the reverse) is 500 mutants too few (or too many), more than 15 standard errors.
"""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from glo.expr import Expr, parse
from glo.search import PAPER_WEIGHTS, Elements, GeneticConfig, mutate
from search.frequencies import assert_drawn_from, normalised

MUTANTS = 20_000
PROBABILITIES = ("integer_step", "replacement", "shrink", "grow")
NOTHING = dict.fromkeys(PROBABILITIES, 0.0)
ELEMENTS = Elements(PAPER_WEIGHTS)
ALL = normalised({"log": 3, "x": 3, "y": 3, "sqrt": 2, "square": 1, "+": 1, "*": 1, "-": 1, "/": 1, "1": 1, "-1": 1})
LEAF = normalised({"x": 3, "y": 3, "1": 1, "-1": 1})
UNARY = normalised({"log": 3, "sqrt": 2, "square": 1})
BINARY = normalised({"+": 1, "*": 1, "-": 1, "/": 1})


def only(mutation: str) -> GeneticConfig:
    """The paper's configuration with only this mutation, at its default probability."""
    return GeneticConfig.model_validate({p: 0.0 for p in PROBABILITIES if p != mutation})


def mutants(text: str, config: GeneticConfig, seed: int, count: int = MUTANTS) -> list[Expr]:
    expr, rng = parse(text), np.random.default_rng(seed)
    return [mutate(expr, config, ELEMENTS, rng) for _ in range(count)]


def moved(old: str, law: dict[str, float], rate: float) -> dict[str, float]:
    """The distribution of a symbol that is replaced by a draw from `law` at this rate, and else stays."""
    return {symbol: rate * p + (1 - rate) * (symbol == old) for symbol, p in (law | {old: law.get(old, 0.0)}).items()}


@pytest.mark.parametrize(("text", "down", "up"), [("1", "0", "2"), ("-1", "-2", "0"), ("0", "-1", "1"), ("41", "40", "42")])
def test_integers_move_by_one_at_5_percent(text: str, down: str, up: str) -> None:
    """5 %, half of it up and half down; 20,000 mutants; false alarm 1e-4."""
    counts = Counter(map(str, mutants(text, only("integer_step"), 1)))
    assert_drawn_from(counts, {text: 0.95, down: 0.025, up: 0.025})


def test_only_integers_move() -> None:
    """At 100 %, x, y and real numbers stay; the exponent of a power moves too."""
    config = GeneticConfig.model_validate(NOTHING | {"integer_step": 1.0})
    counts = Counter(map(str, mutants("pow(x*0.5, 3) + y*1e20", config, 2, 2_000)))
    assert_drawn_from(counts, {"pow(x*0.5, 2) + y*1e+20": 0.5, "pow(x*0.5, 4) + y*1e+20": 0.5})


@pytest.mark.parametrize(("leaf", "seed"), [("x", 3), ("1", 4), ("7", 5)])
def test_leaves_are_replaced_by_weight_at_5_percent(leaf: str, seed: int) -> None:
    """5 % are replaced by a leaf drawn by weight, possibly the same one; 20,000 mutants; false alarm 1e-4."""
    counts = Counter(map(str, mutants(leaf, only("replacement"), seed)))
    assert_drawn_from(counts, moved(leaf, LEAF, 0.05))


def test_operators_are_replaced_by_weight_within_their_arity() -> None:
    """The joint distribution of the two operators of square(1/2), which are independent; false alarm 1e-4."""
    found = Counter((m.symbol, m.children[0].symbol) for m in mutants("square(1/2)", only("replacement"), 6))
    unary, binary = moved("square", UNARY, 0.05), moved("/", BINARY, 0.05)
    # Both are rarely replaced, so these cells are merged: each cell needs 5 expected samples.
    rare = {(u, b) for u, b in itertools.product(unary, binary) if u != "square" and b != "/"}
    law = {(u, b): unary[u] * binary[b] for u, b in itertools.product(unary, binary) if (u, b) not in rare}
    law[("both", "replaced")] = sum(unary[u] * binary[b] for u, b in rare)
    assert_drawn_from(Counter({k: v for k, v in found.items() if k not in rare}) + Counter(
        {("both", "replaced"): sum(found[k] for k in rare)}), law)  # fmt: skip


def test_replaced_operator_keeps_its_children() -> None:
    config = GeneticConfig.model_validate(NOTHING | {"replacement": 1.0, "weights": {"x": 1, "y": 1, "log": 1, "*": 1}})
    elements, rng = Elements(config.weights), np.random.default_rng(7)
    found = {str(mutate(parse("sqrt(3 - 4)"), config, elements, rng)) for _ in range(200)}
    assert found == {"log(x*x)", "log(x*y)", "log(y*x)", "log(y*y)"}


@pytest.mark.parametrize(("text", "seed"), [("2*3", 8), ("log(2)", 9)])
def test_operators_become_a_leaf_at_2_5_percent(text: str, seed: int) -> None:
    """2.5 % become a leaf drawn by weight, without children; 20,000 mutants; false alarm 1e-4."""
    counts = Counter(map(str, mutants(text, only("shrink"), seed)))
    assert_drawn_from(counts, {text: 0.975} | {leaf: 0.025 * p for leaf, p in LEAF.items()})


def test_operators_below_other_operators_become_leaves_too() -> None:
    """The inner and the outer operator of sqrt(log(2)), each at 2.5 %; 20,000 mutants; false alarm 1e-4."""
    counts = Counter(map(str, mutants("sqrt(log(2))", only("shrink"), 10)))
    inner = {f"sqrt({leaf})": 0.975 * 0.025 * p for leaf, p in LEAF.items()}
    outer = {leaf: 0.025 * p for leaf, p in LEAF.items()}
    assert_drawn_from(counts, {"sqrt(log(2))": 0.975**2} | inner | outer)


def test_leaves_grow_into_an_element_at_2_5_percent() -> None:
    """2.5 % become an element drawn by weight from all leaves and operators; 20,000 mutants; false alarm 1e-4."""
    counts = Counter(mutant.symbol for mutant in mutants("7", only("grow"), 11))
    assert_drawn_from(counts, moved("7", ALL, 0.025))


def test_grown_elements_have_leaves_drawn_by_weight() -> None:
    """20,000 elements grown at 100 %, at most 1 deep; false alarm 1e-4."""
    grown = mutants("7", GeneticConfig.model_validate(NOTHING | {"grow": 1.0}), 12)
    assert_drawn_from(Counter(element.symbol for element in grown), ALL)
    assert_drawn_from(Counter(leaf.symbol for element in grown for leaf in element.children), LEAF)
    assert {element.depth for element in grown} == {0, 1}


def test_leaves_grow_independently() -> None:
    """How many of the two leaves of 7/8 grew, in 20,000 mutants; false alarm 1e-4."""
    rate = 0.025
    found = Counter((m.children[0] != Expr("7")) + (m.children[1] != Expr("8")) for m in mutants("7/8", only("grow"), 13))
    assert_drawn_from(found, {0: (1 - rate) ** 2, 1: 2 * rate * (1 - rate), 2: rate**2})


def test_leaves_never_shrink_and_operators_never_grow() -> None:
    """At 100 %, `shrink` does not change leaves, and `grow` does not change operators."""
    assert set(mutants("x", GeneticConfig.model_validate(NOTHING | {"shrink": 1.0}), 14, 500)) == {Expr("x")}
    grown = mutants("log(x)", GeneticConfig.model_validate(NOTHING | {"grow": 1.0}), 15, 500)
    assert {mutant.symbol for mutant in grown} == {"log"}


def test_children_are_mutated_before_their_parents() -> None:
    """If the new leaf of a shrunken operator were mutated again, it would grow, and the tree would be 1 deep."""
    config = GeneticConfig.model_validate(NOTHING | {"shrink": 1.0, "grow": 1.0})
    assert {mutant.depth for mutant in mutants("log(x)", config, 16, 500)} == {0}


def test_there_is_no_mutation_if_all_probabilities_are_0() -> None:
    for text in ("1", "log(y) - x/y", "sqrt(square(-1*x))"):
        assert set(mutants(text, GeneticConfig.model_validate(NOTHING), 17, 500)) == {parse(text)}
