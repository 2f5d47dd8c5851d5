"""Candidates that are evaluated with several seeds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from candidates import GOOD, SHORT, digits, jobs
from fakes import RESULTS, FakeExecutor
from glo.evaluation import Funnel, SeedAverage, TrainingEvaluator, averaged, evaluate
from glo.execution import InlineExecutor
from glo.expr import parse
from glo.records import FunnelConfig, Outcome, Status, TrainingConfig, TrainingResult

ONE_RATE = TrainingConfig(steps=40, learning_rates=(0.3,))
SEEDS = (3, 1, 2)


def average(executor: FakeExecutor, seeds: Sequence[int] = SEEDS) -> SeedAverage:
    return SeedAverage(Funnel(digits(), ONE_RATE, FunnelConfig(), executor), seeds)


def drain(evaluator: SeedAverage) -> dict[int, Outcome]:
    """The outcomes of all candidates under way."""
    found: dict[int, Outcome] = {}
    while len(evaluator):
        outcomes = evaluator.next()
        assert outcomes
        assert not found.keys() & outcomes.keys()
        found |= outcomes
    return found


def test_each_candidate_is_trained_with_every_seed_and_has_the_mean_fitness() -> None:
    executor = FakeExecutor(lambda training, seed: TrainingResult(seed / 10))
    evaluator = average(executor)
    evaluator.submit({7: parse("x*log(y)"), 8: parse("x*y")})
    assert len(evaluator) == 2
    found = drain(evaluator)
    assert sorted(found) == [7, 8]
    assert [found[number].expression for number in (7, 8)] == ["x*log(y)", "x*y"]
    assert [found[number].fitness for number in (7, 8)] == pytest.approx([0.2, 0.2])
    assert [(str(training.expression), seed) for training, seed in executor.submitted] == [
        (text, seed) for text in ("x*log(y)", "x*y") for seed in SEEDS
    ]


def test_a_candidate_is_returned_as_soon_as_all_its_seeds_are_known() -> None:
    """Results come one by one, the last first."""
    evaluator = average(FakeExecutor(one_by_one=True))
    evaluator.submit({0: parse("x*log(y)"), 1: parse("x*y")})
    assert list(evaluator.next()) == [1]
    assert len(evaluator) == 1
    evaluator.submit({2: parse("log(y)")})  # it is rejected before any training
    assert list(evaluator.next()) == [2]
    assert list(evaluator.next()) == [0]
    assert len(evaluator) == 0


def test_a_candidate_that_fails_with_one_seed_has_that_outcome() -> None:
    executor = FakeExecutor(lambda training, seed: RESULTS[Status.TIMED_OUT if seed == 1 else Status.TRAINED])
    evaluator = average(executor)
    evaluator.submit({0: parse("x*log(y)")})
    ((number, outcome),) = evaluator.next().items()
    assert (number, outcome.status, outcome.reason) == (0, Status.TIMED_OUT, "not ended after 5 s")


def test_duplicates_under_way_are_trained_once_for_each_seed() -> None:
    executor = FakeExecutor()
    evaluator = average(executor)
    for number, text in enumerate(("x*log(y)", "log(y)*x")):
        evaluator.submit({number: parse(text)})
    found = drain(evaluator)
    assert [found[number].expression for number in range(2)] == ["x*log(y)", "log(y)*x"]
    assert [seed for _, seed in executor.submitted] == list(SEEDS)


def test_closing_gives_up_the_candidates_under_way() -> None:
    evaluator = average(FakeExecutor(one_by_one=True))
    evaluator.submit({0: parse("x*log(y)"), 1: parse("x*y")})
    evaluator.close()
    assert len(evaluator) == 0
    with pytest.raises(RuntimeError, match="nothing is under way"):
        evaluator.next()
    evaluator.submit({2: parse("x*y")})
    assert list(drain(evaluator)) == [2]


def test_its_slots_are_those_of_its_evaluator() -> None:
    executor = FakeExecutor()
    executor.slots = 5
    assert average(executor).slots == 5


def test_real_trainings_are_averaged() -> None:
    """The mean over the seeds of what each seed gives alone."""
    evaluator = SeedAverage(TrainingEvaluator(digits(), SHORT, InlineExecutor()), SEEDS)
    evaluator.submit(dict(enumerate(parse(text) for text in GOOD)))
    found = drain(evaluator)
    for number, text in enumerate(GOOD):
        separate = [
            evaluate(TrainingEvaluator(digits(), SHORT, InlineExecutor()), jobs(text, seed=seed))[0] for seed in SEEDS
        ]
        assert found[number].status is Status.TRAINED
        assert found[number].fitness == pytest.approx(averaged(separate).fitness, abs=0.02)
        assert len({outcome.fitness for outcome in separate}) > 1
