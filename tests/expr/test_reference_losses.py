"""Losses from the literature as expressions, compared with their definitions in PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, nll_loss

from glo.catalog import confidence_penalty, focal, generalised_cross_entropy
from glo.errors import ConfigError
from glo.expr import Expr
from glo.loss import ExpressionLoss


def right(outputs: Tensor, targets: Tensor) -> Tensor:
    """Probability of the right class of each sample."""
    return outputs.softmax(1).gather(1, targets[:, None]).squeeze(1)


def gce(q: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda outputs, targets: ((1 - right(outputs, targets) ** q) / q).mean()


def focal_by_hand(gamma: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda outputs, targets: (
        (1 - right(outputs, targets)) ** gamma * cross_entropy(outputs, targets, reduction="none")
    ).mean()


def penalised(beta: float) -> Callable[[Tensor, Tensor], Tensor]:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        log_y = outputs.log_softmax(1)
        entropy = -(log_y.exp() * log_y).sum(1).mean()
        return nll_loss(log_y, targets) - beta * entropy

    return loss


CASES = {
    "gce 0.7": (generalised_cross_entropy(), gce(0.7)),
    "gce 0.3": (generalised_cross_entropy(0.3), gce(0.3)),
    "gce 1": (generalised_cross_entropy(1), gce(1)),
    "focal": (focal(), focal_by_hand(2)),
    "focal 0.5": (focal(0.5), focal_by_hand(0.5)),
    "focal 0": (focal(0), focal_by_hand(0)),
    "penalty": (confidence_penalty(), penalised(0.1)),
    "penalty 2": (confidence_penalty(2), penalised(2)),
    "no penalty": (confidence_penalty(0), penalised(0)),
}


@pytest.mark.parametrize("name", CASES)
def test_gradient_equals_that_of_the_definition(name: str) -> None:
    """Only the gradients are compared: the values may differ by a constant."""
    expression, reference = CASES[name]
    outputs = (3 * torch.randn(40, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).requires_grad_()
    targets = torch.arange(40) % 5
    ours, theirs = ExpressionLoss(expression)(outputs, targets), reference(outputs, targets)
    gradients = [torch.autograd.grad(loss, outputs)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("loss", "number"),
    [
        (generalised_cross_entropy, 0.0),
        (generalised_cross_entropy, 1.1),
        (generalised_cross_entropy, float("nan")),
        (focal, -1.0),
        (focal, float("inf")),
        (confidence_penalty, -0.1),
        (confidence_penalty, float("nan")),
    ],
)
def test_numbers_out_of_range(loss: Callable[[float], Expr], number: float) -> None:
    with pytest.raises(ConfigError, match=f"not {number}"):
        loss(number)
