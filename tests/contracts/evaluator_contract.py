"""What every evaluator must do, whatever is behind it.  A test class inherits from `EvaluatorContract` and gives `make`.

The task and the losses are real; trainings are short.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from glo.evaluation import Evaluator
from glo.expr import parse
from glo.records import Job, Outcome, Status, TrainingConfig
from glo.tasks import Task, load_task

SHORT = TrainingConfig(steps=40, learning_rates=(0.03, 0.3))
GOOD = ("x*log(y)", "log(y) - x/y", "-square(x - y)")
# NaN at every prediction; NaN at some; no derivative; a gradient that overflows; no label; no prediction; neither.
BAD = ("x*sqrt(-1 - y)", "x*sqrt(y - 0.5)", "x + y/y", "x*exp(1e9*y)", "log(y)", "log(x)", "1")


@functools.cache
def digits() -> Task:
    """The task of all these tests, loaded once."""
    return load_task("digits")


def jobs(*texts: str, seed: int = 0) -> list[Job]:
    return [Job(parse(text), seed) for text in texts]


@functools.cache
def judged(suite: type[EvaluatorContract]) -> list[Outcome]:
    """Outcomes of the good ones, then of the bad ones; judged once for all tests of a suite."""
    return suite().make().evaluate(jobs(*GOOD, *BAD))


class EvaluatorContract:
    """Tests of an `Evaluator`; its subclass makes one."""

    def make(self) -> Evaluator:
        """A new evaluator that trains on digits with `SHORT`."""
        raise NotImplementedError

    def test_outcomes_are_in_the_order_of_the_jobs_under_the_text_that_was_asked(self) -> None:
        assert [outcome.expression for outcome in judged(type(self))] == [str(parse(text)) for text in (*GOOD, *BAD)]

    def test_the_order_of_the_jobs_does_not_matter_to_their_outcomes(self) -> None:
        backwards = self.make().evaluate(jobs(*reversed((*GOOD, *BAD))))
        by_text = {outcome.expression: outcome for outcome in judged(type(self))}
        for outcome in backwards:
            assert outcome.status == by_text[outcome.expression].status
            assert outcome.fitness == pytest.approx(by_text[outcome.expression].fitness, abs=0.02)

    def test_good_losses_are_trained_and_get_their_validation_accuracy(self) -> None:
        for outcome in judged(type(self))[: len(GOOD)]:
            assert outcome.status is Status.TRAINED
            assert 0.3 < outcome.fitness <= 1
            assert outcome.learning_rate in SHORT.learning_rates
            assert outcome.reason == ""

    def test_bad_losses_are_outcomes_with_a_reason_and_not_exceptions(self) -> None:
        for outcome in judged(type(self))[len(GOOD) :]:
            assert 0 <= outcome.fitness < 0.3
            assert outcome.status is Status.TRAINED or outcome.reason

    def test_a_loss_that_is_nan_everywhere_has_fitness_0(self) -> None:
        outcome = judged(type(self))[len(GOOD)]
        assert outcome.status in (Status.DIVERGED, Status.REJECTED)
        assert (outcome.fitness, outcome.learning_rate) == (0.0, None)

    def test_each_outcome_has_the_fingerprint_of_its_loss(self) -> None:
        assert len({outcome.fingerprint for outcome in judged(type(self))[: len(GOOD)]}) == len(GOOD)
        assert all(len(outcome.fingerprint) == 16 for outcome in judged(type(self)))

    def test_each_outcome_is_told_once_as_it_is_returned(self) -> None:
        """Duplicates too: whoever listens needs no list in the end."""
        told: dict[int, Outcome] = {}

        def listen(outcomes: Mapping[int, Outcome]) -> None:
            assert outcomes
            assert not told.keys() & outcomes.keys()
            told.update(outcomes)

        outcomes = self.make().evaluate(jobs(*GOOD, *BAD, GOOD[0], BAD[-1]), listen)
        assert told == dict(enumerate(outcomes))

    def test_no_jobs_have_no_outcomes(self) -> None:
        assert self.make().evaluate([]) == []

    def test_duplicates_have_an_outcome_each(self) -> None:
        twice = self.make().evaluate(jobs("x*log(y)", "log(x)", "x*log(y)", "log(x)", "log(y)*x"))
        assert [outcome.expression for outcome in twice] == ["x*log(y)", "log(x)", "x*log(y)", "log(x)", "log(y)*x"]
        assert twice[0] == twice[2]
        assert twice[1] == twice[3]
        assert twice[4].fitness == pytest.approx(twice[0].fitness, abs=0.02)

    def test_a_single_job_has_one_outcome(self) -> None:
        (outcome,) = self.make().evaluate(jobs("x*log(y)"))
        assert (outcome.expression, outcome.status) == ("x*log(y)", Status.TRAINED)

    def test_it_can_be_asked_again(self) -> None:
        evaluator = self.make()
        evaluator.evaluate(jobs(*GOOD, *BAD))
        assert evaluator.evaluate(jobs(*GOOD, *BAD)) == judged(type(self))

    def test_the_same_jobs_have_the_same_outcomes(self) -> None:
        assert self.make().evaluate(jobs(*GOOD, *BAD)) == judged(type(self))

    def test_global_random_state_does_not_matter_and_is_left_alone(self) -> None:
        torch.manual_seed(99)
        np.random.seed(99)  # noqa: NPY002 - the global state is what this is about
        before = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
        assert self.make().evaluate(jobs(*GOOD, *BAD)) == judged(type(self))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert str(np.random.get_state()) == before[1]  # noqa: NPY002

    def test_jobs_of_several_seeds_may_be_mixed(self) -> None:
        """Each gets what it would get among its own; other weights and batches give another fitness somewhere."""
        mixed = [job for pair in zip(jobs(*GOOD, seed=1), jobs(*GOOD, seed=2), strict=True) for job in pair]
        outcomes = self.make().evaluate(mixed)
        assert outcomes[::2] == self.make().evaluate(jobs(*GOOD, seed=1))
        assert outcomes[1::2] == self.make().evaluate(jobs(*GOOD, seed=2))
        assert [o.fitness for o in outcomes[::2]] != [o.fitness for o in outcomes[1::2]]
