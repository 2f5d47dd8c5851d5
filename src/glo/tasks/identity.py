"""The identity of a task: a hash of all that an outcome depends on, by what it does.

A model counts by the code of its classes, its structure and settings, and by a few of its outputs; a metric by its code.
What glo cannot see, such as a function in C that has changed under the same name, `Task(version=...)` tells it.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from glo.errors import RAISED
from glo.tasks.content import describe, tensor_bytes
from glo.tasks.factory import fresh_model
from glo.tasks.inputs import Inputs, in_precision, tensors_of
from glo.tasks.metrics import Metric, MetricFunction
from glo.tasks.randomness import random_state_restored, seed_everything
from glo.tasks.stream import Stream

if TYPE_CHECKING:
    from glo.tasks.definition import Task
    from glo.tasks.fitting import Data

SAMPLES = 4  # training samples that the model is tried on
VALUES = 16  # of its outputs that are compared
# Attributes of every module that are described otherwise, or do not change what it does.
OWN = frozenset({"training", "_parameters", "_buffers", "_modules"})


def task_digest(task: Task) -> str:
    """A hash of a task's data, model, link, metric and version: 16 hexadecimal digits, the same in every process."""
    model = _model_identity(fresh_model(task, seed=0), task.train.first[:SAMPLES].inputs)
    text = f"{task.link}|{_metric_identity(task.metric)}|{model}"
    if task.version:
        text += f"|version {task.version}"
    if task.loss_options:
        text += f"|loss {sorted(task.loss_options.items())}"
    hashed = hashlib.blake2b(text.encode(), digest_size=8)
    for split in task.splits.values():
        for content in _content(split):
            hashed.update(content)
    return hashed.hexdigest()


def _content(split: Data) -> Iterator[bytes | memoryview]:
    """What counts of a split."""
    if isinstance(split, Stream):
        yield from map(str.encode, split.identity())
        return
    if isinstance(split.inputs, dict):
        yield "|".join(split.inputs).encode()
    weights = [] if split.weights is None else [split.weights]
    yield from map(tensor_bytes, (*tensors_of(split.inputs), split.targets, *weights))


def _metric_identity(metric: str | Metric | MetricFunction) -> str:
    """The name of a built-in metric, or a hash of what a metric of the user's does, its direction and its `fit`."""
    if isinstance(metric, str):
        return metric
    if isinstance(metric, Metric):
        fit = [] if metric.fit is None else [metric.fit]
        return _hash(describe([metric.function, metric.direction.value, *fit]))
    return _hash(describe(metric))


def _model_identity(model: nn.Module, inputs: Inputs) -> str:
    """A hash of a model's modules, with their code and settings, of its tensors' shapes, and of a few outputs."""
    modules = [[name, type(module), _settings(module)] for name, module in model.named_modules()]
    tensors = [[name, str(tensor.dtype), list(tensor.shape)] for name, tensor in model.state_dict().items()]
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    return _hash(describe([modules, tensors, frozen, _outputs(model, inputs)]))


def _settings(module: nn.Module) -> Mapping[str, Any]:
    """The attributes of a module itself.  Hooks count without their ids, which are numbered by process."""
    found = {name: value for name, value in vars(module).items() if name not in OWN}
    return {n: list(v.values()) if n.endswith("_hooks") and isinstance(v, dict) else v for n, v in found.items()}


def _outputs(model: nn.Module, inputs: Inputs) -> list[str]:
    """A few outputs to three digits, in evaluation mode.

    They are computed in float64, where processors differ by far less than three digits, unless the model cannot.
    """
    outputs = torch.empty(0)
    for dtype in (torch.float64, torch.float32):
        with random_state_restored(), torch.no_grad():
            seed_everything(0)
            try:
                outputs = copy.deepcopy(model).to(dtype).eval()(in_precision(inputs, dtype))
                break
            except RAISED:
                continue
    return [f"{value:.2e}" for value in outputs.flatten()[:VALUES].tolist()]


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
