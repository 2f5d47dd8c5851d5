"""Logits up to 1e4 and masked classes: equal to PyTorch's own losses as module, as population and as exported source."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glo.expr import Expr, parse
from glo.loss import ExpressionLoss, PopulationLoss, source
from glo.records import Link

SAMPLES, CLASSES = 32, 5  # 160 outputs: torch.sigmoid rounds the last few of another number differently on a CPU
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 0.25, 1.5], dtype=torch.float64)
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-12}
DTYPES = pytest.mark.parametrize("dtype", list(TOLERANCE), ids=["float32", "float64"])
SCALES = pytest.mark.parametrize("scale", [1.0, 20.0, 200.0, 1e4])
Loss = Callable[[Tensor, Tensor], Tensor]


def logits(scale: float, dtype: torch.dtype, seed: int = 0) -> Tensor:
    """Some of them as large as the scale."""
    z = scale * torch.randn(SAMPLES, CLASSES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    z[0], z[1, 0], z[2, 1] = 0.0, scale, -scale
    return z.to(dtype)


def indices(seed: int = 1) -> Tensor:
    return torch.randint(CLASSES, (SAMPLES,), generator=torch.Generator().manual_seed(seed))


def masked(z: Tensor, target: Tensor) -> Tensor:
    """With -inf for about half of the classes, but not for the true class."""
    wrong = torch.nn.functional.one_hot(target, CLASSES) == 0
    return z.masked_fill(wrong & (torch.rand(z.shape, generator=torch.Generator().manual_seed(2)) < 0.5), -torch.inf)


def soft(link: Link, dtype: torch.dtype) -> Tensor:
    x = torch.rand(SAMPLES, CLASSES, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return (x / x.sum(1, keepdim=True) if link is Link.SOFTMAX else x.round(decimals=1)).to(dtype)


def value_and_gradient(loss: Loss, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    outputs = z.clone().requires_grad_()
    value = loss(outputs, target)
    return value.detach(), torch.autograd.grad(value.sum(), outputs)[0]


def of_population(expression: Expr, link: Link, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The middle one of three networks; the others have other outputs and losses."""
    loss = PopulationLoss(
        [parse("x*log(y)"), expression, parse("log(1 - y)")], link, "mean" if link is not Link.SOFTMAX else "sum"
    )
    outputs = torch.stack([z.flip(0), z, 2 * z])
    return loss.value(outputs, target)[1], loss.gradient(outputs, target)[1]


def of_source(expression: Expr, link: Link) -> Loss:
    namespace: dict[str, Any] = {"__builtins__": builtins}
    exec(source(expression, "torch", link, class_reduction="sum" if link is Link.SOFTMAX else "mean"), namespace)  # noqa: S102
    return namespace["loss"]


def of_numpy(expression: Expr, link: Link, z: Tensor, target: Tensor) -> float:
    namespace: dict[str, Any] = {"__builtins__": builtins}
    exec(source(expression, "numpy", link, class_reduction="sum" if link is Link.SOFTMAX else "mean"), namespace)  # noqa: S102
    return float(namespace["loss"](z.numpy(), target.numpy()))


