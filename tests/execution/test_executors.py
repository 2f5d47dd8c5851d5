"""The contract of every executor, for each executor of this machine; batches; and how an executor is opened."""

from __future__ import annotations

import pytest
from torch import nn

from fakes import FakeExecutor
from glo.errors import ConfigError, TaskError
from glo.execution import (
    Batch,
    Executor,
    ForkingExecutor,
    InlineExecutor,
    can_fork,
    in_order,
    local_executor,
    open_executor,
    train,
)
from glo.expr import parse
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Task
from glo.testing import ExecutorContract
from small import CLASSES, points

forking = pytest.mark.skipif(not can_fork("cpu"), reason="forking is not safe here (no Linux, or a GPU in sight)")
TRAININGS = [Training(parse("x*log(y)"), rate) for rate in (0.1, 0.2, 0.3)]


def task_of(test: bool = True) -> Task:
    return Task("points", lambda: nn.Linear(4, CLASSES), points(0), points(1), points(2) if test else None)


class TestInline(ExecutorContract):
    """In this process."""

    def make(self) -> Executor:
        return InlineExecutor()


@forking
class TestForking(ExecutorContract):
    """In forked processes."""

    def make(self) -> Executor:
        return ForkingExecutor(2)


@forking
class TestForkingOne(ExecutorContract):
    """In one forked process at a time."""

    def make(self) -> Executor:
        return ForkingExecutor(1)


@pytest.mark.parametrize(("trainings", "seeds"), [([], []), (TRAININGS, [0, 1]), (TRAININGS[:1], []), ([], [0])])
def test_a_batch_needs_a_training_and_a_seed_for_each(trainings: list[Training], seeds: list[int]) -> None:
    with pytest.raises(ValueError, match="one seed for each"):
        Batch(task_of(), TrainingConfig(), trainings, seeds)


def test_a_batch_that_is_measured_on_the_test_split_needs_one() -> None:
    curve = TrainingConfig(steps=4, curve_every=2, curve_on="test")
    for config, test in ((TrainingConfig(), True), (curve, False)):
        assert len(Batch(task_of(), config, TRAININGS, [0] * 3, test)) == 3
        with pytest.raises(TaskError, match="no test split"):
            Batch(task_of(test=False), config, TRAININGS, [0] * 3, test)
    unused = TrainingConfig(curve_on="test")  # without a curve
    assert len(Batch(task_of(test=False), unused, TRAININGS, [0] * 3)) == 3


def test_train_returns_results_in_order_and_reports_how_many_have_ended() -> None:
    """However few arrive at a time, and last first."""
    executor, done = FakeExecutor(lambda training, seed: TrainingResult(training.learning_rate), one_by_one=True), []
    results = train(executor, Batch(task_of(), TrainingConfig(), TRAININGS, [0] * 3), done.append)
    assert results == [TrainingResult(rate) for rate in (0.1, 0.2, 0.3)]
    assert done == [1, 2, 3]


def test_results_by_position_as_a_list() -> None:
    first, second = TrainingResult(0.1), TrainingResult(0.2)
    assert in_order({1: second, 0: first}) == [first, second]
    assert in_order({}) == []


def test_without_a_cluster_the_executor_is_that_of_this_machine() -> None:
    with open_executor(device="cpu") as executor:
        assert type(executor) is type(local_executor("cpu"))
        assert executor.device == "cpu"


def test_an_open_executor_stays_open() -> None:
    """Only what is under way in it is given up at the end."""
    mine = InlineExecutor()
    batch = Batch(task_of(), TrainingConfig(steps=2), TRAININGS, [0] * 3)
    with open_executor(mine) as executor:
        assert executor is mine
        executor.submit("left", batch)
    with pytest.raises(RuntimeError, match="nothing is under way"):
        mine.next()
    assert len(train(mine, batch)) == 3


def test_the_batches_under_way_are_given_up_when_the_context_ends_with_an_error() -> None:
    mine = InlineExecutor()

    def fail() -> None:
        with open_executor(mine) as executor:
            executor.submit("left", Batch(task_of(), TrainingConfig(steps=2), TRAININGS, [0] * 3))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with pytest.raises(RuntimeError, match="nothing is under way"):
        mine.next()


@pytest.mark.parametrize(("where", "device"), [(None, "tpu"), ("no-such-cluster", "cpu")])
def test_a_place_or_device_that_does_not_exist_is_an_error(where: str | None, device: str) -> None:
    with pytest.raises(ConfigError, match=where or device), open_executor(where, device):
        pass
