"""PopulationLoss: value and gradient of every network equal those of ExpressionLoss, with few operator calls."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from glo.catalog import NAMED
from glo.errors import ConfigError
from glo.expr import OPERATORS, Dual, Expr, evaluate_dual, parse
from glo.expr.dual import uses_log_not_y
from glo.loss import LINKS, ExpressionLoss, PopulationLoss, program
from glo.loss.links import LINKS_WITH_LOG_NOT_Y
from glo.records import Link
from strategies import expressions, moderate_constants

SAMPLES, CLASSES = 5, 4
POPULATIONS = st.lists(expressions(moderate_constants()), min_size=1, max_size=6)


def draw(seed: int, link: Link, networks: int, hard: bool, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    """Outputs (P, N, C) and targets in float64."""
    generator = torch.Generator().manual_seed(seed)
    z = scale * torch.randn(networks, SAMPLES, CLASSES, generator=generator, dtype=torch.float64)
    if hard and link is Link.SOFTMAX:
        return z, torch.randint(CLASSES, (SAMPLES,), generator=generator)
    target = torch.rand(SAMPLES, CLASSES, generator=generator, dtype=torch.float64)
    if link is Link.IDENTITY:
        target = 3 * target - 1
    elif link is Link.SOFTMAX:
        target = target.softmax(1)
    return z, (target > 0.5).double() if hard else target


def sound(expression: Expr, link: Link, z: Tensor, target: Tensor) -> bool:
    """Whether the value and the slope of every subexpression are finite.

    Otherwise the two losses need not agree: 1/(1/y) at y = 0 is 0, and the order of multiplication decides whether its slope
    is 0 or NaN.
    """
    x = target if target.is_floating_point() else torch.nn.functional.one_hot(target, CLASSES).double()
    y, *logs = (LINKS_WITH_LOG_NOT_Y if uses_log_not_y(expression) else LINKS)[link].differentiable(z, 1e-7, 1)
    one = torch.ones_like(y)
    logarithms = [None if log is None else Dual(log, one) for log in logs]
    for node in expression.walk():
        for part in evaluate_dual(node, torch, x, Dual(y, one), z.new_tensor, *logarithms):
            if part is not None and not bool(torch.isfinite(part * one).all()):
                return False
    return True


def check_agreement(
    population: list[Expr],
    link: Link,
    z: Tensor,
    target: Tensor,
    class_reduction: Literal["sum", "mean"] = "sum",
    only_sound: bool = False,
) -> int:
    """Compare every network whose ExpressionLoss is finite; return how many were compared."""
    loss = PopulationLoss(population, link, class_reduction)
    values, gradients = loss.value(z, target), loss.gradient(z, target)
    assert values.shape == z.shape[:1]
    assert gradients.shape == z.shape
    compared = 0
    for expression, outputs, value, gradient in zip(population, z, values, gradients, strict=True):
        outputs = outputs.clone().requires_grad_()
        single = ExpressionLoss(expression, class_reduction=class_reduction, link=link)(outputs, target)
        expected = torch.zeros_like(outputs)
        if single.requires_grad:
            (expected,) = torch.autograd.grad(single, outputs)
        if not (bool(torch.isfinite(single)) and bool(torch.isfinite(expected).all())):
            continue
        if only_sound and not sound(expression, link, outputs.detach(), target):
            continue
        compared += 1
        # Terms as large as the value may cancel in the gradient, so the tolerance depends on the value too.
        magnitude, slope = abs(single.item()), expected.abs().max().item()
        assert abs(value.item() - single.item()) <= 1e-5 * magnitude + 1e-9, f"value of {expression}"
        error = (gradient - expected).abs().max().item()
        assert error <= 1e-5 * slope + 1e-9 * (1 + magnitude), f"gradient of {expression}: {gradient} != {expected}"
    return compared


@settings(max_examples=100)
@given(POPULATIONS, st.sampled_from(list(Link)), st.booleans(), st.sampled_from(["sum", "mean"]), st.integers(0, 9))
def test_random_populations_agree_with_expression_loss(
    population: list[Expr], link: Link, hard: bool, class_reduction: Any, seed: int
) -> None:
    z, target = draw(seed, link, len(population), hard)
    check_agreement(population, link, z, target, class_reduction, only_sound=True)


@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
@pytest.mark.parametrize("link", list(Link))
def test_named_losses_agree_with_expression_loss(link: Link, hard: bool) -> None:
    """Named losses are finite for probabilities; for other outputs, those with log or sqrt may not be."""
    population = list(NAMED.values())
    z, target = draw(1, link, len(population), hard)
    z = z.abs() + 0.1 if link is Link.IDENTITY else z
    finite = len(population) - (link is Link.IDENTITY)  # binary_cross_entropy takes log(1 - y) of y above 1
    assert check_agreement(population, link, z, target) == finite


@pytest.mark.parametrize("link", list(Link))
@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_agrees_with_expression_loss(name: str, link: Link) -> None:
    row = OPERATORS[name]
    arguments = [parse("1.5") if i in row.constant_arguments else parse(text) for i, text in enumerate(("y", "x + 0.3"))]
    inner = Expr(name, tuple(arguments[: row.arity]))
    swapped = inner if row.constant_arguments else Expr(name, tuple(arguments[: row.arity][::-1]))
    population = [inner, swapped, Expr("*", (Expr("x"), inner)), Expr("-", (inner, Expr("log", (Expr("y"),))))]
    for hard in (True, False):
        z, target = draw(2, link, len(population), hard)
        assert check_agreement(population, link, z.abs() + 0.1, target.abs()) == len(population)


@settings(max_examples=50)
@given(POPULATIONS, st.sampled_from([Link.SOFTMAX, Link.SIGMOID]), st.booleans(), st.integers(0, 9))
def test_populations_agree_where_predictions_are_clamped(population: list[Expr], link: Link, hard: bool, seed: int) -> None:
    z, target = draw(seed, link, len(population), hard, scale=30.0)
    check_agreement(population, link, z, target, only_sound=True)


@pytest.mark.parametrize("text", ["pow(x*y, 0) + y", "pow(y - y, 0) + x*log(y)", "x*y + pow(log(y), 0)", "pow(x, 0)*y"])
@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
def test_power_of_0_is_1_even_for_base_0(text: str, hard: bool) -> None:
    z, target = draw(8, Link.SOFTMAX, 1, hard, scale=60.0)
    assert check_agreement([parse(text)], Link.SOFTMAX, z, target) == 1


@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cross_entropy_of_extreme_logits_is_finite_and_right(dtype: torch.dtype, hard: bool) -> None:
    z, target = draw(3, Link.SOFTMAX, 3, hard)
    z = 1e4 * z.sign().to(dtype)
    target = target if hard else target.to(dtype)
    loss = PopulationLoss([parse("x*log(y)")] * 3)
    value, gradient = loss.value(z, target), loss.gradient(z, target)
    assert value.dtype == gradient.dtype == dtype
    outputs = z.clone().requires_grad_()
    expected = torch.stack([torch.nn.functional.cross_entropy(one, target) for one in outputs])
    torch.testing.assert_close(value, expected.detach(), rtol=1e-5, atol=1e-5)
    (expected_gradient,) = torch.autograd.grad(expected.sum(), outputs)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-5, atol=1e-6)
    assert bool(torch.isfinite(value).all())
    assert bool(torch.isfinite(gradient).all())


def test_float32_agrees_with_float64() -> None:
    population = [NAMED[name] for name in ("cross_entropy", "baikal", "brier", "mae", "sqrt_likelihood")]
    z, target = draw(4, Link.SOFTMAX, len(population), True)
    loss = PopulationLoss(population)
    torch.testing.assert_close(
        loss.gradient(z.float(), target), PopulationLoss(population).gradient(z, target).float(), rtol=1e-4, atol=1e-5
    )


def test_loss_that_is_nan_does_not_affect_the_others() -> None:
    finite, nan = [parse("x*log(y)"), NAMED["baikal_cma"]], parse("log(0 - 1) + x*y/0")
    z, target = draw(5, Link.SOFTMAX, 3, True)
    without = PopulationLoss(finite).gradient(z[[0, 2]], target)
    together = PopulationLoss([finite[0], nan, finite[1]]).gradient(z, target)
    torch.testing.assert_close(together[[0, 2]], without, rtol=0, atol=0)
    assert not bool(torch.isfinite(together[1]).any())


def test_batch_size_and_kind_of_labels_may_change() -> None:
    """One object serves a whole training: its programs must fit every batch."""
    loss = PopulationLoss([NAMED["baikal"], NAMED["brier"]])
    for samples in (5, 2):
        for hard in (True, False):
            z, target = draw(6, Link.SOFTMAX, 2, hard)
            z, target = z[:, :samples], target[:samples]
            expected = torch.stack(
                [ExpressionLoss(name)(one, target) for name, one in zip(("baikal", "brier"), z, strict=True)]
            )
            torch.testing.assert_close(loss.value(z, target), expected)


@pytest.mark.parametrize("link", list(Link))
@pytest.mark.parametrize("shape", [(SAMPLES, 1), (1, CLASSES), (CLASSES,), (SAMPLES, CLASSES + 1), (1,)])
def test_target_that_would_be_broadcast_is_refused(shape: tuple[int, ...], link: Link) -> None:
    z, _ = draw(0, link, 1, False)
    for dtype in (torch.float64, torch.int64):
        with pytest.raises(ConfigError, match="target of shape"):
            PopulationLoss([NAMED["mae"]], link).gradient(z, torch.zeros(shape, dtype=dtype))


class Calls(TorchDispatchMode):
    """Counts the calls of PyTorch operators."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def calls(population: list[Expr], hard: bool) -> int:
    z, target = draw(7, Link.SOFTMAX, len(population), hard)
    loss = PopulationLoss(population)
    loss.gradient(z, target)  # the first call compiles the programs
    with Calls() as counted:
        loss.gradient(z, target)
    return counted.count


