"""Several networks: together where that is faster, else one by one, with the same results; a crash is a failure."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glo.catalog import NAMED
from glo.expr import parse
from glo.records import Failure, Result, Status, Training, TrainingConfig, TrainingResult
from glo.tasks import Task
from glo.training import train_networks, train_single, trains_together
from small import with_metric

CLASSES = 3
CONFIG = TrainingConfig(steps=6, batch_size=20)
TRAININGS = [
    Training(NAMED["cross_entropy"], 0.5),
    Training(NAMED["baikal"], 0.03),
    Training(NAMED["brier"], 1.0),
    Training(parse("x*y*log(0 - 1)"), 0.1),
]
forwards: list[int] = []  # the number of samples in each forward pass in training mode


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
            forwards.append(len(input))
        return super().forward(input)


def mlp() -> nn.Module:
    return Counted(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, CLASSES))


def cnn() -> nn.Module:
    return Counted(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, CLASSES))


class Branch(nn.Module):
    """Needs the value of a tensor, which a vectorised model does not have."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * 2 if inputs.abs().sum().item() > 0 else inputs


def branching() -> nn.Module:
    return Counted(nn.Flatten(), nn.Linear(16, CLASSES), Branch())


class Broken(nn.Module):
    """Can be evaluated, but raises an error in training."""

    message = "out of memory\n(and a long explanation)"

    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp()

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            raise RuntimeError(self.message)
        return self.inner(inputs)


class BrokenSilently(Broken):
    message = ""


def trained(task: Task, trainings: Sequence[Training] = TRAININGS, seed: int = 0, test: bool = False) -> list[Result]:
    """As an executor trains them."""
    return train_networks(task, trainings, CONFIG, seed, "cpu", test, trains_together(task, "cpu"))


def assert_as_alone(found: Sequence[Result], task: Task, seed: int, test: bool = True) -> None:
    """The results are those of `train_single`, up to rounding."""
    for result, training in zip(found, TRAININGS, strict=True):
        expected = train_single(task, training, CONFIG, seed, test=test)
        assert isinstance(result, TrainingResult)
        assert (result.diverged, result.stopped) == (expected.diverged, expected.stopped)
        assert result.validation == pytest.approx(expected.validation, abs=1e-5)
        assert result.test == (None if expected.test is None else pytest.approx(expected.test, abs=1e-5))


@pytest.mark.parametrize("model", [mlp, cnn, branching])
def test_results_are_those_of_single_training(model: Callable[[], nn.Module]) -> None:
    task = task_of(model)
    found = trained(task, seed=4, test=True)
    assert_as_alone(found, task, seed=4)
    scores = [result.validation for result in found if isinstance(result, TrainingResult)]
    assert len(set(scores)) == len(TRAININGS)
    assert scores[-1] == 0.0
    assert min(scores[:-1]) > 0.2


def test_no_test_metric_unless_asked_for() -> None:
    task = dataclasses.replace(task_of(mlp), test=None)
    found = trained(task, seed=1)
    assert_as_alone(found, task, seed=1, test=False)
    assert {result.test for result in found if isinstance(result, TrainingResult)} == {None}


def test_seeds_differ_and_repeat() -> None:
    first, other, again = (trained(task_of(mlp), TRAININGS[:2], seed) for seed in (1, 2, 1))
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("together", [True, False])
def test_nothing_to_train(together: bool) -> None:
    assert train_networks(task_of(mlp), [], CONFIG, seed=0, together=together) == []


@pytest.mark.parametrize(("model", "together"), [(mlp, True), (cnn, False), (branching, False)])
def test_together_where_that_is_faster(model: Callable[[], nn.Module], together: bool) -> None:
    """One forward pass a step for all networks, or one for each."""
    task = task_of(model)
    assert trains_together(task, "cpu") is together
    forwards.clear()
    trained(task)
    steps = [samples for samples in forwards if samples == CONFIG.batch_size]
    assert len(steps) == CONFIG.steps * (1 if together else len(TRAININGS))


def test_one_by_one_if_asked_for() -> None:
    task = task_of(mlp)
    forwards.clear()
    assert_as_alone(train_networks(task, TRAININGS, CONFIG, seed=0, test=True, together=False), task, seed=0)
    assert forwards.count(CONFIG.batch_size) == 2 * CONFIG.steps * len(TRAININGS)  # `assert_as_alone` trains them too


def test_a_convolutional_network_is_trained_together_with_others_only_on_a_gpu(caplog: pytest.LogCaptureFixture) -> None:
    """The test needs no GPU.  A warning is logged only for a model that cannot be stacked."""
    caplog.set_level(logging.WARNING, "glo")
    assert trains_together(task_of(mlp), "cpu")
    assert not trains_together(task_of(cnn), "cpu")
    assert not trains_together(task_of(cnn), torch.device("cpu"))
    assert trains_together(task_of(cnn), "cuda")
    assert trains_together(task_of(cnn), torch.device("cuda", 1))
    assert not caplog.records
    assert not trains_together(task_of(branching), "cpu")
    assert not trains_together(task_of(branching), "cuda")
    assert len(caplog.records) == 2


