"""The genetic algorithm: the contract of every search for several configurations; elites, sizes and screens."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from glo.expr import Expr, fingerprint
from glo.records import Outcome, Stage, Status
from glo.search import GeneticConfig, GeneticSearch
from glo.testing.search import AdaptiveSearchContract, fake_fitness, history, trained


def usable(expressions: Sequence[Expr]) -> list[str | None]:
    """A simple screen, which passes expressions with both variables and without a square root."""
    return [
        fingerprint(expression) if expression.uses("x") and expression.uses("y") and not expression.uses("sqrt") else None
        for expression in expressions
    ]


def search(seed: int = 0, generations: int = 4, **options: Any) -> GeneticSearch:
    return GeneticSearch(GeneticConfig.model_validate(options), seed, generations, usable)


class TestPaperForm(AdaptiveSearchContract):
    """The paper's options: 80 candidates, 6 elites, roulette."""

    def make(self, seed: int, rounds: int) -> GeneticSearch:
        return GeneticSearch(GeneticConfig(), seed, rounds)


class TestViable(AdaptiveSearchContract):
    """With a screen, and so many mutations that later generations are new as well."""

    def make(self, seed: int, rounds: int) -> GeneticSearch:
        return search(seed, rounds, viable=True, population=12, elites=2, replacement=0.2, attempts=5)


class TestTournament(AdaptiveSearchContract):
    """Selection by tournament instead of roulette."""

    def make(self, seed: int, rounds: int) -> GeneticSearch:
        return search(seed, rounds, selection="tournament", tournament_size=4, population=20)


class TestOddWithoutElites(AdaptiveSearchContract):
    """An odd number of children from pairs of parents, without elites."""

    def make(self, seed: int, rounds: int) -> GeneticSearch:
        return search(seed, rounds, population=21, elites=0)


class TestAllOperators(AdaptiveSearchContract):
    """With powers, whose exponents must stay numbers, and with a real number as a leaf."""

    def make(self, seed: int, rounds: int) -> GeneticSearch:
        weights = GeneticConfig().weights | dict.fromkeys(["abs", "exp", "tanh", "neg", "min", "max", "pow", "0.5"], 2.0)
        return search(seed, rounds, population=40, weights=weights, replacement=0.3, grow=0.2, initial_depth=3)


class TestSmallPopulationOfLargeTrees(AdaptiveSearchContract):
    """Three trees, in which half of all leaves grow, up to a limit."""

    def make(self, seed: int, rounds: int) -> GeneticSearch:
        return search(seed, rounds, population=3, elites=0, initial_depth=4, grow=0.5, max_nodes=200)


FORMS: list[dict[str, Any]] = [
    {},
    {"viable": True, "population": 15, "attempts": 3},
    {"selection": "tournament", "population": 21},
    {"elites": 0, "population": 21},
    {"elites": 5, "population": 6},
    {"elites": 1, "population": 1},
]


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_every_generation_has_the_same_size(options: dict[str, Any]) -> None:
    asked = history(search(generations=5, **options))
    assert [len(generation) for generation in asked] == [options.get("population", 80)] * 5


def test_paper_form_has_80_trees_and_6_elites() -> None:
    """With the default options, the six fittest trees come first in the next generation, unchanged and in order."""
    asked = history(GeneticSearch(GeneticConfig(), seed=2, generations=8))
    for before, after in itertools.pairwise(asked):
        assert (len(before), len(after)) == (80, 80)
        assert after[:6] == sorted(before, key=fake_fitness, reverse=True)[:6]


@pytest.mark.parametrize("options", [*FORMS[:3], FORMS[4]], ids=str)
def test_elites_are_the_best_trees_unchanged(options: dict[str, Any]) -> None:
    """Even if every pair is crossed and every node is mutated."""
    wild: dict[str, Any] = {"crossover": 1.0, "replacement": 1.0, "integer_step": 1.0, "grow": 0.5}
    asked = history(search(generations=5, **wild | options))
    elites = options.get("elites", 6)
    for before, after in itertools.pairwise(asked):
        best = sorted(map(fake_fitness, before), reverse=True)[:elites]
        assert [fake_fitness(tree) for tree in after[:elites]] == best
        assert set(after[:elites]) <= set(before)


