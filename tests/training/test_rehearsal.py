"""An error of the user's code is shown before a search begins."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from glo.errors import TaskError, UserCodeError
from glo.records import Link, TrainingConfig
from glo.tasks import Task
from glo.training import rehearse
from small import points
from training_tasks import TASKS

CONFIG = TrainingConfig(steps=20, batch_size=20)


class Fails(nn.Module):
    """Raises an error in training only."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.inner, self.error = nn.Linear(4, 3), error

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            raise self.error
        return self.inner(inputs)


@pytest.mark.parametrize("error", [KeyError("gain"), AssertionError(), MemoryError("no more"), RuntimeError("shape\nmore")])
def test_an_error_of_the_model_is_shown(error: Exception) -> None:
    task = Task("mine", lambda: Fails(error), points(0), points(1))
    with pytest.raises(UserCodeError, match=rf"'mine': the model fails in training: {type(error).__name__}") as caught:
        rehearse(task, CONFIG)
    assert caught.value.__cause__ is error
    assert "(in forward, test_rehearsal.py:" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_of_the_metric_is_shown() -> None:
    def metric(predictions: Tensor, targets: Tensor) -> float:
        return {"a": 1.0}["b"]

    task = Task("mine", lambda: nn.Linear(4, 3), points(0), points(1), metric=metric)
    with pytest.raises(UserCodeError, match=r"the metric fails: KeyError: 'b' \(in metric, test_rehearsal.py:\d+\)"):
        rehearse(task, CONFIG)


def test_a_metric_that_returns_no_number_for_real_predictions_is_refused() -> None:
    def metric(predictions: Tensor, targets: Tensor) -> object:
        return None if predictions.unique().numel() > 2 else 0.5

    task = Task("mine", lambda: nn.Linear(4, 3), points(0), points(1), metric=metric)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TaskError, match="must return one number, not NoneType"):
        rehearse(task, CONFIG)


def test_a_model_that_cannot_learn_is_refused() -> None:
    task = Task("mine", lambda: nn.Linear(4, 3).requires_grad_(False), points(0), points(1))
    with pytest.raises(TaskError, match="the model has no parameter that can be trained"):
        rehearse(task, CONFIG)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_that_works_passes_and_leaves_no_trace(name: str) -> None:
    task: Task = TASKS[name]()
    state = torch.get_rng_state()
    rehearse(task, CONFIG)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("link", Link)
def test_the_metric_sees_at_most_some_samples(link: Link) -> None:
    """A rehearsal takes a moment, however large the validation split is."""
    seen: list[int] = []

    def metric(predictions: Tensor, targets: Tensor) -> float:
        seen.append(len(predictions))
        return 1.0

    labels = torch.arange(1000) % 3
    targets = labels if link is Link.SOFTMAX else nn.functional.one_hot(labels, 3).float()
    data = torch.randn(1000, 4), targets
    task = Task("large", lambda: nn.Linear(4, 3), data, data, link=link, metric=metric)
    seen.clear()
    rehearse(task, CONFIG)
    assert seen == [200]


def test_a_metric_that_needs_every_class_is_asked_again_with_all_samples() -> None:
    def metric(predictions: Tensor, targets: Tensor) -> float:
        if len(targets.unique()) < 2:
            raise ValueError("only one class")
        return 0.5

    labels = (torch.arange(1000) % 5 == 1).long()  # every fifth sample is of class 0
    data = torch.randn(1000, 4), labels
    rehearse(Task("rare", lambda: nn.Linear(4, 2), data, data, metric=metric), CONFIG)