def test_the_answer_for_a_task_depends_on_the_kind_of_device() -> None:
    task = task_of(cnn)
    assert [trains_together(task, device) for device in ("cpu", "cuda", "cpu", "cuda:1")] == [False, True, False, True]


@pytest.mark.parametrize(("convolution", "shape"), [(nn.Conv1d, (16,)), (nn.Conv2d, (4, 4)), (nn.Conv3d, (4, 2, 2))])
def test_any_convolution_counts(convolution: Callable[..., nn.Module], shape: tuple[int, ...]) -> None:
    class Hidden(nn.Module):
        """A convolution deep in a model."""

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.ModuleDict({"deep": nn.Sequential(convolution(1, 1, 1))})
            self.head = nn.Linear(16, CLASSES)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.head(self.body["deep"](inputs.reshape(-1, 1, *shape)).flatten(1))

    assert not trains_together(task_of(Hidden), "cpu")


def test_a_large_model_is_trained_together_only_as_a_chain() -> None:
    """By vmap it takes more memory than the cache has; the size of a step depends on the batch."""

    class Residual(nn.Module):
        """No chain: two of its values are added."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = nn.Linear(16, 256), nn.Linear(256, 256), nn.Linear(256, CLASSES)

        def forward(self, inputs: Tensor) -> Tensor:
            hidden = self.first(inputs.flatten(1)).relu()
            return self.head(hidden + self.second(hidden).relu())

    class Chain(Residual):
        def forward(self, inputs: Tensor) -> Tensor:
            return self.head(self.second(self.first(inputs.flatten(1)).relu()).relu())

    residual, chain = task_of(Residual), task_of(Chain)
    batches = (32, 1024)
    assert [trains_together(residual, "cpu", batch) for batch in batches] == [True, False]
    assert [trains_together(residual, "cuda", batch) for batch in batches] == [True, True]
    assert [trains_together(chain, "cpu", batch) for batch in batches] == [True, True]


def test_a_model_that_cannot_be_stacked_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    task = task_of(branching)
    for seed in range(2):
        assert all(isinstance(result, TrainingResult) for result in trained(task, seed=seed))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "'2' (Branch)" in record.getMessage()
    assert "one network at a time" in record.getMessage()


def test_the_reason_of_a_crash_has_type_message_and_place(caplog: pytest.LogCaptureFixture) -> None:
    failures = [*trained(task_of(Broken)), *trained(task_of(Broken), TRAININGS[:1])]
    assert len(failures) == len(TRAININGS) + 1
    for failure in failures:
        assert isinstance(failure, Failure)
        assert failure.status is Status.CRASHED
        assert re.fullmatch(r"RuntimeError: out of memory \(in forward, test_networks.py:\d+\)", failure.reason)
    (silent,) = trained(task_of(BrokenSilently), TRAININGS[:1])
    assert isinstance(silent, Failure)
    assert re.fullmatch(r"RuntimeError \(in forward, test_networks.py:\d+\)", silent.reason)
    assert "out of memory" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError, ValueError, ZeroDivisionError])
def test_a_crash_of_one_network_leaves_the_others(error: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    def fragile(predictions: Tensor, targets: Tensor) -> Tensor:
        """Raises an error for a network that is very sure, but not for a constant prediction."""
        if predictions.max() > 0.9999 and predictions.std(0).max() > 0:
            raise error("too sure of itself")
        return certainty(predictions, targets)

    healthy, task = TRAININGS[0], task_of(mlp, metric=fragile)
    found = trained(task, [healthy, Training(healthy.expression, 500.0), TRAININGS[2]])
    expected = [train_single(task, training, CONFIG, 0) for training in (healthy, TRAININGS[2])]
    assert [found[0], found[2]] == expected
    assert isinstance(found[1], Failure)
    assert found[1].reason.startswith(f"{error.__name__}: too sure of itself (in fragile, ")
    assert f"training a population failed, so its networks are trained one by one: {error.__name__}: too" in caplog.text


@pytest.mark.parametrize("error", [NameError, KeyError, AssertionError, MemoryError, NotImplementedError])
def test_an_exception_of_any_kind_is_a_failure_of_its_training(error: type[Exception]) -> None:
    def wrong(predictions: Tensor, targets: Tensor) -> Tensor:
        raise error

    (failure,) = trained(task_of(mlp, metric=wrong), TRAININGS[:1])
    assert isinstance(failure, Failure)
    assert re.fullmatch(rf"{error.__name__} \(in wrong, test_networks.py:\d+\)", failure.reason)


def test_an_interrupt_is_no_failure() -> None:
    def interrupted(predictions: Tensor, targets: Tensor) -> Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(with_metric(task_of(mlp), interrupted), TRAININGS[:1])
