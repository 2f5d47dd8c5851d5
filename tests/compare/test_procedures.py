"""Several procedures on one executor, in one thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from compare.scripted import BRIEF, config_of, task_of
from glo.catalog import baikal, cross_entropy
from glo.compare import compare_losses
from glo.compare.procedures import Procedure, Request, run_all
from glo.execution import Batch, ForkingExecutor, InlineExecutor, Key, can_fork
from glo.records import Result, Training, TrainingConfig, TrainingResult

CONFIG = config_of(0.1, 1.0, steps=(4, 8, 12), tuning_seeds=1, repeats=2, smoothings=(0.2,))


class Manual:
    """An executor that returns results in an order of its own; each has the learning rate as its validation metric.

    Args:
        newest_first: whether the newest batch ends first.
        device: that it says it trains on.
    """

    slots = 1

    def __init__(self, newest_first: bool = False, device: str = "cpu") -> None:
        self.device = device
        self.submitted: list[tuple[Key, Batch]] = []
        self.waited = 0  # how many batches had been submitted at the first wait
        self.closed = False
        self._newest_first = newest_first
        self._pending: deque[tuple[Key, int, Training]] = deque()

    def submit(self, key: Key, batch: Batch) -> None:
        self.submitted.append((key, batch))
        self._pending.extend((key, position, training) for position, training in enumerate(batch.trainings))

    def next(self) -> tuple[Key, dict[int, Result]]:
        self.waited = self.waited or len(self.submitted)
        key, position, training = self._pending.pop() if self._newest_first else self._pending.popleft()
        return key, {position: TrainingResult(training.learning_rate, test=0.5)}

    def close(self) -> None:
        self.closed = True


def batch_of(*rates: float) -> Batch:
    return Batch(task_of(), BRIEF, [Training(cross_entropy, rate) for rate in rates], [0] * len(rates))


def validations(results: Sequence[Result]) -> list[float]:
    return [result.validation for result in results if isinstance(result, TrainingResult)]


def rounds(*rates: Sequence[float], label: str = "training") -> Procedure[list[list[float]]]:
    """Requests a batch for each of the lists of rates, one after the other, and returns all that it was sent."""
    answers: list[list[float]] = []
    for each in rates:
        results = yield Request(label, batch_of(*each))
        answers.append(validations(results))
    return answers


@pytest.mark.parametrize("newest_first", [False, True])
def test_each_procedure_is_sent_its_own_results_in_order(newest_first: bool) -> None:
    """In whatever order they end, and however many rounds each needs; one without a request returns at once."""
    wanted = [[[0.1, 0.2, 0.3]], [[0.4], [0.5, 0.6], [0.7]], [], [[0.8], [0.9]]]
    assert run_all(Manual(newest_first), [rounds(*each) for each in wanted]) == wanted


def test_there_may_be_no_procedure() -> None:
    assert run_all(Manual(), list[Procedure[int]]()) == []


def test_all_procedures_start_before_the_first_result_is_waited_for() -> None:
    executor = Manual()
    run_all(executor, [rounds([0.1], [0.2]), rounds([0.3]), rounds([0.4])])
    assert executor.waited == 3
    assert len(executor.submitted) == 4


def test_progress_is_the_sum_over_all_procedures() -> None:
    """By label; the total is what has been submitted so far."""
    calls: list[tuple[str, int, int]] = []
    procedures = [
        rounds([0.1, 0.2], [0.3], label="choosing"), rounds([0.4], label="choosing"), rounds([0.5], label="measuring"),
    ]  # fmt: skip
    run_all(Manual(), procedures, lambda *call: calls.append(call))
    assert calls == [
        ("choosing", 1, 3), ("choosing", 2, 3), ("choosing", 3, 4), ("measuring", 1, 1), ("choosing", 4, 4),
    ]  # fmt: skip


def test_an_error_in_a_procedure_is_raised_at_once_and_the_executor_is_closed() -> None:
    def failing() -> Procedure[None]:
        yield Request("training", batch_of(0.1))
        raise ValueError("number 2")

    executor = Manual()
    with pytest.raises(ValueError, match="number 2"):
        run_all(executor, [failing(), rounds([0.2], [0.3])])
    assert executor.closed
    assert len(executor.submitted) == 2  # the other procedure went no further


def test_after_an_error_the_executor_can_be_used_again() -> None:
    executor = InlineExecutor()

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all(executor, [rounds([0.1], [0.2]), rounds([0.3])], interrupt)
    (answers,) = run_all(executor, [rounds([0.1])])
    assert len(answers[0]) == 1


# Comparisons


def test_all_lengths_of_training_are_submitted_at_once() -> None:
    executor = Manual()
    compare_losses(task_of(), ["baikal"], CONFIG, cluster=executor)
    assert executor.waited == 3
    assert [batch.config.steps for _, batch in executor.submitted[:3]] == [4, 8, 12]


@pytest.mark.skipif(not can_fork("cpu"), reason="forking is not safe here (no Linux, or a GPU in sight)")
def test_lengths_side_by_side_have_the_numbers_of_each_alone() -> None:
    alone = [
        compare_losses(task_of(), ["baikal"], CONFIG.model_copy(update={"steps": (steps,)}), device="cpu")
        for steps in CONFIG.steps
    ]
    inline = compare_losses(task_of(), ["baikal"], CONFIG, device="cpu")
    assert inline.horizons == [comparison.horizons[0] for comparison in alone]
    with_processes = ForkingExecutor(2)
    try:
        forked = compare_losses(task_of(), ["baikal"], CONFIG, cluster=with_processes)
    finally:
        with_processes.close()
    assert forked.to_dict() == inline.to_dict()


def test_the_device_is_that_of_the_executor() -> None:
    """Of a cluster of GPUs too, which the driver may have none of."""
    comparison = compare_losses(task_of(), ["baikal"], CONFIG, cluster=Manual(device="cuda"))
    assert (comparison.device, comparison.cluster) == ("cuda", True)
    comparison = compare_losses(task_of(), ["baikal"], CONFIG, device="cpu")
    assert (comparison.device, comparison.cluster) == ("cpu", False)


def test_one_request_may_mix_seeds() -> None:
    batch = replace(batch_of(0.1, 0.1), seeds=[0, 1], trainings=[Training(baikal, 0.1)] * 2, config=TrainingConfig(steps=3))

    def mixed() -> Procedure[list[float]]:
        results = yield Request("training", batch)
        return validations(results)

    (found,) = run_all(InlineExecutor(), [mixed()])
    assert len(set(found)) == 2
