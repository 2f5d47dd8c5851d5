"""Trainer: together where that is faster, else one by one; the same results, and a failure in words."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glo.catalog import NAMED
from glo.execution import Trainer
from glo.execution.local import worth_stacking
from glo.expr import parse
from glo.records import TrainingConfig
from glo.tasks import Task
from glo.training import Training, TrainingResult, train_single

CLASSES = 3
CONFIG = TrainingConfig(steps=6, batch_size=20)
TRAININGS = [
    Training(NAMED["cross_entropy"], 0.5),
    Training(NAMED["baikal"], 0.03),
    Training(NAMED["brier"], 1.0),
    Training(parse("x*y*log(0 - 1)"), 0.1),
]
forwards: list[int] = []  # the samples of each forward pass in training mode


@pytest.fixture(autouse=True)
def _no_forwards() -> None:
    forwards.clear()


def certainty(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean probability of the right class: a metric without ties."""
    return predictions.gather(1, targets[:, None]).mean()


def task_of(model: Callable[[], nn.Module], **options: Any) -> Task:
    """Three classes of noisy images of 4 by 4."""
    splits = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(60) % CLASSES
        noise = torch.randn(60, 16, generator=generator)
        splits.append(((noise + 2 * torch.eye(16)[labels]).reshape(60, 1, 4, 4), labels))
    return Task("images", model, *splits, **{"metric": certainty, **options})


class Counted(nn.Sequential):
    """Counts its forward passes in training mode."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as nn.Sequential names it
        if self.training:
            forwards.append(input.shape[0])
        return super().forward(input)


def mlp() -> nn.Module:
    return Counted(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, CLASSES))


def cnn() -> nn.Module:
    return Counted(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, CLASSES))


class Peeks(nn.Module):
    """Needs the value of a tensor, which a vectorised model does not have."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * 2 if inputs.abs().sum().item() > 0 else inputs


def peeking() -> nn.Module:
    return Counted(nn.Flatten(), nn.Linear(16, CLASSES), Peeks())


class Breaks(nn.Module):
    """Cannot be trained, only evaluated."""

    message = "out of memory\n(more than anyone wants to know)"

    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp()

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            raise RuntimeError(self.message)
        return self.inner(inputs)


class BreaksSilently(Breaks):
    message = ""


def assert_as_alone(found: list[TrainingResult | str], task: Task, seed: int, test: bool = True) -> None:
    """As `train_single` gives for each, up to the rounding of another order of summation."""
    for result, training in zip(found, TRAININGS, strict=True):
        expected = train_single(task, training, CONFIG, seed, test=test)
        assert isinstance(result, TrainingResult)
        assert (result.diverged, result.stopped) == (expected.diverged, expected.stopped)
        assert result.validation == pytest.approx(expected.validation, abs=1e-5)
        assert result.test == (None if expected.test is None else pytest.approx(expected.test, abs=1e-5))


@pytest.mark.parametrize("model", [mlp, cnn, peeking])
def test_results_are_those_of_single_training(model: Callable[[], nn.Module]) -> None:
    task = task_of(model)
    found = Trainer(task, CONFIG).train(TRAININGS, seed=4, test=True)
    assert_as_alone(found, task, seed=4)
    scores = [result.validation for result in found if isinstance(result, TrainingResult)]
    assert len(set(scores)) == len(TRAININGS)
    assert scores[-1] == 0.0
    assert min(scores[:-1]) > 0.2


def test_no_test_metric_unless_asked() -> None:
    task = dataclasses.replace(task_of(mlp), test=None)
    found = Trainer(task, CONFIG).train(TRAININGS, seed=1)
    assert_as_alone(found, task, seed=1, test=False)
    assert {result.test for result in found if isinstance(result, TrainingResult)} == {None}


