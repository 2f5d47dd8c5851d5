"""The stacked model: many networks of one architecture, and a step of SGD for all of them.

Any model is vectorised by `torch.func.vmap` and differentiated by autograd.  A plain chain of the usual layers is written
out instead, backward pass and update included (`glo.training.layers`, docs/decisions/0010-stacked-layers.md): a few large
products and little else.

A learning rate is a factor of a network's loss here (`upstream` is scaled by it), so that the update is one operation for
all networks.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from glo.training.layers import (
    ACTIVATIONS,
    Activation,
    Convolution,
    Descent,
    Dropout,
    Flatten,
    Layer,
    Learned,
    Linear,
    MaxPool,
    copies_of,
)
from glo.training.plan import as_matrix

Tensors = dict[str, Tensor]
Upstream = Callable[[Tensor], Tensor]  # outputs (P, N, C) -> derivative of the losses by them, times the learning rates


class Stacked(Protocol):
    """P networks of one architecture."""

    def outputs(self, inputs: Tensor) -> Tensor:
        """Outputs (P, N, C) on the same inputs (N, ...), with the same dropout masks; for evaluation."""
        ...

    def step(self, inputs: Tensor, upstream: Upstream, factor: float) -> None:
        """One step of SGD, of size `factor` along the gradient that `upstream` begins."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the networks only."""
        ...


def stack(model: nn.Module, copies: int, descent: Descent | None = None, dtype: torch.dtype = torch.float32) -> Stacked:
    """P copies of a model.

    Args:
        dtype: of the numbers inside, in a step: float32 or bfloat16.
    """
    return (Chain if is_chain(model) else Vectorised)(model, copies, descent or Descent(), dtype)


class Vectorised:
    """Any model that `torch.func.vmap` can vectorise; parameters and buffers have P first."""

    def __init__(self, model: nn.Module, copies: int, descent: Descent, dtype: torch.dtype = torch.float32) -> None:
        self.model, self._dtype = model, dtype
        self._learned = {name: Learned(value, copies, descent) for name, value in model.named_parameters()}
        self._buffers: Tensors = {name: copies_of(value, copies) for name, value in model.named_buffers()}

    def outputs(self, inputs: Tensor) -> Tensor:
        return self._outputs(self._parameters(), inputs)

    def step(self, inputs: Tensor, upstream: Upstream, factor: float) -> None:
        parameters = {name: value.requires_grad_() for name, value in self._parameters().items()}
        with self._autocast(inputs):
            outputs = self._outputs(parameters, inputs)
        with torch.no_grad():
            derivative = upstream(outputs)
        gradients = torch.autograd.grad(outputs, list(parameters.values()), derivative)
        for learned, gradient in zip(self._learned.values(), gradients, strict=True):
            learned.move(gradient, factor)

    def keep(self, rows: Tensor) -> None:
        self._buffers = {name: value[rows] for name, value in self._buffers.items()}
        for learned in self._learned.values():
            learned.keep(rows)

    def _parameters(self) -> Tensors:
        return {name: learned.value.detach() for name, learned in self._learned.items()}

    def _outputs(self, parameters: Tensors, inputs: Tensor) -> Tensor:
        def one(parameters: Tensors, buffers: Tensors) -> Tensor:
            return as_matrix(functional_call(self.model, (parameters, buffers), (inputs,)))

        return vmap(one, randomness="same")(parameters, self._buffers)

    def _autocast(self, inputs: Tensor) -> AbstractContextManager[Any]:
        return nullcontext() if self._dtype == torch.float32 else torch.autocast(inputs.device.type, self._dtype)


class Chain:
    """A `Sequential` of the usual layers, written out."""

    def __init__(self, model: nn.Module, copies: int, descent: Descent, dtype: torch.dtype = torch.float32) -> None:
        self._dtype = dtype
        modules = list(model.children())
        self._images = type(modules[0]) is nn.Conv2d
        self._layers: list[Layer] = []
        for module in _smaller(modules if self._images or type(modules[0]) is nn.Linear else modules[1:]):
            mine = bool(self._layers) and isinstance(self._layers[-1], Linear | Convolution | MaxPool)
            self._layers.append(_layer(module, copies, descent, mine))

    @torch.no_grad()
    def outputs(self, inputs: Tensor) -> Tensor:
        values = self._values(inputs)
        for layer in self._layers:
            values = layer.forward(values)
        return values.mT

    @torch.no_grad()
    def step(self, inputs: Tensor, upstream: Upstream, factor: float) -> None:
        values = [self._values(inputs).to(self._dtype)]  # before the first layer, and after each
        for layer in self._layers:
            values.append(layer.forward(values[-1]))
        derivative = upstream(values[-1].float().mT).mT.contiguous().to(self._dtype)
        for layer, before, after in reversed(list(zip(self._layers, values, values[1:], strict=False))):
            derivative = layer.backward(derivative, before, after, factor)

    def keep(self, rows: Tensor) -> None:
        for layer in self._layers:
            layer.keep(rows)

    def _values(self, inputs: Tensor) -> Tensor:
        """Images as they are, features before samples."""
        return inputs if self._images else inputs.flatten(1).T


def _smaller(modules: list[nn.Module]) -> list[nn.Module]:
    """The same with pooling before ReLU, which is then of fewer numbers; the largest of them is the same either way."""
    modules = list(modules)
    for i, (first, second) in enumerate(itertools.pairwise(modules)):
        if isinstance(first, nn.ReLU) and isinstance(second, nn.MaxPool2d):
            modules[i : i + 2] = second, first
    return modules


def _layer(module: nn.Module, copies: int, descent: Descent, mine: bool) -> Layer:
    """A module of P networks; `mine` says whether nobody else needs what it is given."""
    match module:
        case nn.Linear():
            return Linear(module, copies, descent)
        case nn.Conv2d():
            return Convolution(module, copies, descent)
        case nn.MaxPool2d():
            return MaxPool(module)
        case nn.Dropout():
            return Dropout(module, copies)
        case nn.Flatten():
            return Flatten(copies)
        case _:
            return Activation(module, mine)


KINDS: dict[type[nn.Module], str] = dict.fromkeys([*ACTIVATIONS, nn.Dropout], "a") | {nn.Linear: "L"}


def is_chain(model: nn.Module) -> bool:
    """Whether a model is a chain that is written out: a `Sequential` of layers that are, in an order that makes sense.

    That is convolutions and pooling, flattened, and linear layers after that; activations and dropout between.
    """
    layers = list(model) if type(model) is nn.Sequential else []
    if any(m._forward_hooks or m._forward_pre_hooks or m._parameters.keys() - {"weight", "bias"} for m in layers):
        return False
    kinds = "".join(_kind(layer) for layer in layers)
    return re.fullmatch(r"F?L[La]*|C[CPa]*F[La]*L[La]*", kinds) is not None


def _kind(module: nn.Module) -> str:
    """A letter for each kind of layer that is written out, "?" for any other."""
    match module:
        case nn.Conv2d() if type(module) is nn.Conv2d:
            plain = module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
            return "C" if plain else "?"
        case nn.MaxPool2d() if type(module) is nn.MaxPool2d:
            return "?" if module.return_indices else "P"
        case nn.Flatten() if type(module) is nn.Flatten:
            return "F" if (module.start_dim, module.end_dim) == (1, -1) else "?"
        case _:
            return KINDS.get(type(module), "?")
