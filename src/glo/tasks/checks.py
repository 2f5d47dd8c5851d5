"""Checks of a task when it is made: do its model, its data and its metric fit together?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from glo.errors import RAISED, TaskError
from glo.records import Link
from glo.tasks.factory import check_factory, run
from glo.tasks.metrics import METRICS, OF_ONE_DECISION, OF_REGRESSION

if TYPE_CHECKING:
    from glo.tasks.definition import Task
    from glo.tasks.split import Split

TOLERANCE = 1e-6  # of a metric that is computed in float32


def check_task(task: Task) -> None:
    """Check everything that can be checked without a training.

    Raises:
        TaskError: if something does not fit; the message names the argument.
    """
    model = check_factory(task).eval()
    for name in ("train", "validation", "test"):
        if (split := getattr(task, name)) is not None:
            _check_split(task, model, name, split)
    _check_metric(task, model)


def _check_split(task: Task, model: nn.Module, name: str, split: Split) -> None:
    """The targets of a split have the kind of the training targets, and fit the model's outputs."""
    where = f"task '{task.name}': {name}"
    by_index = not split.targets.is_floating_point()
    if split.targets.is_floating_point() != task.train.targets.is_floating_point():
        forms = ("class indices", "probabilities") if by_index else ("probabilities", "class indices")
        raise TaskError(f"{where} has {forms[0]} and train has {forms[1]} as targets: give all splits the same form")
    samples = split.inputs[:2]
    outputs = run(task, model, samples)
    shape = tuple(outputs.shape)
    outputs = outputs.unsqueeze(1) if outputs.dim() == 1 else outputs
    needed = int(split.targets.max()) + 1 if by_index else split.targets.shape[1]
    matches = outputs.dim() == 2 and len(outputs) == len(samples)
    if not matches or outputs.shape[1] < needed or (outputs.shape[1] > needed and not by_index):
        raise TaskError(
            f"task '{task.name}': the model's outputs have shape {shape} for {len(samples)} samples, "
            f"but the targets of {name} need ({len(samples)}, {needed})"
        )
    if task.link is Link.SOFTMAX and outputs.shape[1] == 1:
        raise TaskError(f"{where}: the softmax of one output is always 1: use link='sigmoid', or one output for each class")


def _check_metric(task: Task, model: nn.Module) -> None:
    """Perfect predictions are not worse than a constant one; of a metric whose 0 means useless, they score above 0."""
    where = f"task '{task.name}': metric"
    if isinstance(task.metric, str):
        _check_named_metric(task, task.metric, where)
        return
    if not callable(task.metric):
        raise TaskError(f"{where} must be a function or one of {', '.join(METRICS)}, not {task.metric!r}")
    perfect = task.validation.targets
    if task.link is Link.SOFTMAX:
        labels = perfect.argmax(1) if perfect.is_floating_point() else perfect
        perfect = nn.functional.one_hot(labels, run(task, model, task.validation.inputs[:2]).shape[1]).float()
    score, constant = _score(task, perfect), best_constant(task)
    if task.free_scores:
        sign = task.direction.sign
        if sign * score < sign * constant - TOLERANCE:
            raise TaskError(
                f"{where} is {score:g} for perfect predictions, which is worse than {constant:g} for constant ones: is "
                f"its direction not {task.direction}?"
            )
        return
    if score <= 0 or score < constant - TOLERANCE:
        against = "useless is 0" if score <= 0 else f"for constant predictions it is {constant:g}"
        raise TaskError(
            f"{where} is {score + 0.0:g} for perfect predictions, but {against}, and higher must be better: "
            "for an error, give glo.Metric(function, direction='minimize')"
        )


def _check_named_metric(task: Task, metric: str, where: str) -> None:
    if metric not in METRICS:
        raise TaskError(f"{where} must be a function or one of {', '.join(METRICS)}, not {metric!r}")
    if (metric in OF_REGRESSION) != (task.link is Link.IDENTITY) and (task.link, metric) != (Link.SIGMOID, "r2"):
        fitting = "accuracy" if metric in OF_REGRESSION else "r2 or rmse"
        raise TaskError(f"{where} '{metric}' does not fit the {task.link} link: use {fitting}, or a function of your own")
    if metric in OF_ONE_DECISION and task.link is Link.SIGMOID and task.classes > 1:
        raise TaskError(f"{where} '{metric}' is for one decision a sample, not for {task.classes}: use f1_macro")


def _score(task: Task, predictions: Tensor) -> float:
    """The validation metric of these predictions; NaN if it raises an exception for predictions so extreme."""
    try:
        return task.score(predictions, task.validation.targets)
    except TaskError:  # it does not return a number
        raise
    except RAISED:  # if it raises for real predictions too, the search says so
        return math.nan


def best_constant(task: Task) -> float:
    """The best validation metric of a constant prediction: of each class, or of the mean of the training targets.

    It is the worst infinity if the metric has no finite value for any of them.
    """
    targets = task.validation.targets
    constants = list(torch.eye(task.classes)) if task.link is Link.SOFTMAX else [task.train.targets.mean(0)]
    scores = [_score(task, constant.expand(len(targets), -1)) for constant in constants]
    sign = task.direction.sign
    finite = (score for score in scores if math.isfinite(score))
    return max(finite, key=lambda score: sign * score, default=-sign * math.inf)


def as_score(value: object, name: str) -> float:
    """The number that a metric returned.

    Raises:
        TaskError: if it is not one number.
    """
    if isinstance(value, Tensor) and value.numel() != 1:
        raise TaskError(f"task '{name}': metric must return one number, not a tensor of shape {tuple(value.shape)}")
    try:
        return float(value)  # pyright: ignore[reportArgumentType] - a tensor, or a number of any kind
    except (TypeError, ValueError, RuntimeError):
        raise TaskError(f"task '{name}': metric must return one number, not {type(value).__name__}") from None
