"""The contract of a search.

    class TestMySearch(glo.testing.SearchContract):
        def make(self, seed, rounds):
            return MySearch(seed, generations=rounds)

`AdaptiveSearchContract` adds tests for searches that are random and learn from outcomes.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

from glo.expr import MAX_DEPTH, MAX_NODES, OPERATORS, Expr, parse
from glo.records import Outcome, Stage, Status
from glo.search import Search

ROUNDS = 4
MAX_ROUNDS = 1_000
Evaluate = Callable[[Expr], Outcome]


def fake_fitness(expression: Expr) -> float:
    """A number in [0, 1) that depends on the expression alone."""
    return int.from_bytes(hashlib.blake2b(str(expression).encode(), digest_size=4).digest(), "big") / 2**32


def trained(expression: Expr) -> Outcome:
    """A successful training, with a fake fitness."""
    return Outcome(str(expression), "", Status.TRAINED, Stage.TRAINING, "", fake_fitness(expression), 0.1)


def failing(status: Status, stage: Stage) -> Evaluate:
    """An evaluation in which every candidate ends with this status, and fitness 0."""
    return lambda expression: Outcome(str(expression), "", status, stage, "for the test")


def mixed(expression: Expr) -> Outcome:
    """An outcome of any status, which depends on the expression alone."""
    status = list(Status)[int(fake_fitness(expression) * 1e6) % len(Status)]
    return trained(expression) if status is Status.TRAINED else failing(status, Stage.TRAINING)(expression)


def history(search: Search, evaluate: Evaluate = trained) -> list[list[Expr]]:
    """Run a search to its end; return the expressions of every round."""
    asked: list[list[Expr]] = []
    while not search.done:
        assert len(asked) < MAX_ROUNDS, "the search does not end"
        asked.append(search.ask())
        search.tell([evaluate(expression) for expression in asked[-1]])
    return asked


class SearchContract:
    """Tests of any `Search`; a subclass overrides `make`."""

    def make(self, seed: int, rounds: int) -> Search:
        """Return a new search that asks at least once and at most `rounds` times; equal arguments give equal searches."""
        raise NotImplementedError

    @pytest.mark.parametrize("evaluate", [trained, mixed], ids=["trained", "mixed"])
    def test_two_searches_with_the_same_outcomes_ask_the_same(self, evaluate: Evaluate) -> None:
        assert history(self.make(3, ROUNDS), evaluate) == history(self.make(3, ROUNDS), evaluate)

    def test_two_searches_in_turns_do_not_affect_each_other(self) -> None:
        one, other = self.make(3, ROUNDS), self.make(4, ROUNDS)
        alone, asked = history(self.make(3, ROUNDS)), []
        while not one.done:
            asked.append(one.ask())
            if not other.done:
                other.tell([trained(expression) for expression in other.ask()])
            one.tell([trained(expression) for expression in asked[-1]])
        assert asked == alone

    def test_recorded_outcomes_replay_the_search(self) -> None:
        """A store keeps only texts and outcomes; a search that is told them asks as the first one did."""
        first, recorded = self.make(5, ROUNDS), []
        while not first.done:
            asked = first.ask()
            recorded.append(([str(expression) for expression in asked], [mixed(expression) for expression in asked]))
            first.tell(recorded[-1][1])
        second = self.make(5, ROUNDS)
        for texts, outcomes in recorded:
            assert not second.done
            assert [str(expression) for expression in second.ask()] == texts
            second.tell(outcomes)
        assert second.done

    @pytest.mark.parametrize("rounds", [1, 3])
    def test_search_ends_after_at_most_the_given_rounds(self, rounds: int) -> None:
        search = self.make(7, rounds)
        assert not search.done
        assert 1 <= len(history(search)) <= rounds
        assert search.done

    def test_expressions_are_within_the_limits_of_the_language(self) -> None:
        for asked in history(self.make(8, 6)):
            assert asked
            for expression in asked:
                assert expression.nodes <= MAX_NODES
                assert expression.depth <= MAX_DEPTH
                assert parse(str(expression)) == expression
                for node in expression.walk():
                    assert len(node.children) == (OPERATORS[node.symbol].arity if node.symbol in OPERATORS else 0)

    @pytest.mark.parametrize(
        "evaluate",
        [
            mixed,
            failing(Status.REJECTED, Stage.STRUCTURE),
            failing(Status.REJECTED, Stage.DESCENT),
            failing(Status.DIVERGED, Stage.TRAINING),
            failing(Status.CRASHED, Stage.TRAINING),
            failing(Status.TIMED_OUT, Stage.TRAINING),
            failing(Status.STOPPED, Stage.EARLY_STOP),
        ],
        ids=["mixed", "no structure", "no descent", "diverged", "crashed", "timed out", "stopped"],
    )
    def test_search_continues_after_any_outcomes(self, evaluate: Evaluate) -> None:
        asked = history(self.make(9, ROUNDS), evaluate)
        assert len(asked) == len(history(self.make(9, ROUNDS)))

    def test_global_random_state_is_neither_used_nor_changed(self) -> None:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002 - this test is about the global state
        torch.manual_seed(1)
        before = random.getstate(), str(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
        first = history(self.make(10, ROUNDS))
        assert random.getstate() == before[0]
        assert str(np.random.get_state()) == before[1]  # noqa: NPY002
        assert torch.equal(torch.get_rng_state(), before[2])
        random.seed(2)
        np.random.seed(2)  # noqa: NPY002
        torch.manual_seed(2)
        assert history(self.make(10, ROUNDS)) == first

    def test_caller_may_change_the_lists(self) -> None:
        """The search keeps no reference to the list that it returns, nor to the list of outcomes."""
        search, asked = self.make(11, ROUNDS), []
        while not search.done:
            answer = search.ask()
            asked.append(list(answer))
            outcomes = [trained(expression) for expression in answer]
            answer.clear()
            search.tell(outcomes)
            outcomes.clear()
        assert asked == history(self.make(11, ROUNDS))


class AdaptiveSearchContract(SearchContract):
    """Tests of a `Search` that is random and learns from outcomes."""

    def test_seed_changes_the_expressions(self) -> None:
        asked = [history(self.make(seed, ROUNDS)) for seed in (1, 2, 3)]
        assert asked[0] != asked[1] != asked[2] != asked[0]
        assert asked[0][0] != asked[1][0]

    def test_outcomes_change_the_expressions(self) -> None:
        """From the second round on, other fitnesses lead to other expressions."""

        def inverse(expression: Expr) -> Outcome:
            fitness = 1 - fake_fitness(expression)
            return Outcome(str(expression), "", Status.TRAINED, Stage.TRAINING, "", fitness, 0.1)

        one, other = history(self.make(6, ROUNDS)), history(self.make(6, ROUNDS), inverse)
        assert one[0] == other[0]
        assert one[1:] != other[1:]
