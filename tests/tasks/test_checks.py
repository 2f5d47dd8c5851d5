"""Targets fit the model's outputs in every split, and a metric prefers what is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
from torch import Tensor, nn

from glo.errors import TaskError
from glo.tasks import METRICS, Task

INPUTS = torch.arange(24.0).reshape(8, 3)
LABELS = torch.arange(8) % 3
YES_NO = (torch.arange(8) % 2).float()


def task(outputs: int, train: Tensor, validation: Tensor | None = None, test: Tensor | None = None, **more: Any) -> Task:
    validation = train if validation is None else validation
    splits = {"train": (INPUTS, train), "validation": (INPUTS, validation)}
    splits |= {} if test is None else {"test": (INPUTS, test)}
    return Task("mine", lambda: nn.Linear(3, outputs), **splits, **more)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"outputs": 2, "train": YES_NO, "link": "sigmoid"}, r"outputs have shape \(2, 2\).*targets of train need \(2, 1\)"),
        ({"outputs": 1, "train": torch.rand(8, 3), "link": "identity"}, r"\(2, 1\).*train need \(2, 3\)"),
        ({"outputs": 3, "train": torch.rand(8), "link": "identity"}, r"\(2, 3\).*train need \(2, 1\)"),
        ({"outputs": 3, "train": LABELS, "validation": LABELS + 1}, r"targets of validation need \(2, 4\)"),
        ({"outputs": 3, "train": LABELS, "test": LABELS + 5}, r"targets of test need \(2, 8\)"),
        (
            {"outputs": 3, "train": LABELS, "validation": nn.functional.one_hot(LABELS, 3).float()},
            "validation has probabilities and train has class indices",
        ),
        ({"outputs": 1, "train": LABELS * 0}, "the softmax of one output is always 1: use link='sigmoid'"),
        ({"outputs": 3, "train": LABELS, "metric": "r2"}, "'r2' does not fit the softmax link: use accuracy"),
        ({"outputs": 1, "train": YES_NO, "link": "identity", "metric": "accuracy"}, "'accuracy' does not fit .*identity"),
        (
            {"outputs": 2, "train": torch.stack([YES_NO, 1 - YES_NO], 1), "link": "sigmoid", "metric": "balanced_accuracy"},
            "'balanced_accuracy' is for one decision a sample, not for 2: use f1_macro",
        ),
    ],
)
def test_targets_and_metrics_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message) as caught:
        task(**arguments)
    assert "task 'mine'" in str(caught.value)


def negative_log_likelihood(predictions: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.nll_loss(predictions.clamp_min(1e-9).log(), targets)


def correlation(predictions: Tensor, targets: Tensor) -> Tensor:
    """NaN for a constant prediction."""
    return torch.corrcoef(torch.stack([predictions.argmax(1).double(), targets.double()]))[0, 1]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (lambda p, t: -negative_log_likelihood(p, t), "metric is .*0 for perfect predictions, but useless is 0"),
        (
            lambda p, t: 1 + negative_log_likelihood(p, t),
            "1 for perfect predictions, but for constant .* it is 16.5",
        ),
        (lambda p, t: (p.argmax(1) != t).float().mean(), "metric is 0 for perfect predictions"),
        (lambda p, t: None, "metric must return one number, not NoneType"),
        (lambda p, t: p.mean(0), r"metric must return one number, not a tensor of shape \(3,\)"),
        (lambda p, t: "0.9 or so", "metric must return one number, not str"),
        (7, "metric must be a function or one of accuracy, .*not 7"),
    ],
)
def test_a_metric_must_be_a_number_of_which_more_is_better(metric: Any, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        task(3, LABELS, metric=metric)


@pytest.mark.parametrize(
    "metric",
    [
        correlation,
        lambda p, t: 1 / (1 + negative_log_likelihood(p, t)),
        lambda p, t: sklearn.metrics.roc_auc_score(t, p, multi_class="ovr"),
        lambda p, t: np.float32(0.3),
        lambda p, t: torch.tensor([[0.3]]),
    ],
)
def test_any_metric_of_which_more_is_better_is_accepted(metric: Callable[..., Any]) -> None:
    assert task(3, LABELS, metric=metric).metric is metric


def test_chance_of_a_metric_without_a_value_for_constants_is_below_everything() -> None:
    assert task(3, LABELS, metric=correlation).chance() == -torch.inf


@pytest.mark.parametrize("seed", range(20))
def test_f1_of_several_yes_no_labels_agrees_with_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    predictions = generator.random((12, 4)) * generator.choice([0.4, 1.0], 4)  # some labels are never decided for
    labels = (generator.random((12, 4)) < generator.choice([0.0, 0.5], 4)).astype(float)  # or never true
    found = METRICS["f1_macro"](torch.from_numpy(predictions), torch.from_numpy(labels))
    expected = sklearn.metrics.f1_score(labels, predictions > 0.5, average="macro", zero_division=0)  # pyright: ignore
    assert float(found) == pytest.approx(expected, abs=1e-6)
