"""A number that a metric chooses on validation is used on the test split, by both engines."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from sklearn.metrics import fbeta_score
from torch import Tensor, nn

from glo.catalog import NAMED
from glo.errors import TaskError
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Metric, Task, fresh_model
from glo.training import rehearse, train_population, train_single
from glo.training.schedule import batches
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


def positives(samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """A rare second class; that of other seeds is as rare, but its samples lie elsewhere."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.arange(samples) % 5 == 0).long()
    return torch.randn(samples, 6, generator=generator) + 0.7 * labels[:, None], labels


@ENGINES
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_f_beta_on_test_has_the_threshold_of_validation(train: Train, link: str) -> None:
    """Both engines reach what a plain loop and scikit-learn do."""
    parts = [positives(samples, seed) for seed, samples in enumerate((60, 45, 40))]
    splits = [(inputs, labels if link == "softmax" else labels.float()) for inputs, labels in parts]
    outputs = 2 if link == "softmax" else 1
    task = Task("rare", lambda: mlp(outputs=outputs), *splits, metric="f_beta:2", link=link)
    config = TrainingConfig(steps=12, batch_size=20, curve_every=12, curve_on="test")
    member = Training(NAMED["cross_entropy" if link == "softmax" else "binary_cross_entropy"], 0.1)
    on_validation, on_test = scores_of_a_plain_loop(task, config, member.learning_rate)

    def f2(scores: Tensor, labels: Tensor, threshold: float) -> float:
        return float(fbeta_score(labels, scores >= threshold, beta=2))

    thresholds = sorted(on_validation.tolist(), key=lambda each: f2(on_validation, parts[1][1], each))
    result = train(task, member, config)
    expected = f2(on_test, parts[2][1], thresholds[-1])
    assert result.validation == pytest.approx(f2(on_validation, parts[1][1], thresholds[-1]))
    assert result.test == pytest.approx(expected)
    assert result.curve == ((12, pytest.approx(expected)),)
    assert expected < max(f2(on_test, parts[2][1], each) for each in on_test.tolist())  # test has another best threshold


def scores_of_a_plain_loop(task: Task, config: TrainingConfig, rate: float) -> list[Tensor]:
    """Predictions of the second class, or of yes, on validation and test."""
    model = fresh_model(task, seed=4)
    loss = nn.CrossEntropyLoss() if task.link == "softmax" else nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for batch in batches(len(task.train), config, seed=4):
        optimizer.zero_grad()
        loss(model(task.train.inputs[batch]), task.train.targets[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        logits = [model(task.split(name).inputs) for name in ("validation", "test")]
    return [each.softmax(1)[:, 1] if task.link == "softmax" else each[:, 0].sigmoid() for each in logits]


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
