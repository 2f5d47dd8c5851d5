"""The steady-state search: the contract of every search, with `ask` and `tell` in turns, and outcomes in any order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glo.errors import ConfigError
from glo.expr import Expr, fingerprint, parse
from glo.records import Outcome, Stage, Status
from glo.search import GeneticConfig, GeneticSearch, SteadyStateSearch
from glo.testing.search import AdaptiveSearchContract, fake_fitness, history, mixed, trained

COPIES: dict[str, Any] = dict.fromkeys(("crossover", "integer_step", "replacement", "shrink", "grow"), 0.0)


def usable(expressions: Sequence[Expr]) -> list[str | None]:
    """A simple screen, which passes expressions with both variables and without a square root."""
    return [
        fingerprint(expression) if expression.uses("x") and expression.uses("y") and not expression.uses("sqrt") else None
        for expression in expressions
    ]


def search(seed: int = 0, generations: int = 4, **options: Any) -> SteadyStateSearch:
    config = GeneticConfig.model_validate(options)
    return SteadyStateSearch(config, seed, generations * config.population, usable)


def in_rounds(seed: int, rounds: int, **options: Any) -> SteadyStateSearch:
    """A search with as many candidates as rounds: each round has one."""
    population = 2 if rounds % 2 == 0 else 1
    return search(seed, rounds // population, population=population, **options)


class TestWithoutScreen(AdaptiveSearchContract):
    """The paper's options, with more mutations because there are few candidates."""

    def make(self, seed: int, rounds: int) -> SteadyStateSearch:
        return in_rounds(seed, rounds, replacement=0.3, grow=0.3)


class TestViable(AdaptiveSearchContract):
    """With a screen, and so many mutations that there are always new candidates."""

    def make(self, seed: int, rounds: int) -> SteadyStateSearch:
        return in_rounds(seed, rounds, viable=True, replacement=0.2, attempts=5)


class TestTournament(AdaptiveSearchContract):
    """Selection by tournament instead of roulette."""

    def make(self, seed: int, rounds: int) -> SteadyStateSearch:
        return in_rounds(seed, rounds, selection="tournament", tournament_size=2, replacement=0.2, grow=0.2)


# A step of a run with several slots: asking for a candidate while a slot is free, or the arrival of a pending outcome.
Step = tuple[str, str]  # ("ask" or "tell", text)


def run(steady: SteadyStateSearch, choices: Sequence[int], slots: Sequence[int]) -> list[Step]:
    """Run a search to its end; return its steps.

    Args:
        choices: which of the pending candidates arrives, by the number of the arrival.
        slots: how many candidates are pending, by the number of the arrival.
    """
    steps: list[Step] = []
    pending: list[Expr] = []
    arrival = 0
    while not steady.done:
        while not steady.exhausted and len(pending) < slots[arrival % len(slots)]:
            (expression,) = steady.ask()
            pending.append(expression)
            steps.append(("ask", str(expression)))
        expression = pending.pop(choices[arrival % len(choices)] % len(pending))
        steps.append(("tell", str(expression)))
        steady.tell([mixed(expression)])
        arrival += 1
    return steps


def replayed(steady: SteadyStateSearch, steps: Sequence[Step]) -> list[Step]:
    """Replay steps with a new search; return the steps that it makes."""
    again: list[Step] = []
    for kind, text in steps:
        if kind == "ask":
            again.append(("ask", str(steady.ask()[0])))
        else:
            steady.tell([mixed(parse(text))])
            again.append((kind, text))
    return again


@settings(max_examples=60)
@given(
    choices=st.lists(st.integers(0, 50), min_size=1, max_size=30),
    slots=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    viable=st.booleans(),
    seed=st.integers(0, 3),
)
def test_any_order_of_arrival_can_be_replayed(choices: list[int], slots: list[int], viable: bool, seed: int) -> None:
    """For any number of pending candidates, even more than the population, and if that number changes."""
    options: dict[str, Any] = {"viable": viable, "population": 5, "replacement": 0.2, "attempts": 5}
    steps = run(search(seed, 3, **options), choices, slots)
    assert [kind for kind, _ in steps].count("ask") == [kind for kind, _ in steps].count("tell") == 15
    again = search(seed, 3, **options)
    assert replayed(again, steps) == steps
    assert again.done


@settings(max_examples=30)
@given(cut=st.integers(0, 29), slots=st.integers(1, 6), later=st.integers(1, 6))
def test_run_can_go_on_with_another_number_of_slots(cut: int, slots: int, later: int) -> None:
    """A run that was killed after any step is replayed up to its last arrival, and then goes on to its end."""
    steps = run(search(2, 3, population=5), [3, 1, 4, 1, 5], [slots])
    kept = steps[:cut]
    while kept and kept[-1][0] == "ask":  # candidates asked for after the last arrival are not recorded
        kept.pop()
    again = search(2, 3, population=5)
    assert replayed(again, kept) == kept
    told = [text for kind, text in kept if kind == "tell"]
    asked = [text for kind, text in kept if kind == "ask"]
    pending = [*asked]
    for text in told:
        pending.remove(text)
    while not again.done:
        while not again.exhausted and len(pending) < later:
            pending.append(str(again.ask()[0]))
            asked.append(pending[-1])
        again.tell([mixed(parse(pending.pop(0)))])
    assert len(asked) == 15