@pytest.mark.parametrize("options", [*FORMS[:3], FORMS[4], FORMS[5]], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_with_elites_the_best_fitness_never_falls(options: dict[str, Any], seed: int) -> None:
    best = [max(map(fake_fitness, generation)) for generation in history(search(seed, 8, **options))]
    assert best == sorted(best)


def test_elites_with_negative_and_equal_fitness() -> None:
    """The fitness of a regression may be negative; ties are broken by the order of the generation."""
    genetic = search(population=5, elites=3)
    first = genetic.ask()
    fitnesses = [-2.0, -1.0, -3.0, -1.0, -0.5]
    genetic.tell([Outcome(str(e), "", Status.TRAINED, Stage.TRAINING, "", f) for e, f in zip(first, fitnesses, strict=True)])
    assert genetic.ask()[:3] == [first[4], first[1], first[3]]


def test_search_improves_fitness() -> None:
    """The fitness is the number of symbols that a tree uses, out of seven."""

    def symbols_used(expression: Expr) -> Outcome:
        fitness = sum(expression.uses(symbol) for symbol in ("x", "y", "log", "/", "square", "sqrt", "-"))
        return Outcome(str(expression), "", Status.TRAINED, Stage.TRAINING, "", float(fitness))

    asked = history(GeneticSearch(GeneticConfig(), seed=1, generations=20), symbols_used)
    mean = [sum(symbols_used(e).fitness for e in generation) / len(generation) for generation in asked]
    assert mean[-1] > mean[0] + 2


@pytest.mark.parametrize("max_nodes", [7, 15])
def test_no_tree_has_more_than_the_allowed_nodes(max_nodes: int) -> None:
    """Trees that grow all the time reach the limit, and never exceed it."""
    asked = history(search(generations=10, population=40, grow=0.5, shrink=0.0, max_nodes=max_nodes, elites=0))
    assert max(tree.nodes for generation in asked for tree in generation) == max_nodes


@pytest.mark.parametrize("max_depth", [2, 4])
def test_no_tree_is_deeper_than_allowed(max_depth: int) -> None:
    asked = history(search(generations=10, population=40, grow=0.5, shrink=0.0, max_depth=max_depth, elites=0))
    assert max(tree.depth for generation in asked for tree in generation) == max_depth


@pytest.mark.parametrize("limit", [{"max_nodes": 4}, {"max_depth": 2, "initial_depth": 5}], ids=str)
@pytest.mark.parametrize("viable", [False, True])
def test_random_trees_are_within_the_allowed_size_too(limit: dict[str, int], viable: bool) -> None:
    asked = history(search(generations=3, population=40, viable=viable, **limit))
    assert max(tree.nodes for generation in asked for tree in generation) <= limit.get("max_nodes", 1_000)
    assert max(tree.depth for generation in asked for tree in generation) <= limit.get("max_depth", 100)


def test_allowed_size_holds_even_if_no_allowed_tree_is_viable() -> None:
    """The search draws deeper trees because none is viable, but none that is larger than allowed."""

    def large(expressions: Sequence[Expr]) -> list[str | None]:
        return [fingerprint(e) if e.nodes > 9 else None for e in expressions]

    config = GeneticConfig(population=5, elites=1, viable=True, max_nodes=9, attempts=15)
    asked = history(GeneticSearch(config, seed=0, generations=2, screen=large))
    assert max(tree.nodes for generation in asked for tree in generation) <= 9


def test_viable_first_generation_passes_the_screen_with_distinct_fingerprints() -> None:
    (first,) = history(search(generations=1, viable=True, population=60))
    fingerprints = usable(first)
    assert None not in fingerprints
    assert len(set(fingerprints)) == 60


def test_first_generation_is_filled_with_children_if_too_few_random_trees_are_viable() -> None:
    """Twelve batches of random trees contain only 106 viable ones."""
    (first,) = history(search(generations=1, viable=True, population=400, attempts=12))
    fingerprints = usable(first)
    assert None not in fingerprints
    assert len(set(fingerprints)) == 400


def test_without_viable_the_screen_is_not_used() -> None:
    """Most trees of the first generation lack a variable, with or without a screen."""
    with_screen, without = search(seed=1), GeneticSearch(GeneticConfig(), seed=1, generations=4)
    assert history(with_screen) == history(without)
    assert usable(search(seed=1).ask()).count(None) > 40


def test_viable_children_are_new_and_pass_the_screen() -> None:
    """With enough attempts, no child is the same loss as an earlier candidate."""
    asked = history(search(generations=4, viable=True, population=20, elites=3, replacement=0.3, grow=0.2, max_nodes=15))
    seen = set(usable(asked[0]))
    for generation in asked[1:]:
        children = usable(generation[3:])
        assert None not in children
        assert not seen & set(children)
        assert len(set(children)) == 17
        seen |= set(children)


@pytest.mark.parametrize("generations", [1, 3])
def test_screen_that_passes_no_tree_does_not_stop_the_search(generations: int) -> None:
    """After the attempts, the search asks for trees that do not pass the screen."""
    config = GeneticConfig(viable=True, population=10, attempts=2)
    hopeless = GeneticSearch(config, 0, generations, screen=lambda expressions: [None] * len(expressions))
    assert [len(generation) for generation in history(hopeless)] == [10] * generations


def test_search_is_done_after_the_last_outcomes() -> None:
    """Not as soon as the last generation is asked for."""
    genetic = search(generations=1)
    asked = genetic.ask()
    assert not genetic.done
    genetic.tell([trained(tree) for tree in asked])
    assert genetic.done
