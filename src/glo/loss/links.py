"""Links: how a network's outputs z become predictions y, and how a derivative by y goes back to z.

f is applied to each class separately, so its derivative G is taken by a coordinate u of that class alone: u = log(y) for
softmax (so that y -> 0 is harmless), u = z otherwise.  `pullback` then gives the derivative by z.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from glo.records import Link

SMALLEST_LOG = -87.0  # exp of a smaller number is subnormal in float32, which takes a CPU ten times as long


@dataclass(frozen=True)
class Predictions:
    """Predictions and their derivatives by u, all of the shape of z.

    Attributes:
        raw: the prediction before the clamp.
        y: the prediction, clamped to [eps, 1 - eps] if it is a probability.
        dy: dy/du, 0 where clamped.
        log_y: log of the unclamped prediction, or None if it is not a probability.
        dlog_y: d(log_y)/du; None means 1.
    """

    raw: Tensor
    y: Tensor
    dy: Tensor
    log_y: Tensor | None
    dlog_y: Tensor | None


@dataclass(frozen=True)
class LinkFunctions:
    """One link.

    Attributes:
        predict: `predict(z, dim)` -> y, for metrics.
        differentiable: `differentiable(z, eps, dim)` -> (y, log_y) for autograd.
        duals: `duals(z, eps, dim)` -> Predictions, for explicit derivatives.
        pullback: `pullback(G, raw, dim)` -> dL/dz from G = dL/du and the raw predictions.
    """

    predict: Callable[[Tensor, int], Tensor]
    differentiable: Callable[[Tensor, float, int], tuple[Tensor, Tensor | None]]
    duals: Callable[[Tensor, float, int], Predictions]
    pullback: Callable[[Tensor, Tensor, int], Tensor]


def _softmax_differentiable(z: Tensor, eps: float, dim: int) -> tuple[Tensor, Tensor]:
    log_y = torch.log_softmax(z, dim)
    return log_y.exp().clamp(eps, 1 - eps), log_y


def _where_inside(slope: Tensor, raw: Tensor, eps: float) -> Tensor:
    """`slope` where `raw` is in [eps, 1 - eps], and 0 where the clamp is active.

    One kernel, nine times faster on a CPU than a comparison and `torch.where`.  Its bounds are exclusive, so it gets the
    next floating-point numbers outside.
    """
    kind = np.float64 if raw.dtype == torch.float64 else np.float32
    low, high = np.nextafter(kind(eps), kind(-1)), np.nextafter(kind(1 - eps), kind(2))
    return torch.ops.aten.hardtanh_backward(slope, raw, float(low), float(high))


def _softmax_duals(z: Tensor, eps: float, dim: int) -> Predictions:
    log_y = torch.log_softmax(z, dim)
    raw = log_y.clamp_min(SMALLEST_LOG).exp_()
    y = raw.clamp(eps, 1 - eps)
    return Predictions(raw, y, _where_inside(y, raw, eps), log_y, None)


def _softmax_pullback(g: Tensor, raw: Tensor, dim: int) -> Tensor:
    return torch.addcmul(g, raw, g.sum(dim, keepdim=True), value=-1)


def _sigmoid_differentiable(z: Tensor, eps: float, dim: int) -> tuple[Tensor, Tensor]:
    return torch.sigmoid(z).clamp(eps, 1 - eps), logsigmoid(z)


def _sigmoid_duals(z: Tensor, eps: float, dim: int) -> Predictions:
    raw = torch.sigmoid(z)
    y = raw.clamp(eps, 1 - eps)
    return Predictions(raw, y, _where_inside(y * (1 - y), raw, eps), logsigmoid(z), torch.sigmoid(-z))


LINKS: dict[Link, LinkFunctions] = {
    Link.SOFTMAX: LinkFunctions(torch.softmax, _softmax_differentiable, _softmax_duals, _softmax_pullback),
    Link.SIGMOID: LinkFunctions(
        lambda z, dim: torch.sigmoid(z), _sigmoid_differentiable, _sigmoid_duals, lambda g, raw, dim: g
    ),
    Link.IDENTITY: LinkFunctions(
        lambda z, dim: z,
        lambda z, eps, dim: (z, None),
        lambda z, eps, dim: Predictions(z, z, torch.ones_like(z), None, None),
        lambda g, raw, dim: g,
    ),
}
