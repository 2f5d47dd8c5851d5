"""What every search must do, whatever it searches by.  A test class inherits from `SearchContract` and gives `make`."""

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
MOST_ROUNDS = 1_000
Judge = Callable[[Expr], Outcome]


def fake_fitness(expression: Expr) -> float:
    """A number in [0, 1) that only depends on the expression."""
    return int.from_bytes(hashlib.blake2b(str(expression).encode(), digest_size=4).digest(), "big") / 2**32


def trained(expression: Expr) -> Outcome:
    return Outcome(str(expression), "", Status.TRAINED, Stage.TRAINING, "", fake_fitness(expression), 0.1)


def failing(status: Status, stage: Stage) -> Judge:
    """Every candidate ends like this, with fitness 0."""
    return lambda expression: Outcome(str(expression), "", status, stage, "for the test")


def mixed(expression: Expr) -> Outcome:
    """Each status in turn, by the expression."""
    status = list(Status)[int(fake_fitness(expression) * 1e6) % len(Status)]
    return trained(expression) if status is Status.TRAINED else failing(status, Stage.TRAINING)(expression)


def history(search: Search, judge: Judge = trained) -> list[list[Expr]]:
    """Everything that a search asks until it is done."""
    asked: list[list[Expr]] = []
    while not search.done:
        assert len(asked) < MOST_ROUNDS, "the search does not end"
        asked.append(search.ask())
        search.tell([judge(expression) for expression in asked[-1]])
    return asked


class SearchContract:
    """Tests of a `Search`; its subclass makes one."""

    def make(self, seed: int, rounds: int) -> Search:
        """A new search that asks at least once and at most `rounds` times; equal arguments, equal search."""
        raise NotImplementedError

    @pytest.mark.parametrize("judge", [trained, mixed], ids=["trained", "mixed"])
    def test_two_searches_told_the_same_ask_the_same(self, judge: Judge) -> None:
        assert history(self.make(3, ROUNDS), judge) == history(self.make(3, ROUNDS), judge)

    def test_two_searches_taking_turns_do_not_disturb_each_other(self) -> None:
        one, other = self.make(3, ROUNDS), self.make(4, ROUNDS)
        alone, asked = history(self.make(3, ROUNDS)), []
        while not one.done:
            asked.append(one.ask())
            if not other.done:
                other.tell([trained(expression) for expression in other.ask()])
            one.tell([trained(expression) for expression in asked[-1]])
        assert asked == alone

    def test_what_is_asked_can_be_replayed_from_recorded_outcomes(self) -> None:
        """Texts and outcomes are all that a store keeps; a search that is told them asks as the first one did."""
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
    def test_it_ends_after_the_rounds_and_not_before(self, rounds: int) -> None:
        search = self.make(7, rounds)
        assert not search.done
        assert 1 <= len(history(search)) <= rounds
        assert search.done

    def test_it_asks_expressions_within_the_limits_of_the_language(self) -> None:
        for asked in history(self.make(8, 6)):
            assert asked
            for expression in asked:
                assert expression.nodes <= MAX_NODES
                assert expression.depth <= MAX_DEPTH
                assert parse(str(expression)) == expression
                for node in expression.walk():
                    assert len(node.children) == (OPERATORS[node.symbol].arity if node.symbol in OPERATORS else 0)

    @pytest.mark.parametrize(
        "judge",
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
    def test_it_goes_on_whatever_it_is_told(self, judge: Judge) -> None:
        asked = history(self.make(9, ROUNDS), judge)
        assert len(asked) == len(history(self.make(9, ROUNDS)))

    def test_global_random_state_is_neither_used_nor_changed(self) -> None:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002 - the global state is what this is about
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

    def test_the_caller_may_change_the_list_that_was_asked(self) -> None:
        """The answer is the caller's own: emptying it does not reach into the search."""
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
    """Tests of a `Search` that is random and learns from what it is told."""

    def test_another_seed_asks_something_else(self) -> None:
        asked = [history(self.make(seed, ROUNDS)) for seed in (1, 2, 3)]
        assert asked[0] != asked[1] != asked[2] != asked[0]
        assert asked[0][0] != asked[1][0]

    def test_what_is_told_matters(self) -> None:
        """Else it would be no search: from the second round on, other fitnesses lead to other questions."""
        inverse: Judge = lambda e: Outcome(str(e), "", Status.TRAINED, Stage.TRAINING, "", 1 - fake_fitness(e), 0.1)  # noqa: E731
        one, other = history(self.make(6, ROUNDS)), history(self.make(6, ROUNDS), inverse)
        assert one[0] == other[0]
        assert one[1:] != other[1:]
