"""The identity of a task: a hash of all that an outcome depends on."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from glo.tasks.content import describe, tensor_bytes
from glo.tasks.randomness import random_state_restored

if TYPE_CHECKING:
    from glo.tasks.definition import Task
    from glo.tasks.metrics import Metric


def task_digest(task: Task) -> str:
    """A hash of a task's data, architecture, link, metric and version: 16 hexadecimal digits, the same in every process."""
    with random_state_restored():
        model = task.model()
    shapes = [(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]
    text = f"{task.link}|{_metric_identity(task.metric)}|{model!r}|{shapes}"
    if task.version:
        text += f"|version {task.version}"
    hashed = hashlib.blake2b(text.encode(), digest_size=8)
    for split in (task.train, task.validation, task.test):
        if split is not None:
            hashed.update(tensor_bytes(split.inputs))
            hashed.update(tensor_bytes(split.targets))
    return hashed.hexdigest()


def _metric_identity(metric: str | Metric) -> str:
    """The name of a built-in metric, or a hash of what a metric of the user's does."""
    if isinstance(metric, str):
        return metric
    return hashlib.blake2b(describe(metric).encode(), digest_size=16).hexdigest()
