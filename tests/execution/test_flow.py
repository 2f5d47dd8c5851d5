"""Trainings that are begun whenever there is room: the order in which they end, and children that die."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import closing

import pytest

from glo.execution import Flow, InChildren, InTurn, can_fork
from glo.expr import parse
from glo.training import Result, Training

forking = pytest.mark.skipif(not can_fork("cpu"), reason="forking is not safe here (no Linux, or a GPU in sight)")
LOSS = parse("x*y")


def begin(flow: Flow, number: int, *seeds: int) -> None:
    flow.begin(number, [Training(LOSS, 0.1)] * len(seeds), seeds)


def acting(act: Callable[[int], None]) -> Callable[[Sequence[Training], Sequence[int]], list[Result]]:
    """In place of a training: does something to the process it is in, by the seed; the result says which seed it was."""

    def train(trainings: Sequence[Training], seeds: Sequence[int]) -> list[Result]:
        for seed in seeds:
            act(seed)
        return [f"trained {seed}" for seed in seeds]

    return train


def test_in_turn_the_first_begun_is_the_first_to_end() -> None:
    begun: list[int] = []
    flow = InTurn(acting(begun.append))
    begin(flow, 7, 1, 2)
    begin(flow, 8, 3)
    assert begun == []
    assert flow.next() == (7, ["trained 1", "trained 2"])
    assert begun == [1, 2]
    assert flow.next() == (8, ["trained 3"])


@forking
def test_a_child_that_dies_has_a_result_in_words_and_the_others_go_on() -> None:
    def kill(seed: int) -> None:
        if seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    with closing(InChildren(acting(kill), slots=2)) as flow:
        for number in range(4):
            begin(flow, number, number, 10 + number)
        found = dict(flow.next() for _ in range(4))
    assert found.pop(1) == ["its process was killed by SIGKILL"] * 2
    assert found == {number: [f"trained {number}", f"trained {10 + number}"] for number in (0, 2, 3)}


@forking
def test_an_error_of_the_training_is_raised() -> None:
    def fail(seed: int) -> None:
        raise ZeroDivisionError("of the training")

    with closing(InChildren(acting(fail), slots=2)) as flow:
        begin(flow, 0, 0)
        with pytest.raises(ZeroDivisionError, match="of the training"):
            flow.next()


@forking
def test_whoever_ends_first_comes_first_and_no_more_than_the_slots_run_at_once() -> None:
    """The first waits until the third has come back, for which the second must have made room."""
    context = multiprocessing.get_context("fork")
    go, running, most = context.Event(), context.Value("i", 0), context.Value("i", 0)

    def act(seed: int) -> None:
        with running.get_lock():
            running.value += 1
            most.value = max(most.value, running.value)
        if seed == 0:
            assert go.wait(60)
        with running.get_lock():
            running.value -= 1

    with closing(InChildren(acting(act), slots=2)) as flow:
        for number in range(3):
            begin(flow, number, number)
        assert [flow.next()[0] for _ in range(2)] == [1, 2]
        go.set()
        assert flow.next()[0] == 0
    assert most.value <= 2


@forking
def test_children_are_gone_after_closing() -> None:
    flow = InChildren(acting(lambda seed: signal.pause()), slots=2)
    for number in range(3):
        begin(flow, number, number)
    children = multiprocessing.active_children()
    assert len(children) == 2
    flow.close()
    assert [child.is_alive() for child in children] == [False, False]