def assert_close(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    """Up to rounding: of the loss, and of the largest element of the gradient."""
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        magnitude = max(1.0, other.abs().max().item())
        torch.testing.assert_close(one, other, rtol=0, atol=TOLERANCE[one.dtype] * magnitude)


def check_everywhere(expression: Expr, link: Link, z: Tensor, target: Tensor, reference: Loss) -> None:
    expected = value_and_gradient(reference, z, target)
    assert bool(torch.isfinite(expected[0]))
    module = ExpressionLoss(expression, link=link, class_reduction="sum" if link is Link.SOFTMAX else "mean")
    assert_close(value_and_gradient(module, z, target), expected)
    assert_close(of_population(expression, link, z, target), expected)
    assert_close(value_and_gradient(of_source(expression, link), z, target), expected)
    assert of_numpy(expression, link, z, target) == pytest.approx(expected[0].item(), rel=TOLERANCE[z.dtype], abs=1e-6)


@DTYPES
@SCALES
@pytest.mark.parametrize("mask", [False, True], ids=["all", "masked"])
def test_cross_entropy_of_indices(mask: bool, scale: float, dtype: torch.dtype) -> None:
    target = indices()
    z = logits(scale, dtype)
    z = masked(z, target) if mask else z
    check_everywhere(parse("x*log(y)"), Link.SOFTMAX, z, target, nn.CrossEntropyLoss())


@DTYPES
@SCALES
def test_cross_entropy_of_probabilities(scale: float, dtype: torch.dtype) -> None:
    z, target = logits(scale, dtype), soft(Link.SOFTMAX, dtype)
    check_everywhere(parse("x*log(y)"), Link.SOFTMAX, z, target, nn.CrossEntropyLoss())


@DTYPES
@SCALES
@pytest.mark.parametrize(
    "options",
    [{"weight": WEIGHT}, {"ignore_index": 2}, {"weight": WEIGHT, "ignore_index": 0}, {"reduction": "none"}],
    ids=str,
)
def test_options_of_cross_entropy_with_masked_classes(options: dict[str, Any], scale: float, dtype: torch.dtype) -> None:
    options = {name: value.to(dtype) if isinstance(value, Tensor) else value for name, value in options.items()}
    z, target = masked(logits(scale, dtype), indices()), indices()
    expected = value_and_gradient(nn.CrossEntropyLoss(**options), z, target)
    assert_close(value_and_gradient(ExpressionLoss("x*log(y)", **options), z, target), expected)


def test_masked_classes_with_probability_zero_do_not_count() -> None:
    """nn.CrossEntropyLoss is NaN for probabilities and a masked class; the right value is that without the class."""
    z, target = torch.tensor([[1.0, -torch.inf, 2.0]]), torch.tensor([[0.3, 0.0, 0.7]])
    expected = nn.CrossEntropyLoss()(z[:, [0, 2]], target[:, [0, 2]])
    torch.testing.assert_close(ExpressionLoss("x*log(y)")(z, target), expected)
    torch.testing.assert_close(PopulationLoss([parse("x*log(y)")]).value(z[None], target)[0], expected)


@pytest.mark.parametrize("text", ["x*square(log(y))", "log(y)*x*log(y)*2", "x*log(y)*exp(y)", "x*exp(log(y))"])
def test_other_losses_with_log_y_of_a_masked_class_are_finite(text: str) -> None:
    z, target = torch.tensor([[1.0, -torch.inf, 2.0]]), torch.tensor([2])
    expected = value_and_gradient(ExpressionLoss(text), z[:, [0, 2]], torch.tensor([1]))
    value, gradient = value_and_gradient(ExpressionLoss(text), z, target)
    torch.testing.assert_close(value, expected[0])
    torch.testing.assert_close(gradient[:, [0, 2]], expected[1])
    assert gradient[0, 1] == 0


@DTYPES
def test_true_class_that_is_masked_moves_the_others(dtype: torch.dtype) -> None:
    """PyTorch's loss is infinite, but its gradient is not."""
    z, target = torch.tensor([[1.0, -torch.inf, 2.0]], dtype=dtype), torch.tensor([1])
    value, gradient = value_and_gradient(ExpressionLoss("x*log(y)"), z, target)
    expected, expected_gradient = value_and_gradient(nn.CrossEntropyLoss(), z, target)
    assert value.item() == pytest.approx(1e9)
    assert expected.item() == torch.inf
    for found in (gradient, PopulationLoss([parse("x*log(y)")]).gradient(z[None], target)[0]):
        torch.testing.assert_close(found[:, [0, 2]], expected_gradient[:, [0, 2]])


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_logits_that_are_no_numbers_are_not_hidden(bad: float) -> None:
    z, target = torch.tensor([[1.0, bad, 2.0]]), torch.tensor([0])
    for text in ("x*log(y)", "x*log(1 - y)"):
        assert bool(ExpressionLoss(text)(z, target).isnan())
        assert bool(PopulationLoss([parse(text)]).value(z[None], target).isnan())


@DTYPES
@SCALES
@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
@pytest.mark.parametrize("text", ["x*log(y) + (1 - x)*log(1 - y)", "log(1.0 - y)*(1 - x) + log(y)*x"])
def test_binary_cross_entropy(text: str, hard: bool, scale: float, dtype: torch.dtype) -> None:
    z, target = logits(scale, dtype), soft(Link.SIGMOID, dtype)
    check_everywhere(parse(text), Link.SIGMOID, z, target.round() if hard else target, nn.BCEWithLogitsLoss())


@DTYPES
@SCALES
@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "unweighted"])
@pytest.mark.parametrize("pos_weight", [None, [3.0, 0.5, 1.0, 20.0, 0.1]], ids=["", "pos_weight"])
def test_options_of_binary_cross_entropy(
    pos_weight: list[float] | None, weighted: bool, hard: bool, scale: float, dtype: torch.dtype
) -> None:
    z, target = logits(scale, dtype), soft(Link.SIGMOID, dtype)
    target = target.round() if hard else target
    options: dict[str, Any] = {"weight": WEIGHT.to(dtype) if weighted else None}
    options["pos_weight"] = None if pos_weight is None else torch.tensor(pos_weight, dtype=dtype)
    expected = value_and_gradient(nn.BCEWithLogitsLoss(**options), z, target)
    module = ExpressionLoss("binary_cross_entropy", link="sigmoid", class_reduction="mean", **options)
    assert_close(value_and_gradient(module, z, target), expected)


