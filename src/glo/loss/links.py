"""Links: how a network's outputs z become predictions y, and how a derivative by y goes back to z.

f is applied to each class separately, so its derivative G is taken by a coordinate u of that class alone, in which nothing
is ill-conditioned: for softmax u = log(y) (so that y -> 0 is harmless), or log(y) - log(1 - y) for a loss with log(1 - y)
(so that y -> 1 is harmless too); for the other links u = z.  `pullback` then gives the derivative by z.

A logit below -1e9, such as the -inf of a masked class, counts as -1e9, so that 0*log(y) is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from glo.expr.dual import LOG_ZERO
from glo.records import Link

hardtanh_backward = torch.ops.aten.hardtanh_backward
LOWEST = -3e38  # below every logarithm in float32, and finite, in case there is no other class
SMALLEST_LOG = -87.0  # exp of a smaller number is subnormal in float32, which takes a CPU ten times as long


@dataclass(frozen=True)
class Predictions:
    """Predictions and their derivatives by u, all of the shape of z.

    Attributes:
        y: the prediction, clamped to [eps, 1 - eps] if it is a probability.
        dy: dy/du, 0 where clamped.
        pullback: `pullback(G)` -> dL/dz from G = dL/du.
        log_y: log of the unclamped prediction, or None if it is not a probability.
        dlog_y: d(log_y)/du; None means 1.
        log_not_y: log of 1 - the unclamped prediction, or None if no loss needs it.
        dlog_not_y: d(log_not_y)/du.
    """

    y: Tensor
    dy: Tensor
    pullback: Callable[[Tensor], Tensor]
    log_y: Tensor | None = None
    dlog_y: Tensor | None = None
    log_not_y: Tensor | None = None
    dlog_not_y: Tensor | None = None


@dataclass(frozen=True)
class LinkFunctions:
    """One link.

    Attributes:
        predict: `predict(z, dim)` -> y, for metrics.
        differentiable: `differentiable(z, eps, dim)` -> (y, log_y, log_not_y) for autograd.
        duals: `duals(z, eps, dim)` -> Predictions, for explicit derivatives; may change z.
    """

    predict: Callable[[Tensor, int], Tensor]
    differentiable: Callable[[Tensor, float, int], tuple[Tensor, Tensor | None, Tensor | None]]
    duals: Callable[[Tensor, float, int], Predictions]


def _where_inside(slope: Tensor, raw: Tensor, eps: float) -> Tensor:
    """`slope` where `raw` is in [eps, 1 - eps], and 0 where the clamp is active.

    One kernel, nine times faster on a CPU than a comparison and `torch.where`.  Its bounds are exclusive, so it gets the
    next floating-point numbers outside.
    """
    return hardtanh_backward(slope, raw, *bounds_outside(eps, raw.dtype == torch.float64))


@lru_cache
def bounds_outside(eps: float, double: bool) -> tuple[float, float]:
    """The next numbers outside [eps, 1 - eps], in float64 or float32."""
    kind = np.float64 if double else np.float32
    return float(np.nextafter(kind(eps), kind(-1))), float(np.nextafter(kind(1 - eps), kind(2)))


def _unless_clamped(gradient: Tensor, z: Tensor, high: float = torch.inf) -> Tensor:
    """The gradient, in place, with 0 for the logits that were clamped to `LOG_ZERO`, as autograd has it."""
    return hardtanh_backward.grad_input(gradient, z, LOG_ZERO, high, grad_input=gradient)


def _softmax_differentiable(z: Tensor, eps: float, dim: int) -> tuple[Tensor, Tensor, None]:
    log_y = torch.log_softmax(z.clamp(min=LOG_ZERO), dim)
    return log_y.exp().clamp(eps, 1 - eps), log_y, None


def _softmax_duals(z: Tensor, eps: float, dim: int) -> Predictions:
    log_y = torch.log_softmax(z.clamp_(min=LOG_ZERO), dim)
    raw = log_y.clamp_min(SMALLEST_LOG).exp_()
    y = raw.clamp(eps, 1 - eps)

    def pullback(g: Tensor) -> Tensor:
        return _unless_clamped(torch.addcmul(g, raw, g.sum(dim, keepdim=True), value=-1), z)

    return Predictions(y, _where_inside(y, raw, eps), pullback, log_y)


def _log_not(log_y: Tensor, raw: Tensor, dim: int) -> Tensor:
    """log(1 - y): of the largest class from the log(y) of the others; of the others from y, which is at most 1/2."""
    largest = log_y.argmax(dim, keepdim=True)
    others = log_y.scatter(dim, largest, LOWEST).logsumexp(dim, keepdim=True)
    return torch.log1p(-raw.scatter(dim, largest, 0.0)).scatter(dim, largest, others)


def _softmax_differentiable_both(z: Tensor, eps: float, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    log_y = torch.log_softmax(z.clamp(min=LOG_ZERO), dim)
    raw = log_y.exp()
    return raw.clamp(eps, 1 - eps), log_y, _log_not(log_y, raw, dim)


def _softmax_duals_both(z: Tensor, eps: float, dim: int) -> Predictions:
    """With u = log(y) - log(1 - y): du_k/dz_j is 1 for k = j, else -y_j/(1 - y_k)."""
    log_y = torch.log_softmax(z.clamp_(min=LOG_ZERO), dim)
    raw = log_y.exp()
    log_not_y = _log_not(log_y, raw, dim)
    not_y = log_not_y.exp()

    def pullback(g: Tensor) -> Tensor:
        largest = log_y.argmax(dim, keepdim=True)
        # y_j/(1 - y_k) of the largest k comes from the logarithms; of the other k, 1 - y_k is at least 1/2.
        quotients = torch.exp(log_y - log_not_y.gather(dim, largest)).scatter_(dim, largest, 0.0)
        others = (g / not_y).scatter_(dim, largest, 0.0)
        return _unless_clamped(g - raw * (others.sum(dim, keepdim=True) - others) - quotients * g.gather(dim, largest), z)

    y, dy = raw.clamp(eps, 1 - eps), _where_inside(raw * not_y, raw, eps)
    return Predictions(y, dy, pullback, log_y, not_y, log_not_y, -raw)


def _sigmoid_differentiable(z: Tensor, eps: float, dim: int) -> tuple[Tensor, Tensor, None]:
    z = z.clamp(LOG_ZERO, -LOG_ZERO)
    return torch.sigmoid(z).clamp(eps, 1 - eps), logsigmoid(z), None


def _sigmoid_differentiable_both(z: Tensor, eps: float, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    z = z.clamp(LOG_ZERO, -LOG_ZERO)
    return torch.sigmoid(z).clamp(eps, 1 - eps), logsigmoid(z), logsigmoid(-z)


def _sigmoid_duals(z: Tensor, eps: float, dim: int) -> Predictions:
    z.clamp_(LOG_ZERO, -LOG_ZERO)
    raw = torch.sigmoid(z)
    y = raw.clamp(eps, 1 - eps)
    slope = _where_inside(y * (1 - y), raw, eps)
    return Predictions(y, slope, lambda g: _unless_clamped(g, z, -LOG_ZERO), logsigmoid(z), torch.sigmoid(-z))


def _sigmoid_duals_both(z: Tensor, eps: float, dim: int) -> Predictions:
    return replace(_sigmoid_duals(z, eps, dim), log_not_y=logsigmoid(-z), dlog_not_y=-torch.sigmoid(z))


def _identity_duals(z: Tensor, eps: float, dim: int) -> Predictions:
    return Predictions(z, torch.ones_like(z), lambda g: g)


LINKS: dict[Link, LinkFunctions] = {
    Link.SOFTMAX: LinkFunctions(torch.softmax, _softmax_differentiable, _softmax_duals),
    Link.SIGMOID: LinkFunctions(lambda z, dim: torch.sigmoid(z), _sigmoid_differentiable, _sigmoid_duals),
    Link.IDENTITY: LinkFunctions(lambda z, dim: z, lambda z, eps, dim: (z, None, None), _identity_duals),
}
# For losses with log(1 - y).  The others do without: it costs time, and another u rounds derivatives differently.
LINKS_WITH_LOG_NOT_Y: dict[Link, LinkFunctions] = {
    Link.SOFTMAX: replace(LINKS[Link.SOFTMAX], differentiable=_softmax_differentiable_both, duals=_softmax_duals_both),
    Link.SIGMOID: replace(LINKS[Link.SIGMOID], differentiable=_sigmoid_differentiable_both, duals=_sigmoid_duals_both),
    Link.IDENTITY: LINKS[Link.IDENTITY],
}