EIGHT = [
    "x*log(y)", "log(y) - x/y", "-square(x - y)", "x*sqrt(y)", "exp(x*y)", "tanh(y - x)*x", "max(x*y, y*y)", "-abs(x - y)",
]  # fmt: skip


@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
def test_copies_of_losses_need_no_more_operator_calls(hard: bool) -> None:
    """Compared with 16 losses: with only 8, some operands are a single row, which needs no gathering."""
    sixteen = [parse(text) for text in EIGHT] * 2
    assert calls(sixteen * 8, hard) <= calls(sixteen, hard)


@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
def test_different_losses_share_operator_calls(hard: bool) -> None:
    """63 losses of 7 forms with different numbers need hardly more calls than 7 losses, and far fewer than one by one."""
    forms = (
        "{}*x*log(y)",
        "{}*log(y) - x/y",
        "-square({}*x - y)",
        "x*sqrt({}*y)",
        "exp({}*x*y)",
        "tanh({}*y - x)",
        "x/({} + y)",
    )
    few = [parse(form.format(1.5)) for form in forms]
    many = [parse(form.format(1.25 + number / 16)) for number in range(9) for form in forms]
    assert calls(many, hard) <= 1.5 * calls(few, hard)
    assert calls(many, hard) < sum(calls([one], hard) for one in many) / 10


