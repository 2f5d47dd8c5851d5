"""The executors of this machine: the order in which results arrive, how a batch is spread, and children that die."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glo.execution import (
    Batch,
    Executor,
    ForkingExecutor,
    InlineExecutor,
    Key,
    can_fork,
    in_order,
    local_executor,
    rehearse_for,
    train,
)  # fmt: skip
from glo.execution.children import in_processes
from glo.expr import parse
from glo.records import Failure, Result, Status, Training, TrainingConfig, TrainingResult
from glo.tasks import Task
from glo.training import train_population
from small import CLASSES, certainty, points, with_metric

forking = pytest.mark.skipif(not can_fork("cpu"), reason="forking is not safe here (no Linux, or a GPU in sight)")
CONFIG = TrainingConfig(steps=3, batch_size=20)
KILLED = Failure(Status.CRASHED, "its process was killed by SIGKILL")
PATIENCE = 60.0


def batch(act: Callable[[], object] = lambda: None, seeds: Sequence[int] = (0,), **options: Any) -> Batch:
    """A training for each seed, at rates of its own; each calls `act()` in its process when it has ended."""

    def metric(predictions: Tensor, targets: Tensor) -> Tensor:
        act()
        return certainty(predictions, targets)

    task = with_metric(Task("points", lambda: nn.Linear(4, CLASSES), points(0), points(1)), metric)
    trainings = [Training(parse("x*log(y)"), 0.1 * (1 + number)) for number in range(len(seeds))]
    return Batch(task, CONFIG.model_copy(update=options), trainings, seeds)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def forked(processes: int = 2) -> Iterator[ForkingExecutor]:
    """An executor that is closed at the end, whose children are gone then."""
    executor = ForkingExecutor(processes)
    try:
        yield executor
    finally:
        executor.close()
        assert not multiprocessing.active_children()


def drain(executor: Executor, *batches: tuple[Key, Batch]) -> dict[Key, list[Result]]:
    """All results of the batches under way."""
    found: dict[Key, dict[int, Result]] = {key: {} for key, _ in batches}
    while any(len(found[key]) < len(each) for key, each in batches):
        key, results = executor.next()
        found[key] |= results
    return {key: in_order(results) for key, results in found.items()}


def test_inline_batches_are_trained_in_the_order_of_submission_while_their_results_are_awaited() -> None:
    """A part of each seed at a time."""
    trained: list[str] = []
    executor = InlineExecutor()
    executor.submit(7, batch(lambda: trained.append("7"), seeds=[1, 2, 1]))
    executor.submit(8, batch(lambda: trained.append("8"), seeds=[3]))
    assert trained == []
    assert [(key, list(results)) for key, results in (executor.next(), executor.next())] == [(7, [0, 2]), (7, [1])]
    assert trained == ["7"] * 3
    key, results = executor.next()
    assert (key, list(results), trained) == (8, [0], ["7"] * 3 + ["8"])


@forking
def test_a_training_whose_child_dies_is_a_failure_and_the_others_go_on() -> None:
    batches = [(number, batch(kill if number == 1 else lambda: None, seeds=[number, 10 + number])) for number in range(4)]
    with forked() as executor:
        for number, each in batches:
            executor.submit(number, each)
        found = drain(executor, *batches)
    assert found.pop(1) == [KILLED, KILLED]
    assert sorted(found) == [0, 2, 3]  # pyright: ignore[reportArgumentType]
    for number, each in found.items():
        assert each == train(InlineExecutor(), batches[number][1])  # pyright: ignore[reportArgumentType, reportCallIssue]


@forking
def test_the_networks_of_a_part_whose_child_dies_are_trained_again_one_by_one() -> None:
    """Only the network that kills its process is a failure, once alone; the others are as if trained alone."""
    deaths, rates = multiprocessing.get_context("fork").Value("i", 0), [0.1, 0.2, 1e4, 0.3, 0.4, 0.5]

    def deadly(predictions: Tensor, targets: Tensor) -> Tensor:
        """Kills the process of a network that is very sure, as one is after steps of 10,000."""
        if predictions.max() > 0.9999 and predictions.std(0).max() > 0:
            with deaths.get_lock():
                deaths.value += 1
            kill()
        return certainty(predictions, targets)

    task = with_metric(Task("points", lambda: nn.Linear(4, CLASSES), points(0), points(1)), deadly)
    trainings = [Training(parse("x*log(y)"), rate) for rate in rates]
    with forked() as executor:
        executor.submit("others", batch(seeds=[5] * 4))
        executor.submit("deadly", Batch(task, CONFIG, trainings, [0] * len(rates)))
        found = drain(
            executor, ("others", batch(seeds=[5] * 4)), ("deadly", Batch(task, CONFIG, trainings, [0] * len(rates)))
        )
    assert deaths.value == 2  # once together with others, once alone
    assert found["deadly"].pop(2) == KILLED
    assert found["deadly"] == train_population(task, [each for each in trainings if each.learning_rate < 1], CONFIG, 0)
    assert all(isinstance(result, TrainingResult) for result in found["others"])


@forking
def test_a_programming_error_in_a_child_is_a_failure_and_the_executor_can_be_used_again() -> None:
    def fail() -> None:
        raise NameError("of the metric")

    with forked() as executor:
        (failure,) = train(executor, batch(fail), key=0)
        assert isinstance(failure, Failure)
        assert failure.reason.startswith("NameError: of the metric (in fail, test_local.py:")
        assert isinstance(train(executor, batch(), key=0)[0], TrainingResult)


@forking
def test_results_arrive_in_the_order_in_which_trainings_end_and_no_more_than_the_slots_run_at_once() -> None:
    """The first waits for the results of the third, for which the second must have left its slot."""
    go = multiprocessing.get_context("fork").Event()
    with forked() as executor:
        executor.submit(0, batch(lambda: go.wait(PATIENCE)))
        for number in (1, 2, 3):
            executor.submit(number, batch())
            assert len(multiprocessing.active_children()) <= 2
        assert [executor.next()[0] for _ in range(3)] == [1, 2, 3]
        go.set()
        assert executor.next()[0] == 0


@forking
def test_children_are_gone_after_closing_and_it_can_be_used_again() -> None:
    with forked() as executor:
        for number in range(3):
            executor.submit(number, batch(signal.pause))
        children = multiprocessing.active_children()
        assert len(children) == 2
        executor.close()
        assert [child.is_alive() for child in children] == [False, False]
        with pytest.raises(RuntimeError, match="nothing is under way"):
            executor.next()
        executor.submit(2, batch())
        assert executor.next()[0] == 2


@forking
def test_a_batch_of_one_seed_is_split_so_that_free_slots_are_busy() -> None:
    """Into as many parts as slots are free; it waits as one part if none is."""
    go = multiprocessing.get_context("fork").Event()
    eight = batch(seeds=[0] * 8)
    with forked() as executor:
        executor.submit("two slots", eight)
        assert len(multiprocessing.active_children()) == 2
        assert [len(executor.next()[1]) for _ in range(2)] == [4, 4]
        executor.submit("waiting", batch(lambda: go.wait(PATIENCE)))
        executor.submit("one slot", eight)
        executor.submit("no slot", eight)
        assert [(key, len(results)) for key, results in (executor.next(), executor.next())] == [
            ("one slot", 8),
            ("no slot", 8),
        ]
        go.set()
        assert executor.next()[0] == "waiting"


@forking
def test_the_results_of_a_batch_do_not_depend_on_the_slots_that_are_free() -> None:
    wanted = batch(seeds=[0] * 8 + [1] * 8)
    expected = train(InlineExecutor(), wanted)
    for processes in (1, 2, 3):
        with forked(processes) as executor:
            assert train(executor, wanted) == expected


class Budgets:
    """In place of training: the results say how much memory, in MiB, a part may take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: Sequence[int]) -> None:
        def budgets(task: Task, trainings: Sequence[Training], config: TrainingConfig, *_: Any) -> list[Result]:
            return [TrainingResult(float(config.memory_mb or 0))] * len(trainings)

        monkeypatch.setattr("glo.execution.work.train_networks", budgets)
        monkeypatch.setattr("glo.execution.local.budget", lambda config, device: left.pop(0) * 2**20)
        left = list(free)

    def of(self, executor: Executor, **options: Any) -> set[Result]:
        """What the trainings of one batch may take."""
        try:
            return set(train(executor, batch(seeds=[0] * 8, **options)))
        finally:
            executor.close()


