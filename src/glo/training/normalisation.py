"""Normalising layers of P networks at once, with hand-written backward passes (docs/decisions/0010-stacked-layers.md)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from glo.training.parameters import SGDOptions, StackedParameter, stacked_copies

aten = torch.ops.aten
Affine = tuple[StackedParameter | None, StackedParameter | None]  # weight and bias, each of shape (P, features)


def _affine(module: nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm, copies: int, options: SGDOptions) -> Affine:
    """The weight and the bias of a layer, where it has them."""
    stacked = [None if p is None else StackedParameter(p, copies, options) for p in (module.weight, module.bias)]
    return stacked[0], stacked[1]


def _of_each(inputs: Tensor, copies: int) -> Tensor:
    """The values of each network, (P, features, N): the inputs of a first layer are the same for all."""
    return inputs.expand(copies, *inputs.shape) if inputs.dim() == 2 else inputs


class BatchNorm:
    """(P, features, N) -> the same shape, or (N, P * channels, height, width) -> the same shape.

    The features of all networks are so many channels of one batch normalisation.  As the first layer
    (features, N) -> (P, features, N).
    """

    def __init__(self, module: nn.BatchNorm1d | nn.BatchNorm2d, copies: int, options: SGDOptions) -> None:
        self._module, self._copies = module, copies
        self._weight, self._bias = _affine(module, copies, options)
        self.parameters: Sequence[StackedParameter] = tuple(p for p in (self._weight, self._bias) if p is not None)
        self._running = tuple(
            None if buffer is None else stacked_copies(buffer, copies)  # (P, features), the mean and the variance
            for buffer in (module.running_mean, module.running_var)
        )
        self._saved: tuple[Tensor, Tensor] = (torch.empty(0), torch.empty(0))

    def forward(self, inputs: Tensor) -> Tensor:
        images = self._images(inputs)
        if self._measures and images.numel() == images.shape[1]:
            raise ValueError(f"batch normalisation needs more than one value for each channel, not {tuple(images.shape)}")
        weight, bias, mean, variance = self._flat()
        outputs, *saved = torch.native_batch_norm(
            images, weight, bias, mean, variance, self._measures, self._module.momentum or 0.0, self._module.eps
        )
        self._saved = saved[0], saved[1]
        return outputs if inputs.dim() == 4 else outputs.view(self._copies, -1, inputs.shape[-1])

    def backward(self, grad_output: Tensor, inputs: Tensor, outputs: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        images = self._images(inputs)
        weight, _, mean, variance = self._flat()
        grad_input, *of_parameters = aten.native_batch_norm_backward(
            grad_output.reshape(images.shape), images, weight, mean, variance, *self._saved, self._measures,
            self._module.eps, [True, weight is not None, weight is not None],
        )  # fmt: skip
        for parameter, gradient in zip((self._weight, self._bias), of_parameters, strict=True):
            if parameter is not None:
                parameter.update(gradient.view_as(parameter.value), factor)
        return grad_input.view(grad_output.shape)

    def select(self, rows: Tensor) -> None:
        self._copies = len(rows)
        for parameter in self.parameters:
            parameter.select(rows)
        self._running = tuple(None if buffer is None else buffer[rows] for buffer in self._running)

    @property
    def _measures(self) -> bool:
        """Whether mean and variance are those of the batch."""
        return self._module.training or self._running[0] is None

    def _images(self, inputs: Tensor) -> Tensor:
        """The values with the channels of all networks in their second dimension."""
        return inputs if inputs.dim() == 4 else _of_each(inputs, self._copies).reshape(1, -1, inputs.shape[-1])

    def _flat(self) -> list[Tensor | None]:
        """Weight, bias, running mean and running variance, each of shape (P * features), where they exist."""
        values = (*(None if p is None else p.value for p in (self._weight, self._bias)), *self._running)
        return [None if value is None else value.view(-1) for value in values]


class LayerNorm:
    """(P, features, N) -> the same shape; as the first layer (features, N) -> (P, features, N)."""

    def __init__(self, module: nn.LayerNorm, copies: int, options: SGDOptions) -> None:
        self._features, self._eps = list(module.normalized_shape), module.eps
        self._weight, self._bias = _affine(module, copies, options)
        self.parameters: Sequence[StackedParameter] = tuple(p for p in (self._weight, self._bias) if p is not None)
        self._copies = copies
        self._saved: tuple[Tensor, ...] = ()  # normalised values, mean, 1 / deviation

    def forward(self, inputs: Tensor) -> Tensor:
        values = _of_each(inputs, self._copies)
        self._saved = torch.native_layer_norm(values.mT, self._features, None, None, self._eps)
        outputs = self._saved[0]  # (P, N, features)
        if self._weight is not None:
            outputs = outputs * self._weight.value.unsqueeze(1).to(outputs.dtype)
        if self._bias is not None:
            outputs = outputs + self._bias.value.unsqueeze(1).to(outputs.dtype)
        return outputs.mT

    def backward(self, grad_output: Tensor, inputs: Tensor, outputs: Tensor, factor: float) -> Tensor:  # noqa: ARG002
        normalised, mean, scale = self._saved
        gradient = grad_output.mT
        of_weight = None if self._weight is None else (gradient * normalised).sum(1)
        of_bias = None if self._bias is None else gradient.sum(1)
        if self._weight is not None:
            gradient = gradient * self._weight.value.unsqueeze(1).to(gradient.dtype)
        values = _of_each(inputs, self._copies)
        found, _, _ = aten.native_layer_norm_backward(
            gradient.contiguous(), values.mT, self._features, mean, scale, None, None, [True, False, False]
        )
        for parameter, of_parameter in ((self._weight, of_weight), (self._bias, of_bias)):
            if parameter is not None and of_parameter is not None:
                parameter.update(of_parameter, factor)
        return found.mT

    def select(self, rows: Tensor) -> None:
        self._copies = len(rows)
        for parameter in self.parameters:
            parameter.select(rows)