@given(POPULATIONS, st.integers(0, 5), st.sampled_from([0.1, 2.0, 60.0]))
@settings(max_examples=50, deadline=None)
def test_bound_calls_give_the_gradient_of_free_ones_to_the_bit(population: list[Expr], seed: int, scale: float) -> None:
    """The outputs and the labels of each step are others, in other memory."""
    outputs, labels = draw(seed, Link.SOFTMAX, len(population), hard=True, scale=scale)
    z, bound, free = outputs.float(), PopulationLoss(population), PopulationLoss(population)
    for _, part in free._parts:
        part._repeatable = False
    factors = torch.linspace(0.5, 2, len(population)).reshape(-1, 1, 1)
    for step in range(3):
        target, weights = labels.roll(step), factors if step else 1.0
        found, expected = bound.gradient(z, target, weights), free.gradient(z, target, weights)
        assert torch.equal(found.nan_to_num(), expected.nan_to_num())
        z = z - expected.nan_to_num().clamp(-1, 1)


def test_a_gradient_stays_as_it_is_when_the_next_one_is_computed() -> None:
    z, target = draw(0, Link.SOFTMAX, len(EIGHT), hard=True)
    loss = PopulationLoss([parse(text) for text in EIGHT])
    first = loss.gradient(z.float(), target)
    kept = first.clone()
    loss.gradient(z.float() + 1, target.roll(1))
    assert torch.equal(first, kept)


@given(POPULATIONS)
@settings(max_examples=50, deadline=None)
def test_numpy_and_pytorch_compute_the_same_gradient(population: list[Expr]) -> None:
    """A small register is computed in part by numpy, a large one by PyTorch."""
    outputs, target = draw(0, Link.SOFTMAX, len(population), hard=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "SMALL", 0)
        expected = PopulationLoss(population).gradient(outputs.float(), target)
    found = PopulationLoss(population).gradient(outputs.float(), target)
    assert torch.equal(found.nan_to_num(), expected.nan_to_num())
