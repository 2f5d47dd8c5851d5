"""The gradients of a population again and again, for softmax and class indices, as every step of a training needs them.

With few outputs, a call of PyTorch costs more than what it computes, and a new tensor of medium size costs pages of new
memory.  Here all tensors are allocated once, and each call is bound to them once, to numpy where its result is the same to
the bit (`glo.loss.program`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glo.expr.dual import LOG_ZERO
from glo.loss.links import SMALLEST_LOG, bounds_outside, hardtanh_backward
from glo.loss.program import Program


def rows_of(networks: int, classes: int) -> Callable[[int], range]:
    """The rows of a network, a row for each class; after those of all networks, a row for each network's right classes."""
    ends = networks * classes

    def rows(network: int) -> range:
        if network < networks:
            return range(network * classes, (network + 1) * classes)
        return range(ends + network - networks, ends + network - networks + 1)

    return rows


class SoftmaxGradient:
    """What `links` and the derivatives of the losses give for softmax, class indices and outputs of one shape, to the bit.

    No loss may have log(1 - y).

    Args:
        program: of the derivatives of P losses for the label 0, and after them for the label 1, by `rows_of`.
        like: outputs, shape (P, C, N), in float32 or float64 on a CPU.
        eps: bound of the clamp of y.
    """

    def __init__(self, program: Program, like: Tensor, eps: float) -> None:
        networks, classes, samples = like.shape
        self.fits = like.shape, like.dtype
        everywhere, at_right = slice(None, networks * classes), slice(networks * classes, None)
        buffers = {name: like.new_empty(networks * (classes + 1), samples) for name in ("y", "dy", "log_y", "slopes")}
        y, dy, log_y, self._slopes = (buffer[everywhere].view(like.shape) for buffer in buffers.values())
        self._clamped, raw = like.new_empty(like.shape), like.new_empty(like.shape)
        total = like.new_empty(networks, 1, samples)
        flat = {name: buffer[everywhere].view(networks, -1) for name, buffer in buffers.items()}
        right = torch.empty(samples, dtype=torch.int64)  # the columns of the right classes, in (C, N)
        self._columns, self._right = np.arange(samples), right.numpy()
        self._slope_calls: list[Callable[[], Any]] = [
            partial(torch.log_softmax, self._clamped, 1, out=log_y),
            partial(torch.clamp_min, log_y, SMALLEST_LOG, out=raw),
            partial(torch.exp, raw, out=raw),
            partial(torch.clamp, raw, eps, 1 - eps, out=y),
            partial(hardtanh_backward.grad_input, y, raw, *bounds_outside(eps, like.dtype == torch.float64), grad_input=dy),
            *(partial(torch.index_select, flat[name], 1, right, out=buffers[name][at_right]) for name in program.inputs),
            *program.calls(buffers, buffers["slopes"]),
            partial(flat["slopes"].numpy().__setitem__, (slice(None), self._right), buffers["slopes"][at_right].numpy()),
        ]
        self._pullback_calls: list[Callable[[], Any]] = [
            partial(torch.sum, self._slopes, 1, True, out=total),
            partial(torch.addcmul, self._slopes, raw, total, value=-1, out=self._slopes),
        ]

    def __call__(self, z: Tensor, target: Tensor, factor: Tensor | float) -> Tensor:
        """The gradient, shape (P, C, N).

        Args:
            z: outputs, shape (P, C, N).
            target: class indices (N).
            factor: of the result, of a shape that fits it.
        """
        torch.clamp_min(z, LOG_ZERO, out=self._clamped)
        self._right[:] = target.numpy()
        self._right *= len(self._columns)
        self._right += self._columns
        with np.errstate(all="ignore"):
            for call in self._slope_calls:
                call()
            torch.mul(self._slopes, factor, out=self._slopes)
            for call in self._pullback_calls:
                call()
        return hardtanh_backward(self._slopes, self._clamped, LOG_ZERO, torch.inf)
