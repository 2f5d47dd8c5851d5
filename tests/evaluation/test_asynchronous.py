"""Judging that gives outcomes as they come: the contract for each, and the funnel in front."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from contracts.asynchronous_contract import AsynchronousContract, all_of
from contracts.evaluator_contract import BAD, GOOD, SHORT, digits, jobs
from glo.evaluation import Asynchronous, Evaluator, Flowing, Funnel, FunnelConfig, LocalEvaluator, Stream
from glo.execution import Trainer, can_fork
from glo.records import FunnelCounts, Outcome, Stage, Status

forking = pytest.mark.skipif(not can_fork("cpu"), reason="forking is not safe here (no Linux, or a GPU in sight)")


def flowing(slots: int, counts: FunnelCounts) -> Flowing:
    """Training of digits with `SHORT`, on this machine."""
    trainer = Trainer(digits(), SHORT)
    return Flowing(LocalEvaluator(digits(), SHORT, counts=counts, trainer=trainer), trainer.flow(slots))


def funnel(counts: FunnelCounts | None = None, config: FunnelConfig | None = None) -> Funnel:
    train: Callable[[FunnelCounts], Evaluator] = lambda shared: LocalEvaluator(digits(), SHORT, "cpu", shared)  # noqa: E731
    return Funnel(digits(), SHORT, config or FunnelConfig(), train, counts=counts)


class TestInTurn(AsynchronousContract):
    """In this process."""

    def make(self, slots: int, counts: FunnelCounts) -> Asynchronous:
        return flowing(1, counts)


@forking
class TestInChildren(AsynchronousContract):
    """In forked children, where there are several slots."""

    def make(self, slots: int, counts: FunnelCounts) -> Asynchronous:
        return flowing(slots, counts)


@forking
class TestStream(AsynchronousContract):
    """Behind the stages of a funnel, which let all but what is trained fall."""

    def make(self, slots: int, counts: FunnelCounts) -> Asynchronous:
        stages = funnel(counts)
        return Stream(stages, flowing(slots, stages.counts))


@pytest.mark.parametrize("slots", [1, pytest.param(2, marks=forking)])
def test_a_stream_judges_as_its_funnel_does(slots: int) -> None:
    """Stages, texts and reasons; what falls at a cheap stage needs no slot, and does not wait for a training."""
    config = FunnelConfig(derivative=True, descent=True)
    texts = [*GOOD, *BAD, "x*log(y)*1", GOOD[0]]
    expected = [funnel(config=config).evaluate(jobs(text))[0] for text in texts]
    stages = funnel(config=config)
    order: list[int] = []
    found: dict[int, Outcome] = {}
    with closing(Stream(stages, flowing(slots, stages.counts))) as stream:
        assert stream.slots == slots
        for number, text in enumerate(texts):
            stream.submit(number, jobs(text))
        for _ in texts:
            number, (outcome,) = stream.next()
            order.append(number)
            found[number] = outcome
    for number, outcome in enumerate(expected):
        assert (found[number].status, found[number].stage) == (outcome.status, outcome.stage)
        assert found[number].reason == outcome.reason
        assert found[number].fitness == pytest.approx(outcome.fitness, abs=0.02)
    rejected = [number for number, outcome in enumerate(expected) if outcome.status is Status.REJECTED]
    assert rejected
    assert order[: len(rejected)] == rejected


@pytest.mark.parametrize("slots", [1, pytest.param(2, marks=forking)])
def test_what_a_stream_has_judged_is_known(slots: int) -> None:
    stages = funnel()
    with closing(Stream(stages, flowing(slots, stages.counts))) as stream:
        stream.submit(0, jobs("x*log(y)"))
        _, first = stream.next()
        stream.submit(1, jobs("log(y)*x"))
        stream.submit(2, [*jobs("x*log(y) + 3"), *jobs("x*log(y)", seed=1)])
        found = all_of(stream, 2)
    assert [outcome.fitness for outcome in found[1]] == [outcome.fitness for outcome in first]
    assert found[2][0].fitness == first[0].fitness
    assert stages.counts[Stage.TRAINING].candidates == 2  # each seed once
    assert sum(len(known) for known in stages.cached.take_new().values()) == 2