def test_confidently_wrong_output_has_the_full_gradient() -> None:
    z, target = torch.tensor([20.0, -20.0]), torch.tensor([0.0, 1.0])
    value, gradient = value_and_gradient(ExpressionLoss("binary_cross_entropy", "none", link="sigmoid"), z, target)
    assert value.tolist() == [20.0, 20.0]
    assert gradient.tolist() == [1.0, -1.0]


@DTYPES
@SCALES
def test_squared_error(scale: float, dtype: torch.dtype) -> None:
    z, target = logits(scale, dtype), logits(scale, dtype, seed=9)
    check_everywhere(parse("-square(x - y)"), Link.IDENTITY, z, target, nn.MSELoss())


def without_the_true_class(z: Tensor, target: Tensor) -> Tensor:
    """Minus the mean of log(1 - y) of the true class, by the logits of the others."""
    others = z.masked_fill(torch.nn.functional.one_hot(target, CLASSES) == 1, -torch.inf)
    return (z.logsumexp(1) - others.logsumexp(1)).mean()


def without_each_class(z: Tensor, target: Tensor) -> Tensor:
    """Minus the mean over samples of the sum over wrong classes of log(1 - y)."""
    total = sum(without_the_true_class(z, torch.full_like(target, k)) for k in range(CLASSES))
    return total - without_the_true_class(z, target)


@DTYPES
@SCALES
@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("x*log(1 - y)", without_the_true_class),
        ("(1 - x)*log(1 - y)", without_each_class),
        (
            "x*log(y) + (1 - x)*log(1 - y)",
            lambda z, target: nn.functional.cross_entropy(z, target) + without_each_class(z, target),
        ),
        (
            "x*(log(y) - log(1 - y))",
            lambda z, target: nn.functional.cross_entropy(z, target) - without_the_true_class(z, target),
        ),
    ],
)
def test_log_of_1_minus_y_under_softmax(text: str, reference: Loss, scale: float, dtype: torch.dtype) -> None:
    check_everywhere(parse(text), Link.SOFTMAX, logits(scale, dtype), indices(), reference)


