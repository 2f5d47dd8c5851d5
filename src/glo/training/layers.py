"""Layers of P networks at once, written out: forward, backward and update (docs/decisions/0010-stacked-layers.md).

Inside a chain, features come before samples: (P, features, N).  Images have the channels of all networks one after the
other, as a grouped convolution wants them: (N, P * channels, height, width).  What the networks are given is the same for
all, and has no P: (features, N) or (N, channels, height, width).

The numbers are computed in the precision of the values; the parameters themselves are in float32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d_with_indices, max_unpool2d

aten = torch.ops.aten


@dataclass(frozen=True)
class Descent:
    """SGD as in `torch.optim.SGD`.

    Attributes:
        momentum: of all networks.
        decay: weight decay times learning rate of each network, shape (P), or None.
    """

    momentum: float = 0.0
    decay: Tensor | None = None

    @property
    def plain(self) -> bool:
        """Whether a step is just the gradient."""
        return self.momentum == 0 and self.decay is None


class Learned:
    """A parameter of P networks, which `value` has first, and what moves it."""

    def __init__(self, start: Tensor, copies: int, descent: Descent) -> None:
        self.value = copies_of(start, copies)
        self._momentum, self._decay = descent.momentum, descent.decay
        self._velocity = None if descent.plain else torch.zeros_like(self.value)

    def move(self, gradient: Tensor, factor: float) -> None:
        """Go a step of size `factor` against a gradient."""
        if self._velocity is not None:
            self._velocity.mul_(self._momentum).add_(gradient)
            gradient = self._decayed(self._velocity)
        self.value.sub_(gradient, alpha=factor)

    def move_by_product(self, left: Tensor, right: Tensor, factor: float) -> None:
        """The same for the gradient `left @ right`, (P, a, N) by (P, N, b) or by (N, b): added by what computes it."""
        if left.dtype != self.value.dtype:  # of reduced precision: it cannot be added so
            product = torch.bmm(left, right) if right.dim() == 3 else torch.mm(left.flatten(0, 1), right)
            self.move(product.view_as(self.value), factor)
        elif self._velocity is None:
            _add_product(self.value, left, right, 1, -factor)
        else:
            _add_product(self._velocity, left, right, self._momentum, 1)
            self.value.sub_(self._decayed(self._velocity), alpha=factor)

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the networks only."""
        self.value = self.value[rows]
        self._velocity = None if self._velocity is None else self._velocity[rows]
        self._decay = None if self._decay is None else self._decay[rows]

    def _decayed(self, velocity: Tensor) -> Tensor:
        """With the weight decay added, in place."""
        if self._decay is not None:
            velocity.addcmul_(self.value, self._decay.reshape(-1, *[1] * (self.value.dim() - 1)))
        return velocity


def _add_product(target: Tensor, left: Tensor, right: Tensor, beta: float, alpha: float) -> None:
    """target = beta * target + alpha * left @ right, for each network."""
    if right.dim() == 3:
        target.baddbmm_(left, right, beta=beta, alpha=alpha)
    else:  # one product for all networks
        target.flatten(0, 1).addmm_(left.flatten(0, 1), right, beta=beta, alpha=alpha)


