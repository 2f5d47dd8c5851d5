"""What everything `Asynchronous` must do.  A test class inherits from `AsynchronousContract` and gives `make`.

The task and the losses are real; trainings are short.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from contracts.evaluator_contract import BAD, GOOD, SHORT, digits, jobs
from glo.evaluation import Asynchronous, LocalEvaluator
from glo.records import FunnelCounts, Outcome, Stage, new_counts


@functools.cache
def alone() -> dict[str, Outcome]:
    """By text, what comes of each candidate one by one; judged once for all tests."""
    evaluator = LocalEvaluator(digits(), SHORT)
    return {text: evaluator.evaluate(jobs(text))[0] for text in (*GOOD, *BAD)}


def all_of(asynchronous: Asynchronous, count: int) -> dict[int, list[Outcome]]:
    """What comes of so many candidates, by number."""
    found: dict[int, list[Outcome]] = {}
    for _ in range(count):
        number, outcomes = asynchronous.next()
        assert number not in found
        found[number] = outcomes
    return found


class AsynchronousContract:
    """Tests of an `Asynchronous`; its subclass makes one."""

    def make(self, slots: int, counts: FunnelCounts) -> Asynchronous:
        """A new one that trains on digits with `SHORT`; one that has fewer slots may ignore `slots`."""
        raise NotImplementedError

    @contextmanager
    def made(self, slots: int = 2, counts: FunnelCounts | None = None) -> Iterator[Asynchronous]:
        with closing(self.make(slots, new_counts() if counts is None else counts)) as made:
            yield made

    @pytest.mark.parametrize("slots", [1, 2, 20])
    def test_each_candidate_comes_back_once_with_its_outcomes(self, slots: int) -> None:
        texts = [*GOOD, *BAD]
        with self.made(slots) as made:
            for number, text in enumerate(texts):
                made.submit(100 + number, jobs(text))
            found = all_of(made, len(texts))
        assert sorted(found) == [100 + number for number in range(len(texts))]
        for number, text in enumerate(texts):
            (outcome,) = found[100 + number]
            assert (outcome.expression, outcome.fingerprint) == (alone()[text].expression, alone()[text].fingerprint)
            if text in GOOD:
                assert outcome.fitness == pytest.approx(alone()[text].fitness, abs=0.02)
            else:
                assert outcome.fitness < 0.3

    def test_jobs_of_a_candidate_are_in_order(self) -> None:
        seeds = [3, 1, 2]
        of_seeds = [job for seed in seeds for job in jobs("x*log(y)", seed=seed)]
        expected = LocalEvaluator(digits(), SHORT).evaluate(of_seeds)
        with self.made() as made:
            made.submit(7, of_seeds)
            number, outcomes = made.next()
        assert number == 7
        assert [outcome.fitness for outcome in outcomes] == [outcome.fitness for outcome in expected]

    def test_candidates_may_be_submitted_when_others_have_come_back(self) -> None:
        """As a steady-state search does it."""
        order: list[int] = []
        with self.made() as made:
            assert made.slots >= 1
            submitted = 0
            while len(order) < 6:
                while submitted < 6 and submitted - len(order) < made.slots:
                    made.submit(submitted, jobs(GOOD[submitted % len(GOOD)]))
                    submitted += 1
                order.append(made.next()[0])
        assert sorted(order) == list(range(6))

    def test_the_same_candidate_may_be_under_way_twice(self) -> None:
        with self.made() as made:
            made.submit(0, jobs("x*log(y)"))
            made.submit(1, jobs("x*log(y)"))
            found = all_of(made, 2)
        assert found[0] == found[1]

    def test_trainings_are_counted(self) -> None:
        counts = new_counts()
        with self.made(counts=counts) as made:
            for number, text in enumerate(GOOD):
                made.submit(number, jobs(text))
            all_of(made, len(GOOD))
        assert counts[Stage.EARLY_STOP].candidates == counts[Stage.TRAINING].candidates == len(GOOD)
        assert counts[Stage.TRAINING].seconds > 0

    def test_it_can_be_closed_with_candidates_under_way(self) -> None:
        with self.made() as made:
            for number in range(4):
                made.submit(number, jobs("x*log(y)"))
