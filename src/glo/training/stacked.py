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
from dataclasses import dataclass
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
from glo.training.steps import as_matrix

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


def stack(model: nn.Module, copies: int, descent: Descent | None = None, dtype: torch.dtype | None = None) -> Stacked:
    """P copies of a model.

    Args:
        dtype: of the numbers inside, in a step; None for that of the inputs.
    """
    if isinstance(model, nn.Sequential) and is_chain(model):
        return Chain(model, copies, descent or Descent(), dtype)
    return Vectorised(model, copies, descent or Descent(), dtype)


class Vectorised:
    """Any model that `torch.func.vmap` can vectorise; parameters, frozen ones too, and buffers have P first."""

    def __init__(self, model: nn.Module, copies: int, descent: Descent, dtype: torch.dtype | None = None) -> None:
        self.model, self._dtype = model, dtype
        parameters = dict(model.named_parameters())
        self._learned = {name: Learned(p, copies, descent) for name, p in parameters.items() if p.requires_grad}
        fixed: Tensors = {name: p for name, p in parameters.items() if not p.requires_grad}
        self._fixed: Tensors = {name: copies_of(p, copies) for name, p in {**fixed, **dict(model.named_buffers())}.items()}

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
        self._fixed = {name: value[rows] for name, value in self._fixed.items()}
        for learned in self._learned.values():
            learned.keep(rows)

    def _parameters(self) -> Tensors:
        return {name: learned.value.detach() for name, learned in self._learned.items()}

    def _outputs(self, parameters: Tensors, inputs: Tensor) -> Tensor:
        def one(parameters: Tensors, fixed: Tensors) -> Tensor:
            return as_matrix(functional_call(self.model, (parameters, fixed), (inputs,)))

        return vmap(one, randomness="same")(parameters, self._fixed)

    def _autocast(self, inputs: Tensor) -> AbstractContextManager[Any]:
        return nullcontext() if self._dtype is None else torch.autocast(inputs.device.type, self._dtype)


class Chain:
    """A `Sequential` of the usual layers, written out."""

    def __init__(self, model: nn.Sequential, copies: int, descent: Descent, dtype: torch.dtype | None = None) -> None:
        self._dtype = dtype
        modules = list(model)
        self._images = type(modules[0]) is nn.Conv2d
        self._layers: list[Layer] = []
        for module in _pooled_first(modules[1:] if type(modules[0]) is nn.Flatten else modules):
            in_place = bool(self._layers) and isinstance(self._layers[-1], Linear | Convolution | MaxPool)
            self._layers.append(WRITTEN_OUT[type(module)].make(module, copies, descent, in_place))

    @torch.no_grad()
    def outputs(self, inputs: Tensor) -> Tensor:
        values = self._values(inputs)
        for layer in self._layers:
            values = layer.forward(values)
        return values.mT

    @torch.no_grad()
    def step(self, inputs: Tensor, upstream: Upstream, factor: float) -> None:
        dtype = self._dtype or inputs.dtype
        values = [self._values(inputs).to(dtype)]  # before the first layer, and after each
        for layer in self._layers:
            values.append(layer.forward(values[-1]))
        derivative = upstream(values[-1].to(inputs.dtype).mT).mT.contiguous().to(dtype)
        for layer, before, after in reversed(list(zip(self._layers, values, values[1:], strict=False))):
            derivative = layer.backward(derivative, before, after, factor)

    def keep(self, rows: Tensor) -> None:
        for layer in self._layers:
            layer.keep(rows)

    def _values(self, inputs: Tensor) -> Tensor:
        """Images as they are, features before samples."""
        return inputs if self._images else inputs.flatten(1).T


def _pooled_first(modules: list[nn.Module]) -> list[nn.Module]:
    """The same with pooling before ReLU, which is then of fewer numbers; the largest of them is the same either way."""
    modules = list(modules)
    for i, (first, second) in enumerate(itertools.pairwise(modules)):
        if isinstance(first, nn.ReLU) and isinstance(second, nn.MaxPool2d):
            modules[i : i + 2] = second, first
    return modules


@dataclass(frozen=True)
class WayOfWriting:
    """How a module is written out.

    Attributes:
        kind: a letter that says where in a chain it may be.
        make: its layer for P networks, from (module, copies, descent, whether nobody else needs what it is given).
        fits: whether a module of this type can be written out.
    """

    kind: str
    make: Callable[[Any, int, Descent, bool], Layer]
    fits: Callable[[Any], bool] = lambda module: True


# A new layer is a class in `glo.training.layers` and a line here.
WRITTEN_OUT: dict[type[nn.Module], WayOfWriting] = {
    nn.Linear: WayOfWriting("L", lambda m, copies, descent, in_place: Linear(m, copies, descent)),
    nn.Conv2d: WayOfWriting(
        "C",
        lambda m, copies, descent, in_place: Convolution(m, copies, descent),
        lambda m: m.groups == 1 and m.padding_mode == "zeros" and not isinstance(m.padding, str),
    ),
    nn.MaxPool2d: WayOfWriting("P", lambda m, copies, descent, in_place: MaxPool(m), lambda m: not m.return_indices),
    nn.Flatten: WayOfWriting(
        "F", lambda m, copies, descent, in_place: Flatten(copies), lambda m: (m.start_dim, m.end_dim) == (1, -1)
    ),
    nn.Dropout: WayOfWriting("a", lambda m, copies, descent, in_place: Dropout(m, copies)),
    **dict.fromkeys(ACTIVATIONS, WayOfWriting("a", lambda m, copies, descent, in_place: Activation(m, in_place))),
}


def is_chain(model: nn.Module) -> bool:
    """Whether a model is a chain that is written out: a `Sequential` of layers that are, in an order that makes sense.

    That is convolutions and pooling, flattened, and linear layers after that; activations and dropout between.
    """
    layers = list(model) if type(model) is nn.Sequential else []
    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    if len(set(map(id, parameters))) < len(parameters) or not all(parameter.requires_grad for parameter in parameters):
        return False  # two layers share some, or some are frozen
    if any(_hooked(module) for module in (model, *layers)) or any(p._backward_hooks for p in parameters):
        return False
    if any(layer._parameters.keys() - {"weight", "bias"} for layer in layers):
        return False
    written = [WRITTEN_OUT.get(type(layer)) for layer in layers]
    kinds = "".join(way.kind if way and way.fits(layer) else "?" for way, layer in zip(written, layers, strict=True))
    return re.fullmatch(r"F?L[La]*|C[CPa]*F[La]*L[La]*", kinds) is not None


def _hooked(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks)
