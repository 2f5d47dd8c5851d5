"""Make a task's model: the same initial weights for the same seed, each time a new network."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from glo.errors import RAISED, TaskError, UserCodeError
from glo.records import derive_seed
from glo.tasks.content import tensor_bytes
from glo.tasks.inputs import Adapter, Inputs, shapes
from glo.tasks.randomness import random_state_restored, seed_everything

if TYPE_CHECKING:
    from glo.tasks.definition import Task


def fresh_model(task: Task, seed: int) -> nn.Module:
    """Make the task's model on the CPU with the initial weights of this seed; the global random state stays as it was.

    The global generators of PyTorch, NumPy and Python are seeded.  Lazy modules are initialised by two training samples.

    Raises:
        TaskError: if the task's factory does not return a module.
        UserCodeError: if it raises an exception.
    """
    with random_state_restored():
        seed_everything(derive_seed(seed, "init"))
        try:
            model = task.model()
        except RAISED as error:
            raise UserCodeError.of(error, f"task '{task.name}': model() fails") from error
        if not isinstance(model, nn.Module):
            raise TaskError(f"task '{task.name}': model() must return a torch.nn.Module, not {type(model).__name__}")
        model = model.cpu()
        if task.output is not None or not isinstance(task.train.head.inputs, Tensor):
            model = Adapter(model, task.output)
        if any(map(is_lazy, _tensors(model))):
            was_training = model.training
            run(task, model.eval(), task.train.head.inputs)
            model.train(was_training)
    return model


def run(task: Task, model: nn.Module, inputs: Inputs) -> Tensor:
    """The outputs of a model, as they are, without gradients.

    Raises:
        UserCodeError: if it raises an exception.
        TaskError: if it does not return one tensor.
    """
    try:
        with torch.no_grad():
            outputs = model(inputs)
    except RAISED as error:
        what = f"task '{task.name}': the model fails on inputs of shape {shapes(inputs)}"
        raise UserCodeError.of(error, what) from error
    if not isinstance(outputs, Tensor):
        raise TaskError(
            f"task '{task.name}': the model returns a {type(outputs).__name__}; it must return one tensor, "
            "the logits or predictions of a batch; say which of its outputs that is, e.g. by output='logits', or a function"
        )
    return outputs


def check_factory(task: Task) -> nn.Module:
    """A model of the task, if its factory makes a new network with the weights of the seed at each call.

    Raises:
        TaskError: saying what it does instead.
    """
    where = f"task '{task.name}': model"
    if isinstance(task.model, nn.Module) or not callable(task.model):
        raise TaskError(f"{where} must be a function that makes a new network, such as a class, not a {_name(task.model)}")
    model, other = fresh_model(task, seed=0), fresh_model(task, seed=0)
    if model is other:
        raise TaskError(f"{where}() returns the same {_name(model)} at each call: make a new one each time")
    if shared := _shared(model, other):
        raise TaskError(
            f"{where}() returns networks that share {shared}, so that one training would change the next: "
            "make each part anew in the function, or copy.deepcopy it there"
        )
    if different := _different(model, other):
        raise TaskError(
            f"{where}() makes networks with other initial values of {different} at each call, although the generators of "
            "PyTorch, NumPy and Python are seeded: draw from these, or seed yours in the function"
        )
    return model


def _shared(model: nn.Module, other: nn.Module) -> str:
    """The name of a trained parameter, or of a module with state, that two models have in common."""
    theirs = {parameter.data_ptr() for parameter in other.parameters() if parameter.numel()}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.data_ptr() in theirs:
            return f"the parameter '{name}'"
    modules = set(map(id, other.modules()))
    for name, module in model.named_modules():
        if id(module) in modules and any(True for _ in module.buffers(recurse=False)):
            return f"the module '{name}' and its buffers"
    return ""


def _different(model: nn.Module, other: nn.Module) -> str:
    """The name of a parameter or buffer that differs between two models."""
    mine, theirs = (dict(chain(each.named_parameters(), each.named_buffers())) for each in (model, other))
    if mine.keys() != theirs.keys():
        return next(iter(mine.keys() ^ theirs.keys()))
    for name, tensor in mine.items():
        if tensor.shape != theirs[name].shape or tensor_bytes(tensor) != tensor_bytes(theirs[name]):
            return f"'{name}'"
    return ""


def _tensors(model: nn.Module) -> chain[Tensor]:
    return chain(model.parameters(), model.buffers())


def _name(value: object) -> str:
    return type(value).__name__
