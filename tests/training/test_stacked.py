"""The written-out chain agrees with `torch.func.vmap`, outputs and gradients; anything else is left to vmap."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from glo.training.stacked import Tensors, _vectorised, is_chain, stack


class Doubled(nn.Linear):
    """A linear layer that is none."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - its name in torch
        return 2 * super().forward(input)


CHAINS = {
    "one layer": nn.Sequential(nn.Linear(6, 3)),
    "no bias": nn.Sequential(nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 1, bias=False)),
    "deep": nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 7), nn.LeakyReLU(0.2), nn.Linear(7, 4), nn.Sigmoid()),
    "flattened": nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.ReLU(), nn.Linear(5, 3)),
    "activations": nn.Sequential(nn.Linear(6, 4), nn.GELU(), nn.SiLU(), nn.ELU(), nn.Softplus(), nn.Linear(4, 2)),
}
OTHERS = {
    "dropout": nn.Sequential(nn.Linear(6, 5), nn.Dropout(), nn.Linear(5, 3)),
    "normalised": nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)),
    "nested": nn.Sequential(nn.Sequential(nn.Linear(6, 5), nn.ReLU()), nn.Linear(5, 3)),
    "activation first": nn.Sequential(nn.ReLU(), nn.Linear(6, 3)),
    "of a subclass": nn.Sequential(Doubled(6, 3)),
    "convolution": nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)),
    "not sequential": nn.Linear(6, 3),
}


def draw(model: nn.Module) -> Tensors:
    """Different parameters for each of 4 networks."""
    torch.manual_seed(0)
    return {name: torch.randn(4, *p.shape, requires_grad=True) for name, p in model.named_parameters()}


@pytest.mark.parametrize("name", CHAINS)
def test_chain_agrees_with_vmap(name: str) -> None:
    model = CHAINS[name]
    assert is_chain(model)
    parameters = draw(model)
    inputs = torch.randn(9, 2, 3) if name == "flattened" else torch.randn(9, 6)
    ours, theirs = stack(model)(parameters, {}, inputs), _vectorised(model)(parameters, {}, inputs)
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs)
    upstream = torch.randn_like(ours)
    gradients = [torch.autograd.grad(outputs, list(parameters.values()), upstream) for outputs in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_chain(name: str) -> None:
    assert not is_chain(OTHERS[name])


def test_hooks_are_not_passed_over() -> None:
    model = nn.Sequential(nn.Linear(6, 3))
    model[0].register_forward_hook(lambda module, arguments, output: torch.mul(output, 2))  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert not is_chain(model)
    parameters, inputs = draw(model), torch.randn(5, 6)
    hooked: torch.Tensor = stack(model)(parameters, {}, inputs)
    plain: torch.Tensor = stack(nn.Sequential(nn.Linear(6, 3)))(parameters, {}, inputs)
    torch.testing.assert_close(hooked, plain.mul(2))
