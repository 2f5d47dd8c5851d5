"""Layers of P networks at once, with hand-written backward passes and updates (docs/decisions/0010-stacked-layers.md).

Values between layers have shape (P, features, N), features before samples.  Images have shape (N, P * channels, height,
width), with the channels of all networks one after the other, as a grouped convolution expects them.  The inputs of the
networks are the same for all, without P: (features, N), (N, channels, height, width), or token ids (N, tokens).

Layers compute in the dtype of the values; parameters are in float32.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, embedding_bag, max_pool2d_with_indices, max_unpool2d

from glo.training.parameters import SGDOptions, StackedParameter
from glo.training.products import biased_product

aten = torch.ops.aten


class Layer(Protocol):
    """The same layer of P networks.

    Attributes:
        parameters: those of the layer.
    """

    parameters: Sequence[StackedParameter]

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the layer's outputs."""
        ...

    def backward(self, grad_output: Tensor, inputs: Tensor, outputs: Tensor, factor: float) -> Tensor:
        """Update the parameters and return the gradient of the losses by the layer's inputs.

        Where the inputs are those of the networks, nobody needs that gradient, and any tensor may be returned.

        Args:
            grad_output: gradient of the losses by the layer's outputs; it may be overwritten.
            inputs: the inputs of the last `forward`.
            outputs: what that returned.
            factor: size of the SGD step.
        """
        ...

    def select(self, rows: Tensor) -> None:
        """Keep only the networks at these indices."""
        ...


