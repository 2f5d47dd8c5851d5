"""Properties of crossover and mutation that hold for all trees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from glo.expr import MAX_DEPTH, MAX_NODES, OPERATORS, VARIABLES, Expr, constant, parse
from glo.search import PAPER_WEIGHTS, Elements, GeneticConfig, crossover, mutate
from strategies import any_constants, expressions, moderate_constants

ALL_WEIGHTS: dict[str, float] = dict(PAPER_WEIGHTS) | dict.fromkeys(OPERATORS, 1.0) | {"0.5": 1.0, "-3": 1.0}
NOTHING = {"integer_step": 0.0, "replacement": 0.0, "shrink": 0.0, "grow": 0.0}
OFTEN = GeneticConfig.model_validate(
    {"integer_step": 0.5, "replacement": 0.5, "shrink": 0.1, "grow": 0.3, "weights": ALL_WEIGHTS}
)
seeds = st.integers(0, 2**32)
trees = expressions(moderate_constants(), max_leaves=8)


def assert_sound(expr: Expr) -> None:
    """Assert that an expression is legal, with constants as exponents, and can be parsed from its text."""
    for node in expr.walk():
        assert len(node.children) == (OPERATORS[node.symbol].arity if node.symbol in OPERATORS else 0)
        if node.symbol in OPERATORS:
            assert all(node.children[position].is_constant for position in OPERATORS[node.symbol].constant_arguments)
    if expr.nodes <= MAX_NODES and expr.depth <= MAX_DEPTH:
        assert parse(str(expr)) == expr


def nodes(*parents: Expr) -> Counter[str]:
    return Counter(node.symbol for parent in parents for node in parent.walk())


def subtrees(expr: Expr) -> set[Expr]:
    return set(expr.walk())


@given(trees, trees, seeds)
def test_children_of_a_crossover_have_the_nodes_of_both_parents(mother: Expr, father: Expr, seed: int) -> None:
    assert nodes(*crossover(mother, father, np.random.default_rng(seed))) == nodes(mother, father)


@given(trees, trees, seeds)
def test_children_of_a_crossover_are_sound(mother: Expr, father: Expr, seed: int) -> None:
    for child in crossover(mother, father, np.random.default_rng(seed)):
        assert_sound(child)


@given(trees, trees, seeds)
def test_crossover_exchanges_one_subtree_of_each_parent(mother: Expr, father: Expr, seed: int) -> None:
    """One child is the mother with a subtree of the father in place of one of hers; the other is the reverse."""
    daughter, son = crossover(mother, father, np.random.default_rng(seed))
    assert any(
        daughter in replacements(mother, own, other) and son in replacements(father, other, own)
        for own in subtrees(mother)
        for other in subtrees(father)
    )


def replacements(tree: Expr, out: Expr, into: Expr) -> Iterable[Expr]:
    """The tree with one occurrence of a subtree replaced, for each occurrence."""
    if tree == out:
        yield into
    for position, child in enumerate(tree.children):
        for new in replacements(child, out, into):
            yield Expr(tree.symbol, (*tree.children[:position], new, *tree.children[position + 1 :]))


@given(trees, seeds)
@example(parse("pow(x, 2)*y"), 3)
def test_mutants_are_sound(expr: Expr, seed: int) -> None:
    rng, elements = np.random.default_rng(seed), Elements(ALL_WEIGHTS)
    for _ in range(5):  # mutants of mutants: the next mutation must keep a new power legal too
        expr = mutate(expr, OFTEN, elements, rng)
        assert_sound(expr)


@given(any_constants(), seeds)
@example(constant(2**53), 0)
@example(constant(2**53), 1)
@example(constant(2**53), 2)
@example(constant(-(2**53)), 0)
@example(constant(-(2**53)), 1)
@example(constant(-(2**53)), 2)
@example(constant(-0.0), 0)
def test_every_number_of_the_language_can_be_mutated(number: Expr, seed: int) -> None:
    """Including the largest integers, which must not become larger."""
    config = GeneticConfig.model_validate(NOTHING | {"integer_step": 1.0})
    assert_sound(mutate(number, config, Elements(PAPER_WEIGHTS), np.random.default_rng(seed)))


@given(trees, seeds)
def test_mutation_with_probability_0_changes_nothing(expr: Expr, seed: int) -> None:
    config = GeneticConfig.model_validate(NOTHING | {"weights": ALL_WEIGHTS})
    assert mutate(expr, config, Elements(ALL_WEIGHTS), np.random.default_rng(seed)) == expr


@given(expressions(st.sampled_from([Expr("1"), Expr("-1")]), operators=PAPER_WEIGHTS.keys() & OPERATORS.keys()), seeds)
def test_mutants_with_the_papers_weights_have_only_its_symbols_and_integers(expr: Expr, seed: int) -> None:
    config = GeneticConfig(integer_step=0.5, replacement=0.5, grow=0.5)
    mutant = mutate(expr, config, Elements(config.weights), np.random.default_rng(seed))
    for node in mutant.walk():
        assert node.symbol in PAPER_WEIGHTS or node.is_integer


@given(trees, seeds)
def test_replacement_and_integer_steps_keep_the_shape(expr: Expr, seed: int) -> None:
    config = GeneticConfig.model_validate(NOTHING | {"integer_step": 1.0, "replacement": 1.0, "weights": ALL_WEIGHTS})
    mutant = mutate(expr, config, Elements(ALL_WEIGHTS), np.random.default_rng(seed))
    assert shape(mutant) == shape(expr)


def shape(expr: Expr) -> tuple[object, ...]:
    return tuple(shape(child) for child in expr.children)


@given(trees, seeds)
def test_shrink_never_adds_nodes_and_grow_never_removes_any(expr: Expr, seed: int) -> None:
    elements = Elements(ALL_WEIGHTS)
    for name, sign in (("shrink", -1), ("grow", 1)):
        config = GeneticConfig.model_validate(NOTHING | {name: 0.5, "weights": ALL_WEIGHTS})
        mutant = mutate(expr, config, elements, np.random.default_rng(seed))
        assert sign * (mutant.nodes - expr.nodes) >= 0


def test_every_weighted_operator_appears_in_random_trees_and_in_mutants() -> None:
    elements, rng = Elements(ALL_WEIGHTS), np.random.default_rng(40)
    random = {node.symbol for _ in range(500) for node in elements.tree(rng, 2).walk()}
    assert random >= set(OPERATORS)
    start = parse("log(x) + y")
    mutants = {node.symbol for _ in range(2_000) for node in mutate(start, OFTEN, elements, rng).walk()}
    assert mutants >= set(OPERATORS) - {"pow"} | set(VARIABLES)


def test_power_replaces_an_operator_only_if_the_exponent_is_a_number() -> None:
    """x*y never becomes pow(x, y), but x*3 may become pow(x, 3)."""
    weights = {"x": 1.0, "y": 1.0, "pow": 1.0}
    config = GeneticConfig.model_validate(NOTHING | {"replacement": 0.5, "weights": weights})
    rng, elements = np.random.default_rng(41), Elements(weights)
    found = {str(mutate(parse("x*y + (x*3)*y"), config, elements, rng)) for _ in range(300)}
    assert any("pow(x, 3)" in text for text in found)
    assert not any("pow(x, y)" in text or "pow(x, x)" in text for text in found)


def test_node_is_not_replaced_if_no_symbol_of_its_arity_has_a_weight() -> None:
    weights = {"x": 1.0, "y": 1.0, "log": 1.0}
    config = GeneticConfig.model_validate(NOTHING | {"replacement": 1.0, "weights": weights})
    mutant = mutate(parse("1*2"), config, Elements(weights), np.random.default_rng(42))
    assert mutant.symbol == "*"