def test_seeds_differ_and_repeat() -> None:
    trainer = Trainer(task_of(mlp), CONFIG)
    first, other, again = (trainer.train(TRAININGS[:2], seed) for seed in (1, 2, 1))
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_nothing_to_train() -> None:
    assert Trainer(task_of(mlp), CONFIG).train([], seed=0) == []


@pytest.mark.parametrize(("model", "together"), [(mlp, True), (cnn, False), (peeking, False)])
def test_together_where_that_is_faster(model: Callable[[], nn.Module], together: bool) -> None:
    """One forward pass a step for all, or one for each."""
    trainer = Trainer(task_of(model), CONFIG)
    forwards.clear()
    trainer.train(TRAININGS, seed=0)
    steps = [samples for samples in forwards if samples == CONFIG.batch_size]
    assert len(steps) == CONFIG.steps * (1 if together else len(TRAININGS))


def test_worth_stacking(caplog: pytest.LogCaptureFixture) -> None:
    """A convolutional network only on a GPU (which this test does not need), and quietly not elsewhere."""
    caplog.set_level(logging.WARNING, "glo")
    assert worth_stacking(task_of(mlp), "cpu")
    assert not worth_stacking(task_of(cnn), "cpu")
    assert not worth_stacking(task_of(cnn), torch.device("cpu"))
    assert worth_stacking(task_of(cnn), "cuda")
    assert not caplog.records
    assert not worth_stacking(task_of(peeking), "cpu")
    assert not worth_stacking(task_of(peeking), "cuda")
    assert len(caplog.records) == 2


@pytest.mark.parametrize("convolution", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
def test_any_convolution_counts(convolution: Callable[..., nn.Module]) -> None:
    class Hidden(nn.Module):
        """A convolution deep in a model; it need not be used."""

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.ModuleDict({"deep": nn.Sequential(convolution(1, 1, 1))})
            self.head = nn.Linear(16, CLASSES)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.head(inputs.flatten(1))

    assert not worth_stacking(task_of(Hidden), "cpu")


def test_a_model_that_cannot_be_stacked_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    trainer = Trainer(task_of(peeking), CONFIG)
    for seed in range(2):
        assert all(isinstance(result, TrainingResult) for result in trainer.train(TRAININGS, seed))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "'2' (Peeks)" in record.getMessage()
    assert "one network at a time" in record.getMessage()


def test_a_crash_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    assert Trainer(task_of(Breaks), CONFIG).train(TRAININGS, seed=0) == ["out of memory"] * len(TRAININGS)
    assert Trainer(task_of(Breaks), CONFIG).train(TRAININGS[:1], seed=0) == ["out of memory"]
    assert Trainer(task_of(BreaksSilently), CONFIG).train(TRAININGS[:1], seed=0) == ["RuntimeError"]
    assert "out of memory" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError, ValueError, ZeroDivisionError])
def test_a_crash_of_one_leaves_the_others(error: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    def fragile(predictions: Tensor, targets: Tensor) -> Tensor:
        """Breaks on a network that is very sure, but not on a constant prediction."""
        if predictions.max() > 0.9999 and predictions.std(0).max() > 0:
            raise error("too sure of itself")
        return certainty(predictions, targets)

    healthy, task = TRAININGS[0], task_of(mlp, metric=fragile)
    found = Trainer(task, CONFIG).train([healthy, Training(healthy.expression, 500.0), TRAININGS[2]], seed=0)
    expected = [train_single(task, training, CONFIG, 0) for training in (healthy, TRAININGS[2])]
    assert found == [expected[0], "too sure of itself", expected[1]]
    assert "training together failed, now one by one: too sure of itself" in caplog.text


def test_a_mistake_in_the_program_is_no_crash() -> None:
    """What no training raises is not hidden."""

    def wrong(predictions: Tensor, targets: Tensor) -> Tensor:
        raise NameError("predicitons")

    with pytest.raises(NameError, match="predicitons"):
        Trainer(task_of(mlp, metric=wrong), CONFIG).train(TRAININGS, seed=0)
