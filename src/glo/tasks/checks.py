"""Checks of a task when it is made: do its model, its data and its metric fit together?"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from glo.errors import RAISED, TaskError
from glo.records import Link
from glo.tasks.factory import check_factory, fresh_model, run
from glo.tasks.named_metrics import NAMES, OF_ONE_DECISION, OF_REGRESSION, OF_TWO_CLASSES, named_metric
from glo.tasks.shapes import as_rows, counted

if TYPE_CHECKING:
    from glo.tasks.definition import Task
    from glo.tasks.fitting import Data
    from glo.tasks.split import Split

logger = logging.getLogger("glo")

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
    _check_classes(task)
    _check_metric(task, model)


def _check_split(task: Task, model: nn.Module, name: str, split: Data) -> None:
    """The targets of a split have the kind of the training targets, and fit the model's outputs."""
    where = f"task '{task.name}': {name}"
    first = split.first
    by_index = not first.targets.is_floating_point()
    if by_index == task.train.first.targets.is_floating_point():
        forms = ("class indices", "probabilities") if by_index else ("probabilities", "class indices")
        raise TaskError(f"{where} has {forms[0]} and train has {forms[1]} as targets: give all splits the same form")
    samples = split.head
    outputs = run(task, model, samples.inputs)
    shape = tuple(outputs.shape)
    targets = samples.targets
    needed = _highest(first.targets, task.ignore_index) + 1 if by_index else targets.shape[1]
    places = targets.shape[1:] if by_index else targets.shape[2:]
    outputs = outputs.unsqueeze(1) if outputs.dim() == 1 else outputs
    matches = outputs.dim() >= 2 and len(outputs) == len(samples) and outputs.shape[2:] == places
    if not matches or outputs.shape[1] < needed or (outputs.shape[1] > needed and not by_index):
        several = "; if a sample may have several labels, use link='sigmoid'" if by_index and places else ""
        wanted = ", ".join(map(str, (len(samples), needed, *places)))
        raise TaskError(
            f"task '{task.name}': the model's outputs have shape {shape} for {len(samples)} samples, "
            f"but the targets of {name} need ({wanted}){several}"
        )
    if task.link is Link.SOFTMAX and outputs.shape[1] == 1:
        raise TaskError(f"{where}: the softmax of one output is always 1: use link='sigmoid', or one output for each class")
    if name == "train":
        _check_training_outputs(task, samples, shape)
    elif split.first.weights is not None:
        raise TaskError(f"{where} has sample weights, which no metric reads: give weights for train alone")


def _highest(targets: Tensor, ignore_index: int | None) -> int:
    """The highest class index; 0 if none counts, as in a batch of a stream."""
    found = counted(targets, ignore_index)
    return int(found.max()) if len(found) else 0


def _check_training_outputs(task: Task, samples: Split, shape: tuple[int, ...]) -> None:
    """In training mode, the outputs have the same shape as in evaluation; the rehearsal reports a model that fails there."""
    try:
        trained = tuple(run(task, fresh_model(task, 0).train(), samples.inputs).shape)
    except TaskError:
        return
    if trained != shape:
        raise TaskError(
            f"task '{task.name}': the model's outputs have shape {trained} in training and {shape} in evaluation: give the "
            "task the one that counts, e.g. by output=lambda outputs: ..."
        )


def _check_classes(task: Task) -> None:
    """The training split has more than one class, and every class of the others."""
    if task.link is Link.IDENTITY or task.streams or task.train.targets.dim() > 2:
        return
    found = {name: _classes(split.targets, task.ignore_index) for name, split in task.splits.items()}
    if found["train"] is None:
        return
    if len(found["train"]) == 1:
        raise TaskError(f"task '{task.name}': all samples of train have the same class: there is nothing to learn")
    for name in ("validation", "test"):
        classes = found.get(name) or set()
        if unseen := sorted(classes - found["train"]):
            some = ", ".join(str(task.class_names[each] if task.class_names else each) for each in unseen[:5])
            logger.warning(
                "task '%s': %s has classes that train does not have (%s): no network can learn them", task.name, name, some
            )
        if len(classes) == 1:
            logger.warning(
                "task '%s': all samples of %s have the same class, so that its metric says little", task.name, name
            )


def _classes(targets: Tensor, ignore_index: int | None) -> set[int] | None:
    """The classes that occur; of labels, only those of one yes-no question count."""
    if not targets.is_floating_point():
        return set(counted(targets, ignore_index).unique().tolist())
    if targets.shape[1] == 1 and bool(((targets == 0) | (targets == 1)).all()):
        return {int(label) for label in targets.unique().tolist()}
    return None


def _check_metric(task: Task, model: nn.Module) -> None:
    """Perfect predictions are not worse than a constant one; of a metric whose 0 means useless, they score above 0."""
    where = f"task '{task.name}': metric"
    if isinstance(task.metric, str):
        check_named_metric(task, task.metric)
        return
    if not callable(task.metric):
        raise TaskError(f"{where} must be a function or one of {NAMES}, not {task.metric!r}")
    perfect = as_rows(task.validation.targets)
    if task.link is Link.SOFTMAX:
        labels = perfect.argmax(1) if perfect.is_floating_point() else perfect
        width = run(task, model, task.validation.head.inputs).shape[1]
        perfect = nn.functional.one_hot(labels.clamp(0, width - 1), width).float()
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


def check_named_metric(task: Task, metric: str) -> None:
    """Check that there is a metric of this name, and that it fits the task.

    Raises:
        TaskError: if not; the message says which to use.
    """
    where = f"task '{task.name}': metric"
    try:
        named_metric(metric)
    except TaskError as error:
        raise TaskError(f"task '{task.name}': {error}") from None
    kind = metric.partition(":")[0]
    if (kind in OF_REGRESSION) != (task.link is Link.IDENTITY) and (task.link, kind) != (Link.SIGMOID, "r2"):
        fitting = "accuracy" if kind in OF_REGRESSION else "r2 or rmse"
        raise TaskError(f"{where} '{metric}' does not fit the {task.link} link: use {fitting}, or a function of your own")
    if kind in OF_ONE_DECISION and task.link is Link.SIGMOID and task.classes > 1:
        raise TaskError(f"{where} '{metric}' is for one decision a sample, not for {task.classes}: use f1_macro")
    if kind in OF_TWO_CLASSES and task.classes > (1 if task.link is Link.SIGMOID else 2):
        raise TaskError(f"{where} '{metric}' is for two classes or one yes-no output, not for {task.classes}: use f1_macro")


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
    samples = len(as_rows(task.validation.targets))
    mean = as_rows(task.train.first.targets).float().mean(0)
    constants = list(torch.eye(task.classes)) if task.link is Link.SOFTMAX else [mean]
    scores = [_score(task, constant.expand(samples, -1)) for constant in constants]
    sign = task.direction.sign
    finite = (score for score in scores if math.isfinite(score))
    return max(finite, key=lambda score: sign * score, default=-sign * math.inf)


def as_score(value: object, name: str, what: str = "metric") -> float:
    """The number that the metric of the task of this name returned, or another function of it.

    Raises:
        TaskError: if it is not one number.
    """
    if isinstance(value, Tensor) and value.numel() != 1:
        raise TaskError(f"task '{name}': {what} must return one number, not a tensor of shape {tuple(value.shape)}")
    try:
        return float(value)  # pyright: ignore[reportArgumentType] - a tensor, or a number of any kind
    except (TypeError, ValueError, RuntimeError):
        raise TaskError(f"task '{name}': {what} must return one number, not {type(value).__name__}") from None
