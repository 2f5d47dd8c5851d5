"""Evaluators that give outcomes as they come: the contract for each, children that die, and the funnel in front."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import closing

import pytest

from contracts.asynchronous_contract import AsynchronousContract, all_of
from contracts.evaluator_contract import BAD, GOOD, SHORT, digits, jobs
from glo.evaluation import (
    Asynchronous,
    Evaluator,
    Funnel,
    FunnelConfig,
    InChildren,
    InTurn,
    LocalEvaluator,
    Stream,
    on_this_machine,
    probe_points,
)
from glo.expr import fingerprint
from glo.records import FunnelCounts, Job, Link, Outcome, Stage, Status, new_counts
from glo.training import can_fork

POINTS = probe_points(Link.SOFTMAX, soft=False)
forking = pytest.mark.skipif(not can_fork("cpu"), reason="forking is not safe here (no Linux, or a GPU in sight)")


def funnel(counts: FunnelCounts | None = None, config: FunnelConfig | None = None) -> Funnel:
    train: Callable[[FunnelCounts], Evaluator] = lambda shared: LocalEvaluator(digits(), SHORT, "cpu", shared)  # noqa: E731
    return Funnel(digits(), SHORT, config or FunnelConfig(), train, counts=counts)


class TestInTurn(AsynchronousContract):
    """In this process."""

    def make(self, slots: int, counts: FunnelCounts) -> Asynchronous:
        return InTurn(LocalEvaluator(digits(), SHORT, "cpu", counts))


@forking
class TestInChildren(AsynchronousContract):
    """In forked children."""

    def make(self, slots: int, counts: FunnelCounts) -> Asynchronous:
        return InChildren(LocalEvaluator(digits(), SHORT, "cpu", counts), counts, POINTS, slots)


@forking
class TestStream(AsynchronousContract):
    """Behind the stages of a funnel, which let all but what is trained fall."""

    def make(self, slots: int, counts: FunnelCounts) -> Asynchronous:
        stages = funnel(counts)
        return Stream(stages, on_this_machine(stages, slots))


class Acting:
    """In place of a training: does something to the process it is in."""

    def __init__(self, act: Callable[[Job], None]) -> None:
        self._act = act

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        for job in jobs:
            self._act(job)
        return [Outcome(str(job.expression), f"{os.getpid()}", Status.TRAINED, Stage.TRAINING) for job in jobs]


def in_children(act: Callable[[Job], None], slots: int = 2) -> InChildren:
    return InChildren(Acting(act), new_counts(), POINTS, slots)


@forking
def test_a_child_that_dies_is_a_crashed_candidate_and_the_others_go_on() -> None:
    def kill(job: Job) -> None:
        if job.seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    with closing(in_children(kill)) as made:
        for number in range(4):
            made.submit(number, [*jobs("x*log(y)", seed=number), *jobs("x*y", seed=number)])
        found = all_of(made, 4)
    for outcome, text in zip(found.pop(1), ("x*log(y)", "x*y"), strict=True):
        assert (outcome.expression, outcome.status, outcome.fitness) == (text, Status.CRASHED, 0.0)
        assert outcome.fingerprint == fingerprint(jobs(text)[0].expression, POINTS)
        assert outcome.reason == "its process was killed by SIGKILL"
    assert {outcome.status for outcomes in found.values() for outcome in outcomes} == {Status.TRAINED}


@forking
def test_an_error_of_the_evaluator_is_raised() -> None:
    def fail(job: Job) -> None:
        raise ZeroDivisionError("of the evaluator")

    with closing(in_children(fail)) as made:
        made.submit(0, jobs("x*y"))
        with pytest.raises(ZeroDivisionError, match="of the evaluator"):
            made.next()


@forking
def test_whoever_ends_first_comes_first_and_no_more_than_the_slots_run_at_once() -> None:
    """The first waits until the third has come back, for which the second must have made room."""
    context = multiprocessing.get_context("fork")
    go, running, most = context.Event(), context.Value("i", 0), context.Value("i", 0)

    def act(job: Job) -> None:
        with running.get_lock():
            running.value += 1
            most.value = max(most.value, running.value)
        if job.seed == 0:
            assert go.wait(60)
        with running.get_lock():
            running.value -= 1

    with closing(in_children(act)) as made:
        for number in range(3):
            made.submit(number, jobs("x*y", seed=number))
        order = [made.next()[0] for _ in range(2)]
        assert order == [1, 2]
        go.set()
        assert made.next()[0] == 0
    assert most.value <= 2


@forking
def test_children_are_gone_after_closing() -> None:
    def wait(job: Job) -> None:
        signal.pause()

    made = in_children(wait)
    for number in range(3):
        made.submit(number, jobs("x*y"))
    children = multiprocessing.active_children()
    assert len(children) == 2
    made.close()
    assert [child.is_alive() for child in children] == [False, False]


@pytest.mark.parametrize("slots", [1, pytest.param(2, marks=forking)])
def test_a_stream_judges_as_its_funnel_does(slots: int) -> None:
    """Stages, texts and reasons; what falls at a cheap stage needs no slot, and does not wait for a training."""
    config = FunnelConfig(derivative=True, descent=True)
    texts = [*GOOD, *BAD, "x*log(y)*1", GOOD[0]]
    expected = [funnel(config=config).evaluate(jobs(text))[0] for text in texts]
    stages = funnel(config=config)
    order: list[int] = []
    found: dict[int, Outcome] = {}
    with closing(Stream(stages, on_this_machine(stages, slots))) as stream:
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
    with closing(Stream(stages, on_this_machine(stages, slots))) as stream:
        stream.submit(0, jobs("x*log(y)"))
        _, first = stream.next()
        stream.submit(1, jobs("log(y)*x"))
        stream.submit(2, [*jobs("x*log(y) + 3"), *jobs("x*log(y)", seed=1)])
        found = all_of(stream, 2)
    assert [outcome.fitness for outcome in found[1]] == [outcome.fitness for outcome in first]
    assert found[2][0].fitness == first[0].fitness
    assert stages.counts[Stage.TRAINING].candidates == 2  # each seed once
    assert sum(len(known) for known in stages.cached.take_new().values()) == 2
