"""A number that a metric chooses on validation is used on the test split, by both engines."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from glo.catalog import NAMED
from glo.errors import TaskError
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Metric, Task
from glo.training import rehearse, train_population, train_single
from training_tasks import classification, mlp

Train = Callable[[Task, Training, TrainingConfig], TrainingResult]
MEMBER = Training(NAMED["cross_entropy"], 0.1)


def alone(task: Task, member: Training, config: TrainingConfig) -> TrainingResult:
    return train_single(task, member, config, seed=4, test=True)


def together(task: Task, member: Training, config: TrainingConfig) -> TrainingResult:
    """The last of three networks."""
    others = [Training(NAMED["brier"], 0.5), Training(NAMED["cross_entropy"], 1e-3)]
    return train_population(task, [*others, member], config, seed=4, test=True)[-1]


ENGINES = pytest.mark.parametrize("train", [alone, together])


def samples(predictions: Tensor, targets: Tensor) -> float:
    return float(len(targets))


def fitted_number(predictions: Tensor, targets: Tensor, fitted: float) -> float:
    return fitted


@ENGINES
@pytest.mark.parametrize("curve_on", ["validation", "test"])
def test_the_test_split_is_measured_with_the_number_of_validation(train: Train, curve_on: str) -> None:
    task = classification(mlp, metric=Metric(fitted_number, fit=samples))
    config = TrainingConfig(steps=12, batch_size=20, curve_every=6, curve_on=curve_on)  # pyright: ignore[reportArgumentType]
    validation = len(task.validation)
    assert validation != len(task.split("test"))
    result = train(task, MEMBER, config)
    assert (result.validation, result.test) == (validation, validation)
    assert result.curve == ((6, validation), (12, validation))


@ENGINES
def test_each_network_has_its_own_number(train: Train) -> None:
    def largest(predictions: Tensor, targets: Tensor) -> float:
        return float(predictions.max())

    config = TrainingConfig(steps=12, batch_size=20)
    task = classification(mlp, metric=Metric(fitted_number, fit=largest))
    found = [train(task, Training(NAMED["cross_entropy"], rate), config) for rate in (0.1, 0.5)]
    assert [result.test for result in found] == [result.validation for result in found]
    assert found[0].validation != found[1].validation


@ENGINES
def test_nothing_is_chosen_on_test_if_validation_diverged(train: Train) -> None:
    seen: set[int] = set()

    def fit(predictions: Tensor, targets: Tensor) -> float:
        seen.add(len(targets))
        return 0.5

    def nothing(predictions: Tensor, targets: Tensor, fitted: float) -> float:
        return torch.nan

    task = classification(mlp, metric=Metric(nothing, fit=fit))
    config = TrainingConfig(steps=6, batch_size=20, curve_every=3, curve_on="test")
    result = train(task, MEMBER, config)
    assert (result.diverged, result.test, result.curve) == (True, 0.0, ((3, 0.0), (6, 0.0)))
    assert seen == {len(task.validation)}


def test_a_choice_must_be_one_number() -> None:
    def pair(predictions: Tensor, targets: Tensor) -> float:
        return targets[:2]  # pyright: ignore[reportReturnType]

    with pytest.raises(TaskError, match=r"fit of the metric must return one number, not a tensor of shape \(2,\)"):
        classification(mlp, metric=Metric(fitted_number, fit=pair))
    with pytest.raises(TaskError, match="fit of a metric is a function of predictions and targets, not a float"):
        Metric(fitted_number, fit=0.5)  # pyright: ignore[reportArgumentType]


def test_a_metric_with_a_choice_can_be_rehearsed() -> None:
    rehearse(classification(mlp, metric=Metric(fitted_number, fit=samples)), TrainingConfig(batch_size=20))


def test_the_choice_is_part_of_the_identity() -> None:
    def other(predictions: Tensor, targets: Tensor) -> float:
        return float(len(targets) + 1)

    digests = [classification(mlp, metric=Metric(fitted_number, fit=fit)).digest() for fit in (samples, samples, other)]
    assert digests[0] == digests[1] != digests[2]
