"""The inputs of a model: one tensor, or several in a tuple or a dictionary, all with a row for each sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

Inputs = Tensor | tuple[Tensor, ...] | dict[str, Tensor]
Output = str | int | Callable[[Any], Any]


def tensors_of(inputs: Inputs) -> list[Tensor]:
    """The tensors of inputs."""
    if isinstance(inputs, Tensor):
        return [inputs]
    return list(inputs.values()) if isinstance(inputs, dict) else list(inputs)


def each(function: Callable[[Tensor], Tensor], inputs: Inputs) -> Inputs:
    """Inputs of the same form, with a function applied to each tensor."""
    if isinstance(inputs, Tensor):
        return function(inputs)
    if isinstance(inputs, dict):
        return {name: function(tensor) for name, tensor in inputs.items()}
    return tuple(function(tensor) for tensor in inputs)


def rows(inputs: Inputs, index: Any) -> Inputs:
    """Some samples of the inputs; `index` is a slice, or a tensor of indices."""
    return each(lambda tensor: tensor[index], inputs)


def to_device(inputs: Inputs, device: torch.device | str) -> Inputs:
    """The inputs on a device."""
    return each(lambda tensor: tensor.to(device), inputs)


def in_precision(inputs: Inputs, dtype: torch.dtype) -> Inputs:
    """The inputs with numbers of floating point in this type; whole numbers stay as they are."""
    return each(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor, inputs)


def count(inputs: Inputs) -> int:
    """The number of samples."""
    return len(tensors_of(inputs)[0])


def shapes(inputs: Inputs) -> str:
    """The shapes of the inputs, for messages: "(2, 64)", "((2, 64), (2, 3))" or "{'ids': (2, 64)}"."""
    if isinstance(inputs, Tensor):
        return str(tuple(inputs.shape))
    if isinstance(inputs, dict):
        return str({name: tuple(tensor.shape) for name, tensor in inputs.items()})
    return str(tuple(tuple(tensor.shape) for tensor in inputs))


class Adapter(nn.Module):
    """A model that takes all inputs of a task as one argument, and returns the one output that counts.

    Args:
        model: called as `model(*inputs)` for a tuple, and as `model(**inputs)` for a dictionary.
        output: which of its outputs counts: the name of an attribute or key, a place in a tuple, or a function; None if it
            returns one tensor.
    """

    def __init__(self, model: nn.Module, output: Output | None) -> None:
        super().__init__()
        self.model, self.output = model, output

    def forward(self, inputs: Inputs) -> Any:
        """The output for inputs of a batch."""
        if isinstance(inputs, Tensor):
            outputs = self.model(inputs)
        else:
            outputs = self.model(**inputs) if isinstance(inputs, dict) else self.model(*inputs)
        return outputs if self.output is None else selected(outputs, self.output)


def selected(outputs: Any, output: Output) -> Any:
    """One of a model's outputs.

    Raises:
        KeyError, IndexError, AttributeError: if the model does not have it.
    """
    if callable(output):
        return output(outputs)
    if isinstance(output, int) or (isinstance(outputs, Mapping) and output in outputs):
        return outputs[output]
    return getattr(outputs, output)