class Layer(Protocol):
    """The same layer of P networks."""

    def forward(self, values: Tensor) -> Tensor:
        """What comes out of it."""
        ...

    def backward(self, derivative: Tensor, before: Tensor, after: Tensor, factor: float) -> Tensor:
        """Move along the gradient; from the derivative by what came out (`after`), that by what went in (`before`).

        The derivative by the inputs of the networks is not needed, and not computed.
        """
        ...

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the networks only."""
        ...


class Linear:
    """(P, outputs, N) from (P, inputs, N), or from (inputs, N) where they are the same for all networks."""

    def __init__(self, module: nn.Linear, copies: int, descent: Descent) -> None:
        self._has_bias = module.bias is not None
        bias = module.bias if self._has_bias else module.weight.new_zeros(module.out_features)
        self.weight = Learned(module.weight, copies, descent)  # (P, outputs, inputs)
        self.bias = Learned(bias.unsqueeze(1), copies, descent)  # (P, outputs, 1)
        self._used = self.weight.value  # in the precision of the values

    def forward(self, values: Tensor) -> Tensor:
        self._used, bias = self.weight.value.to(values.dtype), self.bias.value.to(values.dtype)
        if _features_adjacent(values):
            return torch.baddbmm(bias.mT, values.mT, self._used.mT).mT
        if values.dim() == 3:
            return torch.baddbmm(bias, self._used, values)
        return torch.addmm(bias.flatten(0, 1), self._used.flatten(0, 1), values).unflatten(0, self._used.shape[:2])

    def backward(self, derivative: Tensor, before: Tensor, after: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        by_inputs = derivative
        if _features_adjacent(before):
            by_inputs = torch.bmm(derivative.mT, self._used).mT
        elif before.dim() == 3:
            by_inputs = torch.bmm(self._used.mT, derivative)
        self.weight.move_by_product(derivative, before.mT, factor)
        if self._has_bias:
            self.bias.move(derivative.sum(2, keepdim=True), factor)
        return by_inputs

    def keep(self, rows: Tensor) -> None:
        self.weight.keep(rows)
        self.bias.keep(rows)


def _features_adjacent(values: Tensor) -> bool:
    """Whether the features of a sample lie beside each other in memory, as after images.

    Products in that order are faster on a GPU, and what comes of them lies in it too.
    """
    return values.dim() == 3 and values.stride(1) == 1


class Convolution:
    """(N, P * outputs, ...) from (N, P * inputs, ...), or from (N, inputs, ...) where they are the same for all networks."""

    def __init__(self, module: nn.Conv2d, copies: int, descent: Descent) -> None:
        self.weight = Learned(module.weight, copies, descent)  # (P, outputs, inputs, ...)
        self.bias = None if module.bias is None else Learned(module.bias, copies, descent)  # (P, outputs)
        self._inputs = module.in_channels
        self._steps: tuple[Any, ...] = module.stride, module.padding, module.dilation
        self._used = self.weight.value

    def forward(self, values: Tensor) -> Tensor:
        self._used = self.weight.value.flatten(0, 1).to(values.dtype)
        bias = None if self.bias is None else self.bias.value.flatten().to(values.dtype)
        return conv2d(values, self._used, bias, *self._steps, groups=self._groups(values))

    def backward(self, derivative: Tensor, before: Tensor, after: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        groups, biases = self._groups(before), None if self.bias is None else [len(self._used)]
        wanted = groups == len(self.weight.value), True, self.bias is not None
        by_inputs, by_weight, by_bias = aten.convolution_backward(
            derivative, before, self._used, biases, *self._steps, False, [0, 0], groups, wanted
        )
        self.weight.move(by_weight.view_as(self.weight.value), factor)
        if self.bias is not None:
            self.bias.move(by_bias.view_as(self.bias.value), factor)
        return by_inputs if wanted[0] else derivative

    def keep(self, rows: Tensor) -> None:
        self.weight.keep(rows)
        if self.bias is not None:
            self.bias.keep(rows)

    def _groups(self, values: Tensor) -> int:
        return values.shape[1] // self._inputs


class Unlearned:
    """A layer with nothing to learn, the same for all networks."""

    def keep(self, rows: Tensor) -> None:
        """Nothing of it belongs to a network."""


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


class Activation(Unlearned):
    """One of `ACTIVATIONS`, of any values.

    Args:
        module: it, in any network.
        in_place: whether nobody else needs what it is given.
    """

    def __init__(self, module: nn.Module, in_place: bool) -> None:
        self._module = copy.copy(module)
        if hasattr(self._module, "inplace"):
            self._module.__dict__["inplace"] = False
        self._function = IN_PLACE.get(type(module), self._module) if in_place else self._module
        self._derivative = ACTIVATIONS[type(module)]

    def forward(self, values: Tensor) -> Tensor:
        return self._function(values)

    def backward(self, derivative: Tensor, before: Tensor, after: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        self._derivative(self._module, derivative, before, after)
        return derivative


class MaxPool(Unlearned):
    """The largest in each window of images."""

    def __init__(self, module: nn.MaxPool2d) -> None:
        size, step = _pair(module.kernel_size), _pair(module.stride)
        self._windows = size, step, _pair(module.padding), _pair(module.dilation), module.ceil_mode
        self._apart = self._windows == (size, size, (0, 0), (1, 1), False)  # no number is in two of them
        self._places = torch.empty(0)

    def forward(self, values: Tensor) -> Tensor:
        largest, self._places = max_pool2d_with_indices(values, *self._windows)
        return largest

    def backward(self, derivative: Tensor, before: Tensor, after: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        if self._apart:  # four times as fast on a GPU
            return max_unpool2d(derivative, self._places, *self._windows[:3], output_size=before.shape)
        return aten.max_pool2d_with_indices_backward(derivative, before, *self._windows, self._places)


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else value


class Dropout(Unlearned):
    """Leaves out the same numbers in all networks, those that one network alone would."""

    def __init__(self, module: nn.Dropout, copies: int) -> None:
        self._module, self._copies = module, copies
        self._mask = torch.empty(0)

    def forward(self, values: Tensor) -> Tensor:
        if not self._module.training:
            self._mask = values.new_ones(())
            return values
        wide = torch.promote_types(values.dtype, torch.float32)  # what is kept is scaled by more than bfloat16 can say
        if values.dim() == 3:  # a network alone has samples first
            self._mask = self._module(values.new_ones(values.shape[:0:-1], dtype=wide)).T
        else:
            ones = values.new_ones(len(values), values.shape[1] // self._copies, *values.shape[2:], dtype=wide)
            # A network alone has channels last (`quick_layout`), and PyTorch draws in the order in memory.
            drawn = self._module(ones.contiguous(memory_format=torch.channels_last))
            self._mask = drawn.repeat(1, self._copies, 1, 1)
        return (values * self._mask).to(values.dtype)

    def backward(self, derivative: Tensor, before: Tensor, after: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        return derivative.mul_(self._mask)

    def keep(self, rows: Tensor) -> None:
        self._copies = len(rows)


class Flatten:
    """(P, features, N) from images."""

    def __init__(self, copies: int) -> None:
        self._copies = copies

    def forward(self, values: Tensor) -> Tensor:
        return values.unflatten(1, (self._copies, -1)).flatten(2).permute(1, 2, 0)

    def backward(self, derivative: Tensor, before: Tensor, after: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        return derivative.permute(2, 0, 1).reshape(before.shape)

    def keep(self, rows: Tensor) -> None:
        self._copies = len(rows)


def copies_of(tensor: Tensor, copies: int) -> Tensor:
    """P copies, which lie one after the other in memory, and numbers in each in the order of its dimensions."""
    return tensor.detach().expand(copies, *tensor.shape).clone(memory_format=torch.contiguous_format)
