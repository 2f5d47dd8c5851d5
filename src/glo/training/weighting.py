"""The loss of a training: its scale, and what each row of a batch counts in it by sample and class weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glo.errors import ConfigError
from glo.expr import Expr
from glo.loss import unit_gradient
from glo.records import Link, TrainingConfig
from glo.tasks import Split, Task, as_rows

TINY = torch.finfo(torch.float32).tiny


def check_options(task: Task, config: TrainingConfig) -> None:
    """Refuse options of a task and a training that exclude each other.

    Raises:
        ConfigError: for label smoothing of a regression, or of one yes-no question with class weights, where it would not be
            said which of the two comes first.
    """
    if not config.label_smoothing:
        return
    if task.link is Link.IDENTITY:
        raise ConfigError("label_smoothing is for probabilities: the identity link has none")
    if "pos_weight" in task.loss_options:
        raise ConfigError(
            "training.label_smoothing does not go with the class_weight of a yes-no question: give one of them"
        )


def trained_losses(task: Task, expressions: Sequence[Expr], config: TrainingConfig) -> list[Expr]:
    """The expressions whose negations are minimised: as they are written, or with the unit gradient."""
    if not config.unit_gradient:
        return list(expressions)
    link, classes, prior = task.link, task.classes, task.prior
    return [unit_gradient(expression, link, classes, prior) for expression in expressions]


def row_weights(task: Task, split: Split) -> tuple[Tensor, Tensor] | None:
    """For each row, its weight and what it adds to the sum by which a mean is divided, each of shape (rows).

    The weight is that of the sample, and 0 for an ignored label.  `nn.CrossEntropyLoss` divides by the sum of the weights
    times the class weights of the targets.  None if all rows count the same.
    """
    targets = as_rows(split.targets)
    by_index = not targets.is_floating_point()
    ignores = task.ignore_index is not None and by_index
    by_class = task.class_weight is not None and by_index
    if split.weights is None and not ignores and not by_class:
        return None
    weights = torch.ones(len(targets), device=targets.device)
    if split.weights is not None:
        weights = split.weights.repeat_interleave(len(targets) // len(split.targets))
    if ignores:
        weights = weights * (targets != task.ignore_index)
    if not by_class:
        return weights, weights
    return weights, weights * torch.tensor(task.class_weight, device=targets.device)[_without_ignored(task, targets)]


def shares(weights: Tensor, divisors: Tensor) -> Tensor:
    """The share of each row in a loss; all 0 if no row counts, so that the gradient of such a step is 0."""
    return weights / divisors.sum().clamp_min(TINY)


@dataclass(frozen=True)
class Rows:
    """The labels and weights of all rows of a training split, as the losses of a population take them.

    Attributes:
        labels: class indices (N, R) or labels (N, R, C), of R rows for each sample.  Ignored ones are 0, and label smoothing
            makes them soft.
        weights: weights and divisors of the rows, each of shape (N, R), or None.
        positive: what a row counts besides, by the class weights of a yes-no question, shape (N, R), or None.
    """

    labels: Tensor
    weights: tuple[Tensor, Tensor] | None
    positive: Tensor | None

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """The labels and the shares of a batch's rows; None if each counts the same."""
        labels = self.labels[index].flatten(0, 1)
        found = None
        if self.weights is not None:
            weights, divisors = self.weights
            found = shares(weights[index].flatten(), divisors[index].flatten())
        if self.positive is not None:
            positive = self.positive[index].flatten()
            found = positive / len(positive) if found is None else positive * found
        return labels, found


def rows_of(task: Task, split: Split, config: TrainingConfig) -> Rows:
    """The rows of a training split.

    Raises:
        ConfigError: as `check_options`.
    """
    check_options(task, config)
    samples = len(split)
    labels = _labels(task, split, config)
    weights = row_weights(task, split)
    positive = None
    if (factor := task.loss_options.get("pos_weight")) is not None:
        positive = (1 + (factor[0] - 1) * as_rows(split.targets)[:, 0]).reshape(samples, -1)
    return Rows(
        labels.unflatten(0, (samples, -1)),
        None if weights is None else (weights[0].reshape(samples, -1), weights[1].reshape(samples, -1)),
        positive,
    )


def _labels(task: Task, split: Split, config: TrainingConfig) -> Tensor:
    targets = as_rows(split.targets)
    if not targets.is_floating_point():
        targets = _without_ignored(task, targets)
    if not config.label_smoothing:
        return targets
    uniform = 1 / task.outputs if task.link is Link.SOFTMAX else 0.5
    hard = targets if targets.is_floating_point() else torch.eye(task.outputs, device=targets.device)[targets]
    return hard * (1 - config.label_smoothing) + config.label_smoothing * uniform


def _without_ignored(task: Task, targets: Tensor) -> Tensor:
    return targets if task.ignore_index is None else targets.masked_fill(targets == task.ignore_index, 0)