def test_order_of_arrival_matters() -> None:
    """This is why the order is recorded."""
    options: dict[str, Any] = {"population": 6, "replacement": 0.2}
    differ = 0
    for seed in range(4):  # with a single seed, the same parents may be chosen from both populations
        steps = [run(search(seed, 6, **options), choices, [3]) for choices in ([0], [2])]
        first, last = ([text for kind, text in taken if kind == "ask"] for taken in steps)
        assert first[:6] == last[:6]
        differ += first != last
    assert differ >= 2


@pytest.mark.parametrize("viable", [False, True])
def test_search_starts_with_the_first_generation_of_the_generational_search(viable: bool) -> None:
    config = GeneticConfig(population=20, viable=viable)
    first = GeneticSearch(config, 4, 1, usable).ask()
    steady = SteadyStateSearch(config, 4, 2 * config.population, usable)
    assert [steady.ask()[0] for _ in range(20)] == first


@pytest.mark.parametrize(("generations", "population"), [(1, 1), (3, 7), (10, 4)])
def test_number_of_candidates_is_generations_times_population(generations: int, population: int) -> None:
    steady = search(0, generations, population=population)
    asked: list[Expr] = []
    while not steady.exhausted:
        asked += steady.ask()
    assert len(asked) == generations * population
    for number, expression in enumerate(asked):
        assert not steady.done, number
        steady.tell([trained(expression)])
    assert steady.done


def test_best_candidate_always_stays_a_parent() -> None:
    """Children are copies, and tournaments are so large that the best wins; so each child is the best candidate so far."""
    steady = search(0, 12, population=10, selection="tournament", tournament_size=200, **COPIES)
    best: Expr | None = None
    for number in range(120):
        (expression,) = steady.ask()
        if number >= 10:
            assert expression == best
        steady.tell([trained(expression)])
        best = max(best or expression, expression, key=fake_fitness)


def test_worst_member_leaves_and_among_equals_the_oldest() -> None:
    steady = search(0, 100, population=3, selection="roulette", **COPIES)
    told = [("x*y", 0.5), ("x - y", 0.2), ("x + y", 0.2), ("x/y", 0.3), ("y/x", 0.1), ("x*x*y", 0.2)]
    for _ in range(3):
        steady.ask()
    for text, fitness in told:
        steady.tell([Outcome(text, "", Status.TRAINED, Stage.TRAINING, "", fitness)])
    parents = {str(steady.ask()[0]) for _ in range(200)}
    # x/y replaced x - y; y/x was the worst and left at once; x*x*y replaced x + y, which is as good but older.
    assert parents == {"x*y", "x/y", "x*x*y"}


def test_population_has_no_duplicates() -> None:
    """A good expression that is asked for many times does not crowd out the others."""
    steady = search(0, 100, population=3, **COPIES)
    for _ in range(3):
        steady.ask()
    for text, fitness in [("x*y", 0.5), ("x/y", 0.1), ("x - y", 0.1), *[("x*y", 0.5)] * 10]:
        steady.tell([Outcome(text, "", Status.TRAINED, Stage.TRAINING, "", fitness)])
    assert {str(steady.ask()[0]) for _ in range(200)} == {"x*y", "x/y", "x - y"}


def test_viable_candidates_are_new_and_pass_the_screen() -> None:
    asked = [tree for (tree,) in history(search(0, 4, viable=True, population=15, replacement=0.3, grow=0.2, max_nodes=15))]
    fingerprints = usable(asked)
    assert None not in fingerprints
    assert len(set(fingerprints)) == 60


def test_viable_needs_a_screen() -> None:
    with pytest.raises(ConfigError, match="screen"):
        SteadyStateSearch(GeneticConfig(viable=True), 0, 80)


def test_search_improves_fitness() -> None:
    """The fitness is the number of symbols that a tree uses, out of seven."""

    def symbols_used(expression: Expr) -> Outcome:
        fitness = sum(expression.uses(symbol) for symbol in ("x", "y", "log", "/", "square", "sqrt", "-"))
        return Outcome(str(expression), "", Status.TRAINED, Stage.TRAINING, "", float(fitness))

    asked = [tree for (tree,) in history(search(1, 12, population=40, max_nodes=60), symbols_used)]
    fitnesses = [symbols_used(tree).fitness for tree in asked]
    assert sum(fitnesses[-40:]) / 40 > sum(fitnesses[:40]) / 40 + 2
