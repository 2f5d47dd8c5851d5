"""The stacked model: P networks of one architecture, and a step of SGD for all of them at once.

`VmapModel` takes any model that `torch.func.vmap` can vectorise, and autograd computes its gradients.  `ChainModel` takes a
plain `Sequential` of common layers; forward pass, backward pass and update are written by hand (`glo.training.layers`,
docs/decisions/0010-stacked-layers.md) as a few large matrix products and little else.

The learning rate of a network is a factor of its loss here, so that one operation updates a parameter of all networks.
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

from glo.tasks import Inputs
from glo.tasks.inputs import tensors_of
from glo.training.layers import ACTIVATIONS, Activation, Convolution, Dropout, EmbeddingBag, Flatten, Layer, Linear, MaxPool
from glo.training.model import as_logits
from glo.training.normalisation import BatchNorm, LayerNorm
from glo.training.parameters import SGDOptions, StackedParameter, stacked_copies

Tensors = dict[str, Tensor]
OutputGradient = Callable[[Tensor], Tensor]  # outputs (P, N, C) -> gradient of the losses by them, times the learning rates


class StackedModel(Protocol):
    """P networks of one architecture."""

    @property
    def parameters(self) -> list[StackedParameter]:
        """The parameters that are trained."""
        ...

    def outputs(self, inputs: Inputs) -> Tensor:
        """Outputs (P, N, C) for the same inputs (N, ...); for evaluation."""
        ...

    def step(self, inputs: Inputs, output_gradient: OutputGradient, factor: float) -> None:
        """Take one step of SGD, of size `factor`, with the same inputs (N, ...) and dropout masks for all networks.

        Parameters whose updates are deferred only get a gradient.

        Args:
            inputs: the inputs of the batch.
            output_gradient: computes the gradient of the losses by the networks' outputs.
            factor: the factor of the schedule at this step.
        """
        ...

    def select(self, rows: Tensor) -> None:
        """Keep only the networks at these indices."""
        ...


def stack(
    model: nn.Module, copies: int, options: SGDOptions | None = None, dtype: torch.dtype | None = None
) -> StackedModel:
    """Stack P copies of a model.

    Args:
        model: the model, with the initial weights.
        copies: the number of networks, P.
        options: momentum and weight decay, or deferred updates; none of them by default.
        dtype: the dtype of activations and gradients in a step; None for that of the inputs.
    """
    if isinstance(model, nn.Sequential) and is_chain(model):
        return ChainModel(model, copies, options or SGDOptions(), dtype)
    return VmapModel(model, copies, options or SGDOptions(), dtype)


class VmapModel:
    """A stacked model of any architecture; its parameters, frozen ones too, and its buffers have shape (P, ...)."""

    def __init__(self, model: nn.Module, copies: int, options: SGDOptions, dtype: torch.dtype | None = None) -> None:
        self.model, self._dtype = model, dtype
        parameters = dict(model.named_parameters())
        self._trained = {n: StackedParameter(p, copies, options) for n, p in parameters.items() if p.requires_grad}
        fixed: Tensors = {name: p for name, p in parameters.items() if not p.requires_grad}
        fixed |= dict(model.named_buffers())
        self._fixed: Tensors = {name: stacked_copies(tensor, copies) for name, tensor in fixed.items()}

    @property
    def parameters(self) -> list[StackedParameter]:
        return list(self._trained.values())

    def outputs(self, inputs: Inputs) -> Tensor:
        return self._outputs(self._parameters(), inputs)

    def step(self, inputs: Inputs, output_gradient: OutputGradient, factor: float) -> None:
        parameters = {name: value.requires_grad_() for name, value in self._parameters().items()}
        with self._autocast(inputs):
            outputs = self._outputs(parameters, inputs)
        with torch.no_grad():
            gradient_by_outputs = output_gradient(outputs)
        gradients = torch.autograd.grad(outputs, list(parameters.values()), gradient_by_outputs, allow_unused=True)
        for parameter, gradient in zip(self._trained.values(), gradients, strict=True):
            if gradient is not None:  # as `torch.optim.SGD`, leave a parameter alone that the step has not used
                parameter.update(gradient, factor)

    def select(self, rows: Tensor) -> None:
        self._fixed = {name: value[rows] for name, value in self._fixed.items()}
        for parameter in self._trained.values():
            parameter.select(rows)

    def _parameters(self) -> Tensors:
        return {name: parameter.value.detach() for name, parameter in self._trained.items()}

    def _outputs(self, parameters: Tensors, inputs: Inputs) -> Tensor:
        def outputs_of_one(parameters: Tensors, fixed: Tensors) -> Tensor:
            return as_logits(functional_call(self.model, (parameters, fixed), (inputs,)))

        return vmap(outputs_of_one, randomness="same")(parameters, self._fixed)

    def _autocast(self, inputs: Inputs) -> AbstractContextManager[Any]:
        return nullcontext() if self._dtype is None else torch.autocast(tensors_of(inputs)[0].device.type, self._dtype)


class ChainModel:
    """A stacked model of a `Sequential` for which `is_chain` holds."""

    def __init__(self, model: nn.Sequential, copies: int, options: SGDOptions, dtype: torch.dtype | None = None) -> None:
        self._dtype = dtype
        modules = list(model)
        self._samples_first = type(modules[0]) in (nn.Conv2d, nn.EmbeddingBag)
        self._layers: list[Layer] = []
        for module in _pooling_before_relu(modules[1:] if type(modules[0]) is nn.Flatten else modules):
            in_place = bool(self._layers) and isinstance(self._layers[-1], Linear | Convolution | MaxPool | BatchNorm)
            self._layers.append(LAYER_RULES[type(module)].make(module, copies, options, in_place))

    @property
    def parameters(self) -> list[StackedParameter]:
        return [parameter for layer in self._layers for parameter in layer.parameters]

    @torch.no_grad()
    def outputs(self, inputs: Inputs) -> Tensor:
        values = self._first_values(_one(inputs))
        for layer in self._layers:
            values = layer.forward(values)
        return values.mT

    @torch.no_grad()
    def step(self, inputs: Inputs, output_gradient: OutputGradient, factor: float) -> None:
        given = _one(inputs)
        tokens = not given.is_floating_point()
        full = self.parameters[0].value.dtype if tokens else given.dtype
        dtype = self._dtype or full
        values = [self._first_values(given).to(given.dtype if tokens else dtype)]  # before the first layer, and after each
        for layer in self._layers:
            values.append(layer.forward(values[-1]).to(dtype))  # an embedding's outputs are in float32
        gradient = output_gradient(values[-1].to(full).mT).mT.contiguous().to(dtype)
        for layer in reversed(self._layers):
            after = values.pop()  # nothing else needs it, so its memory is free after this layer
            gradient = layer.backward(gradient, values[-1], after, factor)

    def select(self, rows: Tensor) -> None:
        for layer in self._layers:
            layer.select(rows)

    def _first_values(self, inputs: Tensor) -> Tensor:
        """Images and token ids as they are; other inputs as (features, N)."""
        return inputs if self._samples_first else inputs.flatten(1).T


def _one(inputs: Inputs) -> Tensor:
    """The one tensor that a chain takes; a model of several inputs is no chain."""
    assert isinstance(inputs, Tensor)  # noqa: S101 - `Adapter` takes several
    return inputs


def _pooling_before_relu(modules: list[nn.Module]) -> list[nn.Module]:
    """Move max-pooling before ReLU, which then has fewer numbers to process; the result is the same."""
    modules = list(modules)
    for i, (first, second) in enumerate(itertools.pairwise(modules)):
        if isinstance(first, nn.ReLU) and isinstance(second, nn.MaxPool2d):
            modules[i : i + 2] = second, first
    return modules


@dataclass(frozen=True)
class LayerRule:
    """How a type of module becomes a layer of a chain.

    Attributes:
        kind: a letter for `is_chain`, which checks the order of the layers.
        make: makes the layer from (module, P, SGD options, whether the layer may overwrite its inputs).
        supports: whether a layer exists for a module of this type with its settings.
    """

    kind: str
    make: Callable[[Any, int, SGDOptions, bool], Layer]
    supports: Callable[[Any], bool] = lambda module: True


def _batch_norm(module: nn.BatchNorm1d | nn.BatchNorm2d, copies: int, options: SGDOptions, in_place: bool) -> Layer:
    return BatchNorm(module, copies, options)


def _has_momentum(module: nn.BatchNorm1d | nn.BatchNorm2d) -> bool:
    """Whether running means are exponential, or there are none; a cumulative one counts its batches."""
    return module.momentum is not None or not module.track_running_stats


# To add a layer, write its class in `glo.training.layers` and its rule here.
LAYER_RULES: dict[type[nn.Module], LayerRule] = {
    nn.Linear: LayerRule("L", lambda m, copies, options, in_place: Linear(m, copies, options)),
    nn.Conv2d: LayerRule(
        "C",
        lambda m, copies, options, in_place: Convolution(m, copies, options),
        lambda m: m.groups == 1 and m.padding_mode == "zeros" and not isinstance(m.padding, str),
    ),
    nn.EmbeddingBag: LayerRule(
        "E",
        lambda m, copies, options, in_place: EmbeddingBag(m, copies, options),
        lambda m: (
            m.mode in ("sum", "mean")
            and m.max_norm is None
            and not (m.scale_grad_by_freq or m.sparse or m.include_last_offset)
        ),
    ),
    nn.MaxPool2d: LayerRule("P", lambda m, copies, options, in_place: MaxPool(m), lambda m: not m.return_indices),
    nn.Flatten: LayerRule(
        "F", lambda m, copies, options, in_place: Flatten(copies), lambda m: (m.start_dim, m.end_dim) == (1, -1)
    ),
    nn.BatchNorm1d: LayerRule("B", _batch_norm, _has_momentum),
    nn.BatchNorm2d: LayerRule("N", _batch_norm, _has_momentum),
    nn.LayerNorm: LayerRule(
        "B",
        lambda m, copies, options, in_place: LayerNorm(m, copies, options),
        lambda m: len(m.normalized_shape) == 1,
    ),
    nn.Dropout: LayerRule("a", lambda m, copies, options, in_place: Dropout(m, copies)),
    **dict.fromkeys(ACTIVATIONS, LayerRule("a", lambda m, copies, options, in_place: Activation(m, in_place))),
}


def is_chain(model: nn.Module) -> bool:
    """Whether a model is a `Sequential` that `ChainModel` supports.

    Such a model consists of linear layers, perhaps after an `EmbeddingBag`, or of convolutions and pooling followed by a
    `Flatten` and linear layers, with normalising layers, activations and dropout between them.  It has no hooks, no shared
    parameters and no frozen ones.
    """
    layers = list(model) if type(model) is nn.Sequential else []
    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    if len(set(map(id, parameters))) < len(parameters) or not all(parameter.requires_grad for parameter in parameters):
        return False  # two layers share a parameter, or one is frozen
    if any(has_hooks(module) for module in (model, *layers)) or any(p._backward_hooks for p in parameters):
        return False
    if any(layer._parameters.keys() - {"weight", "bias"} for layer in layers):
        return False
    rules = [LAYER_RULES.get(type(layer)) for layer in layers]
    kinds = "".join(rule.kind if rule and rule.supports(layer) else "?" for rule, layer in zip(rules, layers, strict=True))
    return re.fullmatch(r"F?B?L[LBa]*|E[LBa]*|C[CPNa]*F[LBa]*L[LBa]*", kinds) is not None


def has_hooks(module: nn.Module) -> bool:
    """Whether a module has hooks of its forward or backward pass."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks)