@pytest.mark.parametrize("text", ["x*log(1 - y)", "x*log(y) + (1 - x)*log(1 - y)", "log(1 - y)*y + x/y"])
def test_log_of_1_minus_y_has_small_relative_errors(text: str) -> None:
    """For every logit, however small its gradient: a population in float32 against one in float64."""
    z, target = logits(8.0, torch.float32)[None], indices()
    loss, exact = PopulationLoss([parse(text)]), PopulationLoss([parse(text)])
    torch.testing.assert_close(loss.gradient(z, target).double(), exact.gradient(z.double(), target), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("link", [Link.SOFTMAX, Link.SIGMOID])
def test_a_single_output_is_the_only_class(link: Link) -> None:
    """Under softmax its probability is 1, and log(1 - y) counts as log(0)."""
    z, target = torch.tensor([[0.5], [-300.0]]), torch.zeros(2, dtype=torch.int64)
    if link is Link.SIGMOID:
        target = target[:, None].float()
    for text in ("(1 - x)*log(1 - y)", "x*log(y)"):
        value, gradient = value_and_gradient(ExpressionLoss(text, link=link), z, target)
        population = PopulationLoss([parse(text)], link)
        torch.testing.assert_close(population.value(z[None], target)[0], value)
        torch.testing.assert_close(population.gradient(z[None], target)[0], gradient)
        assert bool(torch.isfinite(value))


@pytest.mark.parametrize("link", list(Link))
@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
def test_losses_with_log_of_1_minus_y_do_not_change_the_others(hard: bool, link: Link) -> None:
    texts = ["x*log(y)", "x*log(1 - y)", "log(y) - x/y", "-square(x - y)", "(1 - x)*log(1 - y)*y"]
    z = torch.stack([logits(3.0, torch.float32, seed) for seed in range(len(texts))])
    target = indices() if hard and link is Link.SOFTMAX else soft(link, torch.float32).round(decimals=0 if hard else 3)
    rates = torch.linspace(0.1, 2, len(texts)).reshape(-1, 1, 1)
    together = PopulationLoss(list(map(parse, texts)), link)
    for row, text in enumerate(texts):
        alone = PopulationLoss([parse(text)], link)
        for found, expected in (
            (together.value(z, target)[row], alone.value(z[row : row + 1], target)[0]),
            (together.gradient(z, target, rates)[row], alone.gradient(z[row : row + 1], target, rates[row : row + 1])[0]),
        ):
            torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def test_a_population_leaves_its_outputs_alone() -> None:
    """Masked logits are replaced in a copy, also where no copy is needed for another order of dimensions."""
    for link in (Link.SOFTMAX, Link.SIGMOID):
        for shape in ((1, 1, 3), (2, 3, 1)):
            z = torch.full(shape, -torch.inf)
            target = torch.zeros(shape[1], dtype=torch.int64) if link is Link.SOFTMAX else torch.zeros(shape[1:])
            PopulationLoss([parse("x*log(1 - y)")] * shape[0], link).gradient(z, target)
            assert bool((z == -torch.inf).all())


@pytest.mark.parametrize("link", list(Link))
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("text", ["x*log(y) + (1 - x)*log(1 - y)", "log(y) - x/y", "-square(x - y)"])
def test_exported_source_of_half_precision_is_computed_in_float32(text: str, dtype: torch.dtype, link: Link) -> None:
    z = logits(3.0, torch.float32).abs().to(dtype) + 0.25
    target = indices() if link is Link.SOFTMAX else soft(link, torch.float32)
    if link is not Link.IDENTITY:
        z[3, (target[3] + 1) % CLASSES if link is Link.SOFTMAX else 0] = -torch.inf
    module = ExpressionLoss(text, link=link, class_reduction="sum" if link is Link.SOFTMAX else "mean")
    value, gradient = value_and_gradient(of_source(parse(text), link), z, target)
    expected, expected_gradient = value_and_gradient(module, z, target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected, equal_nan=True)
    torch.testing.assert_close(gradient, expected_gradient, equal_nan=True)
