"""A parameter of P networks at once, and its update by SGD."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from glo.training.products import add_product, product


@dataclass(frozen=True)
class SGDOptions:
    """Options of SGD, as in `torch.optim.SGD`.

    Attributes:
        momentum: the same for all networks.
        decay: weight decay times learning rate of each network, shape (P); None for no weight decay.
        deferred: whether an update only keeps the gradient, for `glo.training.optimizers` to apply.
    """

    momentum: float = 0.0
    decay: Tensor | None = None
    deferred: bool = False

    @property
    def plain(self) -> bool:
        """Whether there is neither momentum nor weight decay."""
        return self.momentum == 0 and self.decay is None


class StackedParameter:
    """A parameter of P networks and its SGD state; `value` has shape (P, ...) and is updated in place.

    `gradient` is what a deferred update has left, of the same shape.

    Args:
        start: the initial value, the same for all networks.
        copies: the number of networks, P.
        options: momentum and weight decay.
    """

    def __init__(self, start: Tensor, copies: int, options: SGDOptions) -> None:
        self.value = stacked_copies(start, copies)
        self._momentum, self._decay = options.momentum, options.decay
        self._velocity = None if options.plain else torch.zeros_like(self.value)
        self._deferred = options.deferred
        self.gradient: Tensor | None = None
        self._gradient_buffer: Tensor | None = None  # of a sparse product

    def update(self, gradient: Tensor, factor: float) -> None:
        """Take a step of size `factor` against a gradient; keep the gradient if updates are deferred."""
        if self._deferred:
            self.gradient = gradient.to(self.value.dtype)
            return
        if self._velocity is not None:
            self._velocity.mul_(self._momentum).add_(gradient)
            gradient = self._add_decay(self._velocity)
        self.value.sub_(gradient, alpha=factor)

    def update_by_product(self, left: Tensor, right: Tensor, factor: float) -> None:
        """Take a step against the gradient `left @ right`; where it can, the matrix product itself adds the gradient.

        Shape:
            left (P, a, N) and right (P, N, b) or (N, b), or left (P * a, M), perhaps sparse, and right (M, b), for a
            parameter (P, a, b).
        """
        if self._deferred and left.layout != torch.strided:  # a sparse product makes a new tensor twenty times as slowly
            self._gradient_buffer = torch.zeros_like(self.value) if self._gradient_buffer is None else self._gradient_buffer
            _add_product(self._gradient_buffer, left, right, 0, 1)
            self.gradient = self._gradient_buffer
        elif self._deferred or left.dtype != self.value.dtype:  # a product in reduced precision cannot add to float32
            gradient = torch.bmm(left, right) if right.dim() == 3 else product(left, right)
            self.update(gradient.view_as(self.value), factor)
        elif self._velocity is None:
            _add_product(self.value, left, right, 1, -factor)
        else:
            _add_product(self._velocity, left, right, self._momentum, 1)
            self.value.sub_(self._add_decay(self._velocity), alpha=factor)

    def select(self, rows: Tensor) -> None:
        """Keep only the networks at these indices."""
        self.value = self.value[rows]
        self._velocity = None if self._velocity is None else self._velocity[rows]
        self._decay = None if self._decay is None else self._decay[rows]
        self._gradient_buffer = None

    def _add_decay(self, velocity: Tensor) -> Tensor:
        """Add the weight decay to the velocity, in place."""
        if self._decay is not None:
            velocity.addcmul_(self.value, self._decay.reshape(-1, *[1] * (self.value.dim() - 1)))
        return velocity


def _add_product(target: Tensor, left: Tensor, right: Tensor, beta: float, alpha: float) -> None:
    """Set target = beta * target + alpha * left @ right, for each network."""
    if right.dim() == 3:
        target.baddbmm_(left, right, beta=beta, alpha=alpha)
    else:
        add_product(target, left, right, beta, alpha)


def stacked_copies(tensor: Tensor, copies: int) -> Tensor:
    """P copies of a tensor in a new tensor (P, ...), contiguous in memory."""
    return tensor.detach().expand(copies, *tensor.shape).clone(memory_format=torch.contiguous_format)