class Linear:
    """(P, inputs, N) -> (P, outputs, N); as the first layer (inputs, N) -> (P, outputs, N)."""

    def __init__(self, module: nn.Linear, copies: int, options: SGDOptions) -> None:
        self._has_bias = module.bias is not None
        bias = module.bias if self._has_bias else module.weight.new_zeros(module.out_features)
        self.weight = StackedParameter(module.weight, copies, options)  # (P, outputs, inputs)
        self.bias = StackedParameter(bias.unsqueeze(1), copies, options)  # (P, outputs, 1)
        self.parameters: Sequence[StackedParameter] = (self.weight, self.bias)
        self._cast_weight = self.weight.value  # in the dtype of the values

    def forward(self, inputs: Tensor) -> Tensor:
        weight, bias = self.weight.value.to(inputs.dtype), self.bias.value.to(inputs.dtype)
        self._cast_weight = weight
        if _features_adjacent(inputs):
            return torch.baddbmm(bias.mT, inputs.mT, weight.mT).mT
        if inputs.dim() == 3:
            return torch.baddbmm(bias, weight, inputs)
        return biased_product(bias, weight, inputs)

    def backward(self, grad_output: Tensor, inputs: Tensor, outputs: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        grad_input = grad_output
        if _features_adjacent(inputs):
            grad_input = torch.bmm(grad_output.mT, self._cast_weight).mT
        elif inputs.dim() == 3:
            grad_input = torch.bmm(self._cast_weight.mT, grad_output)
        self.weight.update_by_product(grad_output, inputs.mT, factor)
        if self._has_bias:
            self.bias.update(grad_output.sum(2, keepdim=True), factor)
        return grad_input

    def select(self, rows: Tensor) -> None:
        self.weight.select(rows)
        self.bias.select(rows)


def _features_adjacent(values: Tensor) -> bool:
    """Whether the features of a sample are adjacent in memory, as they are after `Flatten`.

    Matrix products in that order are faster on a GPU, and their results have the same order.
    """
    return values.dim() == 3 and values.stride(1) == 1


class Convolution:
    """(N, P * inputs, ...) -> (N, P * outputs, ...); as the first layer (N, inputs, ...) -> (N, P * outputs, ...)."""

    def __init__(self, module: nn.Conv2d, copies: int, options: SGDOptions) -> None:
        self.weight = StackedParameter(module.weight, copies, options)  # (P, outputs, inputs, ...)
        self.bias = None if module.bias is None else StackedParameter(module.bias, copies, options)  # (P, outputs)
        self.parameters: Sequence[StackedParameter] = tuple(p for p in (self.weight, self.bias) if p is not None)
        self._channels = module.in_channels
        self._geometry: tuple[Any, ...] = module.stride, module.padding, module.dilation
        self._cast_weight = self.weight.value  # (P * outputs, inputs, ...), in the dtype of the values

    def forward(self, inputs: Tensor) -> Tensor:
        self._cast_weight = self.weight.value.flatten(0, 1).to(inputs.dtype)
        bias = None if self.bias is None else self.bias.value.flatten().to(inputs.dtype)
        return conv2d(inputs, self._cast_weight, bias, *self._geometry, groups=self._groups(inputs))

    def backward(self, grad_output: Tensor, inputs: Tensor, outputs: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        groups, bias_sizes = self._groups(inputs), None if self.bias is None else [len(self._cast_weight)]
        wanted = groups == len(self.weight.value), True, self.bias is not None
        grad_input, grad_weight, grad_bias = aten.convolution_backward(
            grad_output, inputs, self._cast_weight, bias_sizes, *self._geometry, False, [0, 0], groups, wanted
        )
        self.weight.update(grad_weight.view_as(self.weight.value), factor)
        if self.bias is not None:
            self.bias.update(grad_bias.view_as(self.bias.value), factor)
        return grad_input if wanted[0] else grad_output

    def select(self, rows: Tensor) -> None:
        self.weight.select(rows)
        if self.bias is not None:
            self.bias.select(rows)

    def _groups(self, inputs: Tensor) -> int:
        """P, or 1 where the inputs are the same for all networks."""
        return inputs.shape[1] // self._channels


class EmbeddingBag:
    """Token ids (N, tokens) -> (P, features, N), the sum or mean of their rows in each table; only as the first layer.

    One call reads the tables of all networks, as if they were one table of P * vocabulary rows.  An id that is not in the
    vocabulary is an error, since the large table does not have it either, for the first network or for the last one.
    """

    def __init__(self, module: nn.EmbeddingBag, copies: int, options: SGDOptions) -> None:
        self.weight = StackedParameter(module.weight, copies, options)  # (P, vocabulary, features)
        self.parameters: Sequence[StackedParameter] = (self.weight,)
        self._mean, self._padding = module.mode == "mean", module.padding_idx
        self._shares = torch.empty(0)  # (N, tokens), the factor of each token in its sum
        _silence_beta_warning()

    def forward(self, inputs: Tensor) -> Tensor:
        copies, vocabulary, _ = self.weight.value.shape
        self._shares = self._shares_of(inputs)
        starts = torch.arange(0, copies * vocabulary, vocabulary, dtype=torch.int32, device=inputs.device)
        rows = (inputs.int() + starts.reshape(-1, 1, 1)).flatten(0, 1)
        shares = self._shares.expand(copies, -1, -1).flatten(0, 1)
        sums = embedding_bag(rows, self.weight.value.flatten(0, 1), mode="sum", per_sample_weights=shares)
        return sums.unflatten(0, (copies, -1)).mT

    def backward(self, grad_output: Tensor, inputs: Tensor, outputs: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        copies, vocabulary, _ = self.weight.value.shape
        gradient = grad_output.mT.to(self._shares.dtype)
        if inputs.device.type == "cpu":
            shares = sparse_shares(inputs, self._shares, vocabulary, copies)
            self.weight.update_by_product(shares, gradient.flatten(0, 1), factor)
        else:  # a CUDA graph cannot hold a matrix whose size depends on the batch
            shares = dense_shares(inputs, self._shares, vocabulary)
            self.weight.update_by_product(shares.expand(copies, -1, -1), gradient, factor)
        return grad_output

    def select(self, rows: Tensor) -> None:
        self.weight.select(rows)

    def _shares_of(self, ids: Tensor) -> Tensor:
        dtype = self.weight.value.dtype
        counted = ids.new_ones(ids.shape, dtype=dtype) if self._padding is None else (ids != self._padding).to(dtype)
        return counted / counted.sum(1, keepdim=True).clamp_(min=1) if self._mean else counted


def dense_shares(ids: Tensor, shares: Tensor, vocabulary: int) -> Tensor:
    """Sum the shares of each token in each sample.

    Args:
        ids: the tokens, shape (N, tokens).
        shares: of the same shape.
        vocabulary: the number of different tokens.

    Returns:
        A matrix of shape (vocabulary, N).
    """
    return shares.new_zeros(len(ids), vocabulary).scatter_add_(1, ids.long(), shares).T


def sparse_shares(ids: Tensor, shares: Tensor, vocabulary: int, copies: int) -> Tensor:
    """Return the matrix of `dense_shares`, repeated P times as the blocks of a sparse block-diagonal matrix.

    Its shape is (P * vocabulary, P * N).
    """
    samples, networks = len(ids), torch.arange(copies, dtype=torch.int32).unsqueeze(1)
    # A pair of a token and a sample is one number; a token may be several times in one sample.
    pairs, order = (ids.long() * samples + torch.arange(samples).unsqueeze(1)).flatten().sort()
    pairs, places = torch.unique_consecutive(pairs, return_inverse=True)
    values = shares.new_zeros(len(pairs)).index_add_(0, places, shares.flatten()[order])
    tokens = torch.div(pairs, samples, rounding_mode="floor")
    ends = torch.bincount(tokens, minlength=vocabulary).cumsum(0).int() + networks * len(pairs)
    columns = (pairs - tokens * samples).int() + networks * samples
    return torch.sparse_csr_tensor(
        torch.cat([ends.new_zeros(1), ends.flatten()]),
        columns.flatten(),
        values.repeat(copies),
        (copies * vocabulary, copies * samples),
        check_invariants=False,
    )


@cache
def _silence_beta_warning() -> None:
    """Make PyTorch give its warning of sparse matrices, which it gives once in a process, where nobody sees it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state", UserWarning)
        torch.sparse_csr_tensor([0, 0], [], [], (1, 1), check_invariants=False)


class StatelessLayer:
    """A layer without parameters, the same for all networks."""

    parameters: Sequence[StackedParameter] = ()

    def select(self, rows: Tensor) -> None:
        """Do nothing: the layer has no state of single networks."""


# Each turns the gradient by an activation's outputs into that by its inputs, in place: (module, gradient, inputs, outputs).
ACTIVATIONS: dict[type[nn.Module], Callable[[Any, Tensor, Tensor, Tensor], Any]] = {
    nn.ReLU: lambda m, g, x, y: aten.threshold_backward.grad_input(g, y, 0, grad_input=g),
    nn.LeakyReLU: lambda m, g, x, y: aten.leaky_relu_backward.grad_input(g, x, m.negative_slope, False, grad_input=g),
    nn.Tanh: lambda m, g, x, y: aten.tanh_backward.grad_input(g, y, grad_input=g),
    nn.Sigmoid: lambda m, g, x, y: aten.sigmoid_backward.grad_input(g, y, grad_input=g),
    nn.SiLU: lambda m, g, x, y: aten.silu_backward.grad_input(g, x, grad_input=g),
    nn.GELU: lambda m, g, x, y: aten.gelu_backward.grad_input(g, x, approximate=m.approximate, grad_input=g),
    nn.ELU: lambda m, g, x, y: aten.elu_backward.grad_input(g, m.alpha, 1, 1, False, x, grad_input=g),
    nn.Softplus: lambda m, g, x, y: aten.softplus_backward.grad_input(g, x, m.beta, m.threshold, grad_input=g),
}
IN_PLACE = {nn.ReLU: torch.relu_, nn.Tanh: torch.tanh_, nn.Sigmoid: torch.sigmoid_}  # their backward needs no inputs


class Activation(StatelessLayer):
    """One of `ACTIVATIONS`, for values of any shape.

    Args:
        module: the activation.
        in_place: whether it may overwrite its inputs.
    """

    def __init__(self, module: nn.Module, in_place: bool) -> None:
        self._module = copy.copy(module)
        if hasattr(self._module, "inplace"):
            self._module.__dict__["inplace"] = False
        self._function = IN_PLACE.get(type(module), self._module) if in_place else self._module
        self._backward = ACTIVATIONS[type(module)]

    def forward(self, inputs: Tensor) -> Tensor:
        return self._function(inputs)

    def backward(self, grad_output: Tensor, inputs: Tensor, outputs: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        self._backward(self._module, grad_output, inputs, outputs)
        return grad_output


class MaxPool(StatelessLayer):
    """Max-pooling of images."""

    def __init__(self, module: nn.MaxPool2d) -> None:
        size, stride = _pair(module.kernel_size), _pair(module.stride)
        self._windows = size, stride, _pair(module.padding), _pair(module.dilation), module.ceil_mode
        self._disjoint = self._windows == (size, size, (0, 0), (1, 1), False)
        self._indices = torch.empty(0)  # of the maxima

    def forward(self, inputs: Tensor) -> Tensor:
        maxima, self._indices = max_pool2d_with_indices(inputs, *self._windows)
        return maxima

    def backward(self, grad_output: Tensor, inputs: Tensor, outputs: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        if self._disjoint:  # four times as fast on a GPU
            return max_unpool2d(grad_output, self._indices, *self._windows[:3], output_size=inputs.shape)
        return aten.max_pool2d_with_indices_backward(grad_output, inputs, *self._windows, self._indices)


def _pair(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value, value) if isinstance(value, int) else value


class Dropout:
    """Dropout with the mask that one network alone would draw, for all networks."""

    parameters: Sequence[StackedParameter] = ()

    def __init__(self, module: nn.Dropout, copies: int) -> None:
        self._module, self._copies = module, copies
        self._mask = torch.empty(0)

    def forward(self, inputs: Tensor) -> Tensor:
        if not self._module.training:
            self._mask = inputs.new_ones(())
            return inputs
        dtype = torch.promote_types(inputs.dtype, torch.float32)  # bfloat16 would round the scale 1 / (1 - p)
        if inputs.dim() == 3:  # a network alone has samples first
            self._mask = self._module(inputs.new_ones(inputs.shape[:0:-1], dtype=dtype)).T
        else:
            ones = inputs.new_ones(len(inputs), inputs.shape[1] // self._copies, *inputs.shape[2:], dtype=dtype)
            # PyTorch draws in the order in memory, and a network alone has channels last (`use_channels_last`).
            drawn = self._module(ones.contiguous(memory_format=torch.channels_last))
            self._mask = drawn.repeat(1, self._copies, 1, 1)
        return (inputs * self._mask).to(inputs.dtype)

    def backward(self, grad_output: Tensor, inputs: Tensor, outputs: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        return grad_output.mul_(self._mask)

    def select(self, rows: Tensor) -> None:
        self._copies = len(rows)


class Flatten:
    """(N, P * channels, height, width) -> (P, features, N)."""

    parameters: Sequence[StackedParameter] = ()

    def __init__(self, copies: int) -> None:
        self._copies = copies

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.unflatten(1, (self._copies, -1)).flatten(2).permute(1, 2, 0)

    def backward(self, grad_output: Tensor, inputs: Tensor, outputs: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        return grad_output.permute(2, 0, 1).reshape(inputs.shape)

    def select(self, rows: Tensor) -> None:
        self._copies = len(rows)
