"""Candidates with one fingerprint that are under way at the same time: one training, and an outcome for each."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from candidates import SHORT, digits, jobs
from fakes import RESULTS, FakeExecutor, RecordingCache
from glo.evaluation import Cache, Funnel, evaluate
from glo.evaluation.protocol import Key
from glo.expr import fingerprint, parse
from glo.records import FunnelConfig, Job, Outcome, Stage, Status, TrainingResult


def funnel(executor: FakeExecutor, cache: Cache | None = None, config: FunnelConfig | None = None) -> Funnel:
    return Funnel(digits(), SHORT, config or FunnelConfig(), executor, cache)


def submitted_one_by_one(evaluator: Funnel, wanted: Sequence[Job]) -> list[Outcome]:
    """The outcomes of jobs that are all under way before the first result is awaited."""
    for number, job in enumerate(wanted):
        evaluator.submit({number: job})
    found: dict[Key, Outcome] = {}
    while len(found) < len(wanted):
        outcomes = evaluator.next()
        assert not found.keys() & outcomes.keys()
        found |= outcomes
    return [found[number] for number in range(len(wanted))]


def test_candidates_with_one_fingerprint_that_are_under_way_at_once_are_trained_once() -> None:
    texts = ["x*log(y)", "log(y)*x", "x*y", "x*log(y) + 3", "y*x"]
    executor, cache = FakeExecutor(), RecordingCache()
    evaluator = funnel(executor, cache)
    outcomes = submitted_one_by_one(evaluator, jobs(*texts))
    assert executor.texts == ["x*log(y)", "x*y"]
    assert len(executor.submitted) == 2 * len(SHORT.learning_rates)
    assert [outcome.expression for outcome in outcomes] == texts
    assert [outcome.fingerprint for outcome in outcomes] == [fingerprint(parse(text), evaluator.points) for text in texts]
    assert {(outcome.status, outcome.fitness) for outcome in outcomes} == {(Status.TRAINED, 0.5)}
    counts = evaluator.take_counts()
    assert (counts[Stage.CACHE].candidates, counts[Stage.CACHE].rejected) == (5, 3)
    assert counts[Stage.TRAINING].candidates == 2
    assert list(cache.remembered) == ["x*log(y)", "x*y"]


def test_duplicates_under_way_do_not_share_a_training_of_another_seed() -> None:
    executor = FakeExecutor(lambda training, seed: TrainingResult(seed / 10))
    evaluator = funnel(executor)
    wanted = [job for seed in (1, 2, 1) for job in jobs("x*log(y)", seed=seed)]
    assert [outcome.fitness for outcome in submitted_one_by_one(evaluator, wanted)] == [0.1, 0.2, 0.1]
    assert [seed for _, seed in executor.submitted[:: len(SHORT.learning_rates)]] == [1, 2]


@pytest.mark.parametrize("status", [Status.CRASHED, Status.TIMED_OUT])
def test_duplicates_under_way_share_a_failure_and_the_next_one_is_trained(status: Status) -> None:
    executor, cache = FakeExecutor(lambda training, seed: RESULTS[status]), RecordingCache()
    evaluator = funnel(executor, cache)
    first, second = submitted_one_by_one(evaluator, jobs("x*y", "y*x"))
    assert (first.expression, second.expression) == ("x*y", "y*x")
    assert first.status is second.status is status
    assert first.reason == second.reason != ""
    assert executor.texts == ["x*y"]
    evaluate(evaluator, jobs("y*x"))
    assert executor.texts == ["x*y", "y*x"]
    assert cache.remembered == {}


def test_duplicates_of_one_batch_share_a_reject() -> None:
    evaluator = funnel(FakeExecutor(), config=FunnelConfig(descent=True))
    texts = ["x - x*log(y)", "x - log(y)*x"]
    outcomes = evaluate(evaluator, jobs(*texts))
    assert [outcome.expression for outcome in outcomes] == texts
    assert [outcome.stage for outcome in outcomes] == [Stage.DESCENT] * 2
    assert outcomes[0].reason == outcomes[1].reason
    assert evaluator.counts[Stage.DESCENT].candidates == 1