def test_processes_share_the_memory_that_is_free_at_the_first_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    budgets = Budgets(monkeypatch, free=[1000, 900])
    executor = InlineExecutor()
    assert budgets.of(executor) == budgets.of(executor) == {TrainingResult(1000)}
    if can_fork("cpu"):
        forking_executor = ForkingExecutor(2)
        assert budgets.of(forking_executor) == budgets.of(forking_executor) == {TrainingResult(450)}


def test_processes_share_the_memory_that_a_batch_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    budgets = Budgets(monkeypatch, free=[1000, 1000])
    assert budgets.of(InlineExecutor(), memory_mb=30) == {TrainingResult(30)}
    if can_fork("cpu"):
        executor = ForkingExecutor(2)
        assert budgets.of(executor, memory_mb=30) == {TrainingResult(15)}
        assert budgets.of(executor, memory_mb=1) == {TrainingResult(1)}


def kind(executor: Executor) -> tuple[str, int, str]:
    return type(executor).__name__, executor.slots, executor.device


def test_a_device_has_a_process_for_each_thread_where_forking_is_safe() -> None:
    inline = ("InlineExecutor", 1, "cpu")
    assert kind(local_executor()) == (("ForkingExecutor", 1, "cpu") if can_fork("cpu") else inline)
    torch.set_num_threads(3)
    assert kind(local_executor()) == (("ForkingExecutor", 3, "cpu") if can_fork("cpu") else inline)
    assert kind(local_executor("cuda:1")) == ("InlineExecutor", 1, "cuda:1")
    assert kind(local_executor("cpu", processes=2)) == ("ForkingExecutor", 2, "cpu")


@forking
def test_a_child_process_has_no_children_of_its_own() -> None:
    def of(threads: int) -> tuple[str, int, str]:
        torch.set_num_threads(threads)
        return kind(local_executor())

    assert dict(in_processes(of, [3], 1)) == {0: ("InlineExecutor", 1, "cpu")}


def test_a_batch_that_is_all_of_the_data_is_said(caplog: pytest.LogCaptureFixture) -> None:
    small = batch(batch_size=10_000)
    with caplog.at_level("INFO", logger="glo"):
        rehearse_for(InlineExecutor(), small.task, small.config)
    assert "fewer than training.batch_size=10000, so each batch is all of them" in caplog.text
