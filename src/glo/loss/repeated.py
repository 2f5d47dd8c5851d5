"""The gradients of a population, again and again by outputs in the same place and for the same labels, as the descent probe
needs them.

With few outputs, a call of PyTorch costs more than what it computes.  Here all tensors are allocated once, and each call is
bound to them once, to numpy where its result is the same to the bit (`glo.loss.program`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glo.expr.dual import LOG_ZERO
from glo.loss.links import SMALLEST_LOG, bounds_outside
from glo.loss.program import Program


class SoftmaxGradient:
    """What `PopulationLoss.gradient` gives for softmax and class indices, to the bit; no loss may have log(1 - y).

    Args:
        programs: of the derivative, for the labels 0 and 1.
        z: outputs, shape (P, C, N), in float32 on a CPU; each call reads them.
        target: class indices (N).
        eps: bound of the clamp of y.
        factor: of the result.
    """

    def __init__(self, programs: tuple[Program, Program], z: Tensor, target: Tensor, eps: float, factor: float) -> None:
        networks, classes, samples = z.shape
        clamped, log_y, raw, y, dy, self._result = (torch.empty_like(z) for _ in range(6))
        total, right_slopes = z.new_empty(networks, 1, samples), z.new_empty(networks, samples)
        inputs = {"y": y, "dy": dy, "log_y": log_y}
        inputs = {name: tensor.view(networks, classes * samples) for name, tensor in inputs.items()}
        slopes = self._result.view(networks, classes * samples)
        outside, above = np.empty(z.shape, bool), np.empty(z.shape, bool)
        low, high = (np.array(bound, np.float32) for bound in bounds_outside(eps, False))
        lowest, smallest, zero = (np.array(number, np.float32) for number in (LOG_ZERO, SMALLEST_LOG, 0))
        right = target * samples + torch.arange(samples)
        self._calls: list[Callable[[], Any]] = [
            partial(np.maximum, z.numpy(), lowest, out=clamped.numpy()),
            partial(torch.log_softmax, clamped, 1, out=log_y),
            partial(np.maximum, log_y.numpy(), smallest, out=raw.numpy()),
            partial(torch.exp, raw, out=raw),
            partial(torch.clamp, raw, eps, 1 - eps, out=y),
            partial(np.less_equal, raw.numpy(), low, out=outside),
            partial(np.greater_equal, raw.numpy(), high, out=above),
            partial(np.logical_or, outside, above, out=outside),
            partial(np.copyto, dy.numpy(), y.numpy()),
            partial(np.copyto, dy.numpy(), zero, where=outside),
            *programs[0].calls(inputs, slopes),
            *programs[1].calls(inputs, right_slopes, right),
            partial(slopes.numpy().__setitem__, (slice(None), right.numpy()), right_slopes.numpy()),
            partial(np.multiply, slopes.numpy(), np.array(factor, np.float32), out=slopes.numpy()),
            partial(torch.sum, self._result, 1, True, out=total),
            partial(torch.addcmul, self._result, raw, total, value=-1, out=self._result),
            partial(np.less_equal, clamped.numpy(), lowest, out=outside),
            partial(np.copyto, self._result.numpy(), zero, where=outside),
        ]

    def __call__(self) -> Tensor:
        """The gradient, shape (P, C, N), in a tensor that the next call overwrites."""
        with np.errstate(all="ignore"):
            for call in self._calls:
                call()
        return self._result
