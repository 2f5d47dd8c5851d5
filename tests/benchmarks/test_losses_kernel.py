"""The kernel for the losses of a population agrees with `PopulationLoss`; without a GPU, in Triton's interpreter."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from torch import Tensor

from benchmarks.measuring import viable_losses
from glo.errors import ConfigError
from glo.expr import parse
from glo.expr.operators import OPERATORS
from glo.loss import PopulationLoss

if find_spec("triton") is None:
    pytest.skip("Triton is not installed: it comes with PyTorch for CUDA", allow_module_level=True)

from benchmarks.losses_kernel import LossesKernel  # before anything imports Triton: it chooses the interpreter

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# One for each operator; min and max also of equal numbers, powers also of negative ones.
BY_OPERATOR = {
    "log": "x*log(y) + log(y + 0.5)",
    "square": "square(x - y)",
    "sqrt": "sqrt(y)*(x + 1)",
    "+": "square(x + y)",
    "*": "x*y",
    "-": "y*(y - x)",
    "/": "x/y",
    "abs": "abs(x - y)",
    "exp": "exp(x - y)",
    "tanh": "tanh(0.3*y - x) + tanh(9*y) + tanh(y*y/20)",
    "neg": "neg(y*y)",
    "min": "min(x, y) + min(y, y)*y",
    "max": "max(0.5, y)*x + max(y, x) + max(y, y)*y",
    "pow": "pow(y - x, 3) + pow(y - 2, -2) + pow(y, 0.7) + pow(y - y, 1)",
}


def outputs(networks: int, samples: int, classes: int, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(samples)
    z = scale * torch.randn(networks, samples, classes, generator=rng)
    return z.to(DEVICE), torch.randint(0, classes, (samples,), generator=rng).to(DEVICE)


def check(texts: list[str], z: Tensor, target: Tensor, tolerance: float = 2e-5) -> None:
    """Losses and gradients are as close to those in float64 as `PopulationLoss` is in float32, within a factor of 4.

    A loss with a pole, such as 1/(1 - y), is inaccurate in float32 in either way.  The tolerance is relative to the largest
    number of each network.
    """
    losses = [parse(text) for text in texts]
    reference = PopulationLoss(losses, device=DEVICE)
    found = LossesKernel(losses, device=DEVICE)(z, target)
    exact = reference.value(z.double(), target), reference.gradient(z.double(), target)
    single = PopulationLoss(losses, device=DEVICE)
    usual = single.value(z, target), single.gradient(z, target)
    for ours, theirs, true in zip(found, usual, exact, strict=True):
        assert ours.shape == theirs.shape
        for text, a, b, c in zip(texts, ours, theirs, true, strict=True):
            error, bound = float((a - c).abs().max()), tolerance * float(c.abs().max()) + 4 * float((b - c).abs().max())
            assert error <= bound, text


@pytest.mark.parametrize(("samples", "classes"), [(37, 10), (16, 3)])
def test_random_viable_losses(samples: int, classes: int) -> None:
    texts = [str(loss) for loss in viable_losses(30)]
    check(texts, *outputs(len(texts), samples, classes))


def test_extreme_outputs_where_y_is_clamped() -> None:
    texts = [str(loss) for loss in viable_losses(30)]
    z, target = outputs(len(texts), 9, 10)
    z = 100 * z.sign()
    z[:, 1] = -100.0
    z[:, 1, 4] = 100.0  # its y is 1, and that of the others 0
    check(texts, z, target)


def test_masked_classes_have_no_gradient() -> None:
    z, target = outputs(2, 5, 3)
    z[:, :, 2] = -torch.inf
    texts = ["x*log(y)", "log(y)"]
    check(texts, z, target.clamp(max=1))
    _, gradient = LossesKernel([parse(text) for text in texts], device=DEVICE)(z, target.clamp(max=1))
    assert not gradient[:, :, 2].any()
    assert gradient[:, :, :2].all()


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator(name: str) -> None:
    check([BY_OPERATOR[name]], *outputs(1, 20, 4))


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")
def test_all_operators_on_a_gpu() -> None:
    check(list(BY_OPERATOR.values()), *outputs(len(BY_OPERATOR), 100, 10))


def test_weights_and_memory_order() -> None:
    losses = [parse(text) for text in ("x*log(y)", "square(x - y)")]
    z, target = outputs(2, 17, 3)
    z = z.transpose(1, 2).contiguous().transpose(1, 2)  # as the engine has it: classes before samples
    weights = torch.tensor([2.0, 0.5], device=DEVICE).reshape(2, 1, 1)
    _, gradient = LossesKernel(losses, device=DEVICE)(z, target, weights)
    torch.testing.assert_close(gradient, PopulationLoss(losses, device=DEVICE).gradient(z, target, weights))
    assert gradient.stride() == z.stride()


def test_a_loss_without_y_has_no_gradient() -> None:
    values, gradient = LossesKernel([parse("x + 2")], device=DEVICE)(*outputs(1, 4, 3))
    assert values.tolist() == [-7.0]
    assert not gradient.any()


@pytest.mark.parametrize("text", ["x*log(1 - y)", "prior*y", "progress*y"])
def test_what_the_kernel_has_not_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="use PopulationLoss"):
        LossesKernel([parse(text)])


def test_other_shapes_and_types_are_refused() -> None:
    kernel, (z, target) = LossesKernel([parse("x*y")], device=DEVICE), outputs(1, 4, 3)
    for wrong in (z.double(), z[0], z.expand(2, 4, 3)):
        with pytest.raises(ConfigError, match="give float32"):
            kernel(wrong, target)
    for labels in (target[:3], target.float()):
        with pytest.raises(ConfigError, match="give class indices"):
            kernel(z, labels)
