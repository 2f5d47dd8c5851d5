"""Losses with `prior` and `progress` in a training: a population trains each as a network alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from glo.expr import parse
from glo.loss import ExpressionLoss
from glo.records import Link, Training, TrainingConfig
from glo.tasks import Split, Task, fresh_model
from glo.training import train_population, train_single
from glo.training.schedule import batches, progress_at
from training_tasks import CONFIGS, TASKS

LOSSES = (
    "x*log(y)/prior",
    "progress*x*log(y) + (1 - progress)*x*y",
    "-square(x - y)*sqrt(prior) - progress*x/y",
    "x*log(y)",
)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("name", ["mlp", "sigmoid", "multilabel"])
def test_population_is_single_for_each(name: str, unit: bool, config: TrainingConfig) -> None:
    task, config = TASKS[name](), config.model_copy(update={"unit_gradient": unit})
    members = [Training(parse(text), 0.1) for text in LOSSES]
    found = train_population(task, members, config, seed=4, test=True)
    expected = [train_single(task, member, config, seed=4, test=True) for member in members]
    for one, other in zip(found, expected, strict=True):
        assert (one.diverged, one.stopped) == (other.diverged, other.stopped)
        assert one.validation == pytest.approx(other.validation, rel=1e-4, abs=1e-4)
        assert one.test == (None if other.test is None else pytest.approx(other.test, rel=1e-4, abs=1e-4))


def imbalanced(ignored: bool = False) -> Task:
    """Three classes with 40, 15 and 5 labels; with `ignored`, five labels of the first do not count."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 40 + [1] * 15 + [2] * 5)
    inputs = torch.randn(60, 6, generator=generator) + torch.eye(6)[labels]
    given = labels.clone()
    if ignored:
        given[:5] = -1
    splits = (inputs, given), (inputs, labels)
    return Task("imbalanced", lambda: nn.Linear(6, 3), *splits, ignore_index=-1 if ignored else None)


def test_the_prior_is_the_share_of_the_training_labels_that_count() -> None:
    assert imbalanced().prior == (0.666667, 0.25, 0.0833333)
    assert imbalanced(ignored=True).prior == (0.636364, 0.272727, 0.0909091)
    assert TASKS["soft labels"]().prior == pytest.approx((1 / 3, 1 / 3, 1 / 3), abs=0.1)
    assert len(TASKS["multilabel"]().prior) == 3


def test_a_users_loop_trains_as_the_engine() -> None:
    """The loop of the documentation, with the same weights and batches."""
    task, config = imbalanced(), TrainingConfig(steps=10, batch_size=20, momentum=0.0)
    expr = parse("progress*x*log(y)/prior + x*y")
    expected = train_single(task, Training(expr, 0.3), config, seed=1)
    model, criterion = fresh_model(task, 1), ExpressionLoss(expr, link=Link.SOFTMAX, prior=task.prior)
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    train = task.train
    assert isinstance(train, Split)
    assert isinstance(train.inputs, torch.Tensor)
    for step, index in enumerate(batches(60, config, seed=1)):
        criterion.progress = step / (config.steps - 1)
        optimizer.zero_grad()
        criterion(model(train.inputs[index]), train.targets[index]).backward()
        optimizer.step()
    assert isinstance(task.validation, Split)
    predicted = model(task.validation.inputs).argmax(1)
    assert float((predicted == task.validation.targets).float().mean()) == pytest.approx(expected.validation)


def test_the_progress_goes_from_0_to_1() -> None:
    config = TrainingConfig(steps=5)
    assert [progress_at(config, step) for step in range(5)] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert progress_at(TrainingConfig(steps=1), 0) == 0.0
