"""Variants of a task: wrong labels or less data in the training split, only the first samples, or another metric."""

from __future__ import annotations

from dataclasses import replace

import torch

from glo.errors import TaskError
from glo.records import Link, derive_seed
from glo.tasks.checks import check_named_metric
from glo.tasks.definition import Task
from glo.tasks.fitting import Data
from glo.tasks.split import Split


def with_label_noise(task: Task, fraction: float, seed: int = 0) -> Task:
    """The task with a fraction of its training labels wrong: each is replaced by another class, chosen uniformly.

    Labels of shape (N, C) are rotated among the classes; a yes-no label x becomes 1 - x.  Validation and test do not change.

    Raises:
        TaskError: for a regression task, or unless 0 <= fraction < 1.
    """
    _check_classification(task, "label noise")
    if not 0 <= fraction < 1:
        raise TaskError(f"label noise is a fraction from 0 to below 1, not {fraction}")
    generator = torch.Generator().manual_seed(derive_seed(seed, "label noise"))
    train, classes = _resident(task, task.train), task.classes
    if task.ignore_index is not None and 0 <= task.ignore_index < classes:
        raise TaskError(
            f"task '{task.name}' ignores the class {task.ignore_index}, which a wrong label might be: use another"
        )
    counts = torch.ones(len(train), dtype=torch.bool)
    if task.ignore_index is not None:
        counts = train.targets != task.ignore_index
    labelled = counts.nonzero()[:, 0]
    wrong = labelled[torch.randperm(len(labelled), generator=generator)[: round(fraction * len(labelled))]]
    shifts = torch.randint(1, max(classes, 2), (len(wrong),), generator=generator)
    targets = train.targets.clone()
    if task.link is Link.SIGMOID:
        targets[wrong] = 1 - targets[wrong]
    elif targets.is_floating_point():
        columns = (torch.arange(classes) - shifts[:, None]) % classes
        targets[wrong] = targets[wrong].gather(1, columns)
    else:
        targets[wrong] = (targets[wrong] + shifts) % classes
    return replace(task, train=Split(train.inputs, targets, train.weights))


def with_train_fraction(task: Task, fraction: float, seed: int = 0) -> Task:
    """The task with a random fraction of its training samples.  Validation and test do not change.

    Raises:
        TaskError: for a regression task, unless 0 < fraction <= 1, or if fewer samples than classes would be left.
    """
    _check_classification(task, "a fraction of the training data")
    if not 0 < fraction <= 1:
        raise TaskError(f"the fraction of the training data is above 0 and at most 1, not {fraction}")
    train = _resident(task, task.train)
    count = round(fraction * len(train))
    if count < task.classes:
        raise TaskError(f"{fraction} of {len(train)} training samples are {count}: fewer than the {task.classes} classes")
    generator = torch.Generator().manual_seed(derive_seed(seed, "train fraction"))
    kept = torch.randperm(len(train), generator=generator)[:count].sort().values
    return replace(task, train=train[kept])


def with_long_tail(task: Task, ratio: float, seed: int = 0) -> Task:
    """The task with fewer training samples of each class than of the class before it, in equal proportions.

    The first class keeps as many as the rarest class has; the last has `ratio` times fewer, but at least one.  This is the
    common benchmark of long-tailed data (Cui et al. 2019).  Validation and test do not change: take a metric that counts the
    classes alike, such as "balanced_accuracy".

    Raises:
        TaskError: for a task without class indices, unless ratio >= 1.
    """
    _check_classification(task, "a long tail")
    train = _resident(task, task.train)
    if train.targets.is_floating_point():
        raise TaskError(f"task '{task.name}': a long tail needs class indices as labels")
    if not ratio >= 1:
        raise TaskError(f"the ratio of the first class to the last is at least 1, not {ratio}")
    generator = torch.Generator().manual_seed(derive_seed(seed, "long tail"))
    of_class = [(train.targets == each).nonzero()[:, 0] for each in range(task.classes)]
    largest = min(len(samples) for samples in of_class)
    kept: list[torch.Tensor] = []
    for number, samples in enumerate(of_class):
        count = max(1, round(largest * ratio ** (-number / (task.classes - 1))))
        kept.append(samples[torch.randperm(len(samples), generator=generator)[:count]])
    return replace(task, train=train[torch.cat(kept).sort().values])


def with_first_samples(task: Task, count: int) -> Task:
    """The task with only the first samples of each split, for a quick try.

    Raises:
        TaskError: if fewer samples than classes would be left.
    """
    if count < task.classes:
        raise TaskError(f"{count} samples are fewer than the {task.classes} classes of task '{task.name}'")
    return replace(task, **{name: _resident(task, split)[:count] for name, split in task.splits.items()})


def with_metric(task: Task, metric: str) -> Task:
    """The task with another metric, to measure predictions by (`Task.score`); its data and model are not checked again.

    Args:
        metric: its name; that of the task's own metric gives the task itself.

    Raises:
        TaskError: if there is no such metric, or it does not fit the task.
    """
    if metric == task.metric_name:
        return task
    variant = object.__new__(Task)
    variant.__dict__.update({**task.__getstate__(), "metric": metric, "source": None})
    check_named_metric(variant, metric)
    return variant


def _resident(task: Task, split: Data) -> Split:
    """A split in memory, with one label a sample."""
    if not isinstance(split, Split):
        raise TaskError(f"task '{task.name}' is read batch by batch: change its data in the source")
    if split.targets.dim() > 2 or (split.targets.dim() == 2 and not split.targets.is_floating_point()):
        raise TaskError(f"task '{task.name}' has a label for each pixel or token: change its data in the source")
    return split


def _check_classification(task: Task, what: str) -> None:
    if task.link is Link.IDENTITY:
        raise TaskError(f"{what} is for classification; task '{task.name}' is a regression")
