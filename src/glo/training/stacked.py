"""The stacked model: many networks of one architecture, and a step of SGD for all of them.

Any model is vectorised by `torch.func.vmap` and differentiated by autograd.  A plain chain of linear layers and
activations, the usual small network, is written out instead, backward pass and update included, with features before
samples: four large matrix products and little else (docs/decisions/0010-stacked-layers.md).

A learning rate is a factor of a network's loss here (`upstream` is scaled by it), so that the update is one operation for
all networks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from glo.training.plan import as_matrix

Tensors = dict[str, Tensor]
Upstream = Callable[[Tensor], Tensor]  # outputs (P, N, C) -> derivative of the losses by them, times the learning rates


@dataclass(frozen=True)
class Descent:
    """SGD as in `torch.optim.SGD`.

    Attributes:
        momentum: of all networks.
        decay: weight decay times learning rate of each network, shape (P), or None.
    """

    momentum: float = 0.0
    decay: Tensor | None = None

    def keep(self, rows: Tensor) -> Descent:
        """That of some of the networks."""
        return Descent(self.momentum, None if self.decay is None else self.decay[rows])

    @property
    def plain(self) -> bool:
        """Whether a step is just the gradient."""
        return self.momentum == 0 and self.decay is None

    def decayed(self, velocity: Tensor, parameter: Tensor) -> None:
        """Add the weight decay to what a parameter moves by."""
        if self.decay is not None:
            velocity.addcmul_(parameter, self.decay.reshape(-1, *[1] * (parameter.dim() - 1)))


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


def stack(
    model: nn.Module,
    copies: int,
    descent: Descent | None = None,
    autocast: Callable[[], AbstractContextManager[Any]] | None = None,
) -> Stacked:
    """P copies of a model; `autocast` is entered for each forward pass of a step."""
    if autocast is None and is_chain(model):
        return Chain(model, copies, descent or Descent())
    return Vectorised(model, copies, descent or Descent(), autocast or nullcontext)


class Vectorised:
    """Any model that `torch.func.vmap` can vectorise; `parameters` and `buffers` have P first."""

    def __init__(
        self,
        model: nn.Module,
        copies: int,
        descent: Descent,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.model, self._descent, self._autocast = model, descent, autocast
        self.parameters: Tensors = {k: _copies(v, copies).requires_grad_() for k, v in model.named_parameters()}
        self.buffers: Tensors = {k: _copies(v, copies) for k, v in model.named_buffers()}
        self._velocities = {} if descent.plain else {k: torch.zeros_like(v) for k, v in self.parameters.items()}

    def outputs(self, inputs: Tensor) -> Tensor:
        def one(parameters: Tensors, buffers: Tensors) -> Tensor:
            return as_matrix(functional_call(self.model, (parameters, buffers), (inputs,)))

        return vmap(one, randomness="same")(self.parameters, self.buffers)

    def step(self, inputs: Tensor, upstream: Upstream, factor: float) -> None:
        with self._autocast():
            outputs = self.outputs(inputs)
        with torch.no_grad():
            derivative = upstream(outputs)
        gradients = torch.autograd.grad(outputs, list(self.parameters.values()), derivative)
        with torch.no_grad():
            for (name, parameter), gradient in zip(self.parameters.items(), gradients, strict=True):
                if not self._descent.plain:
                    velocity = self._velocities[name].mul_(self._descent.momentum).add_(gradient)
                    self._descent.decayed(velocity, parameter)
                    gradient = velocity
                parameter.sub_(gradient, alpha=factor)

    def keep(self, rows: Tensor) -> None:
        self.parameters = {k: v.detach()[rows].requires_grad_() for k, v in self.parameters.items()}
        self.buffers = {k: v[rows] for k, v in self.buffers.items()}
        self._velocities = {k: v[rows] for k, v in self._velocities.items()}
        self._descent = self._descent.keep(rows)


class Chain:
    """A `Sequential` of linear layers and activations, written out; inside, features come before samples."""

    def __init__(self, model: nn.Module, copies: int, descent: Descent) -> None:
        self._layers: list[Linear | Activation] = []
        for module in model.children():
            if isinstance(module, nn.Linear):
                self._layers.append(Linear(module, copies, descent))
            elif not isinstance(module, nn.Flatten):
                self._layers.append(Activation(module, in_place=isinstance(self._layers[-1], Linear)))

    @torch.no_grad()
    def outputs(self, inputs: Tensor) -> Tensor:
        values = inputs.flatten(1).T
        for layer in self._layers:
            values = layer.forward(values)
        return values.transpose(1, 2)

    @torch.no_grad()
    def step(self, inputs: Tensor, upstream: Upstream, factor: float) -> None:
        values = [inputs.flatten(1).T]  # before the first layer, and after each
        for layer in self._layers:
            values.append(layer.forward(values[-1]))
        derivative = upstream(values[-1].transpose(1, 2)).transpose(1, 2).contiguous()
        for layer, before, after in reversed(list(zip(self._layers, values, values[1:], strict=False))):
            derivative = layer.backward(derivative, before, after, factor)

    def keep(self, rows: Tensor) -> None:
        for layer in self._layers:
            layer.keep(rows)


class Linear:
    """The same linear layer of P networks."""

    def __init__(self, module: nn.Linear, copies: int, descent: Descent) -> None:
        self.weight = _copies(module.weight, copies)  # (P, outputs, inputs)
        self.bias = _copies(_bias(module), copies).unsqueeze(2)  # (P, outputs, 1)
        self._has_bias, self._descent = module.bias is not None, descent
        self._velocities = None if descent.plain else (torch.zeros_like(self.weight), torch.zeros_like(self.bias))

    def forward(self, values: Tensor) -> Tensor:
        """(P, outputs, N) from (P, inputs, N), or from (inputs, N) where they are the same for all networks."""
        if values.dim() == 3:
            return torch.baddbmm(self.bias, self.weight, values)
        flat = torch.addmm(self.bias.flatten(0, 1), self.weight.flatten(0, 1), values)
        return flat.unflatten(0, self.weight.shape[:2])

    def backward(self, derivative: Tensor, before: Tensor, after: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        """Move along the gradient; from the derivative by what `forward` gave, that by what it was given.

        The derivative by the inputs of the networks is not needed, and not computed.
        """
        by_inputs = torch.bmm(self.weight.transpose(1, 2), derivative) if before.dim() == 3 else derivative
        if self._velocities is None:
            _add_product(self.weight, derivative, before, 1, -factor)
            if self._has_bias:
                self.bias.sub_(derivative.sum(2, keepdim=True), alpha=factor)
            return by_inputs
        for_weight, for_bias = self._velocities
        _add_product(for_weight, derivative, before, self._descent.momentum, 1)
        self._descent.decayed(for_weight, self.weight)
        self.weight.sub_(for_weight, alpha=factor)
        if self._has_bias:
            for_bias.mul_(self._descent.momentum).add_(derivative.sum(2, keepdim=True))
            self._descent.decayed(for_bias, self.bias)
            self.bias.sub_(for_bias, alpha=factor)
        return by_inputs

    def keep(self, rows: Tensor) -> None:
        self.weight, self.bias, self._descent = self.weight[rows], self.bias[rows], self._descent.keep(rows)
        if self._velocities is not None:
            for_weight, for_bias = self._velocities
            self._velocities = for_weight[rows], for_bias[rows]


def _bias(module: nn.Linear) -> Tensor:
    return module.weight.new_zeros(module.out_features) if module.bias is None else module.bias


def _add_product(target: Tensor, derivative: Tensor, before: Tensor, beta: float, alpha: float) -> None:
    """target = beta * target + alpha * derivative @ before.T, for each network."""
    if before.dim() == 3:
        target.baddbmm_(derivative, before.transpose(1, 2), beta=beta, alpha=alpha)
    else:  # one product for all networks
        target.flatten(0, 1).addmm_(derivative.flatten(0, 1), before.T, beta=beta, alpha=alpha)


aten = torch.ops.aten
# Turns the derivative by an activation's output into that by its input: (module, derivative, input, output).
ACTIVATIONS: dict[type[nn.Module], Callable[[Any, Tensor, Tensor, Tensor], Any]] = {
    nn.ReLU: lambda m, d, z, y: aten.threshold_backward.grad_input(d, y, 0, grad_input=d),
    nn.LeakyReLU: lambda m, d, z, y: aten.leaky_relu_backward.grad_input(d, z, m.negative_slope, False, grad_input=d),
    nn.Tanh: lambda m, d, z, y: aten.tanh_backward.grad_input(d, y, grad_input=d),
    nn.Sigmoid: lambda m, d, z, y: aten.sigmoid_backward.grad_input(d, y, grad_input=d),
    nn.SiLU: lambda m, d, z, y: aten.silu_backward.grad_input(d, z, grad_input=d),
    nn.GELU: lambda m, d, z, y: aten.gelu_backward.grad_input(d, z, approximate=m.approximate, grad_input=d),
    nn.ELU: lambda m, d, z, y: aten.elu_backward.grad_input(d, m.alpha, 1, 1, False, z, grad_input=d),
    nn.Softplus: lambda m, d, z, y: aten.softplus_backward.grad_input(d, z, m.beta, m.threshold, grad_input=d),
}
IN_PLACE = {nn.ReLU: torch.relu_, nn.Tanh: torch.tanh_, nn.Sigmoid: torch.sigmoid_}  # their input is not needed again


class Activation:
    """An activation with nothing to learn, the same for all networks.

    Args:
        module: it, in any network.
        in_place: whether nobody else needs what it is given.
    """

    def __init__(self, module: nn.Module, in_place: bool) -> None:
        self._module = copy.copy(module)
        if hasattr(self._module, "inplace"):
            self._module.__dict__["inplace"] = False
        self.forward = IN_PLACE.get(type(module), self._module) if in_place else self._module
        self._derivative = ACTIVATIONS[type(module)]

    def backward(self, derivative: Tensor, before: Tensor, after: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        """As for `Linear`, but there is nothing to move."""
        self._derivative(self._module, derivative, before, after)
        return derivative

    def keep(self, rows: Tensor) -> None:
        """Nothing of it belongs to a network."""


def is_chain(model: nn.Module) -> bool:
    """Whether a model is linear layers with activations between them, and nothing else; flattening may come first."""
    layers = list(model) if type(model) is nn.Sequential else []
    if layers and type(layers[0]) is nn.Flatten and (layers[0].start_dim, layers[0].end_dim) == (1, -1):
        layers = layers[1:]
    linear = [type(layer) is nn.Linear for layer in layers]
    hooks = any(m._forward_hooks or m._forward_pre_hooks or m._parameters.keys() - {"weight", "bias"} for m in layers)
    known = all(is_linear or type(layer) in ACTIVATIONS for is_linear, layer in zip(linear, layers, strict=True))
    return bool(layers) and linear[0] and known and not hooks


def _copies(tensor: Tensor, copies: int) -> Tensor:
    return tensor.detach().expand(copies, *tensor.shape).clone()
