"""Random losses, computed in four ways: module, population, exported torch source and exported numpy source.

10,000 by default; GLO_DIFFERENTIAL_LOSSES=100000 runs more.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from glo.expr import OPERATORS, Dual, Expr, constant, evaluate_dual, parse
from glo.expr.dual import uses_log_not_y
from glo.loss import LINKS, ExpressionLoss, PopulationLoss, source
from glo.loss.links import LINKS_WITH_LOG_NOT_Y
from glo.records import Link

LOSSES = int(os.environ.get("GLO_DIFFERENTIAL_LOSSES", "10000"))
BATCH = 50  # losses of a population
NUMBERS = (0, 1, -1, 2, -2, 3, 0.5, -0.5, 0.25, 1.5, -1.7)
LEAVES = [*map(parse, ("x", "x", "y", "y", "y", "log(y)", "log(1 - y)", "1 - y"))]
# Probabilities from 0 to 1, and masked classes.
LOGITS = [
    [0.31, -0.73, 1.13], [2.17, -2.57, 0.43], [40.9, -3.3, 1.7], [-60.1, -20.3, -25.9], [90.7, 0.53, -1.9],
    [1e4, -1e4, 3.7], [-torch.inf, 0.23, -0.17], [1.57, -torch.inf, -torch.inf],
]  # fmt: skip
HARD = torch.tensor([0, 1, 0, 1, 2, 0, 1, 0])
LABELS = torch.tensor([[1.0, 0.0, 0.3]] * 4 + [[0.2, 0.8, 0.0], [0.0, 0.5, 1.0], [0.0, 1.0, 0.7], [0.6, 0.0, 0.0]]).double()


def random_tree(rng: np.random.Generator, depth: int) -> Expr:
    if depth == 0 or rng.random() < 0.15:
        numbers = [constant(number) for number in (*NUMBERS, round(rng.uniform(-3, 3), 3))]
        return (LEAVES + LEAVES + numbers)[rng.integers(2 * len(LEAVES) + len(numbers))]
    row = list(OPERATORS.values())[rng.integers(len(OPERATORS))]
    number = constant(NUMBERS[rng.integers(len(NUMBERS))])
    children = [number if i in row.constant_arguments else random_tree(rng, depth - 1) for i in range(row.arity)]
    return Expr(row.name, tuple(children))


def exported(expression: Expr, language: Any, link: Link) -> Callable[..., Any]:
    """The exported loss, but of each sample."""
    text = source(expression, language, link).removesuffix(".mean()\n")
    namespace: dict[str, Any] = {"__builtins__": builtins}
    exec(compile(text, "exported", "exec"), namespace)  # noqa: S102 - running the exported code is the test
    return namespace["loss"]


def value_and_gradient(loss: Callable[..., Tensor], z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Of each sample."""
    outputs = z.clone().requires_grad_()
    values = loss(outputs, target)
    if not values.requires_grad:
        return values, torch.zeros_like(z)
    return values.detach(), torch.autograd.grad(values.sum(), outputs)[0]


def sound(expression: Expr, link: Link, z: Tensor, target: Tensor) -> Tensor:
    """For which samples the value and the slope of each subexpression are below 1e15.

    Otherwise module and population need not agree: 1 is lost beside such a number, and a product of 0, infinity and a
    number depends on their order.
    """
    x = target if target.is_floating_point() else torch.nn.functional.one_hot(target, z.shape[1]).double()
    y, *logs = (LINKS_WITH_LOG_NOT_Y if uses_log_not_y(expression) else LINKS)[link].differentiable(z, 1e-7, 1)
    one = torch.ones_like(y)
    duals = [None if log is None else Dual(log, one) for log in logs]
    finite = torch.ones(len(z), dtype=torch.bool)
    for node in expression.walk():
        for part in evaluate_dual(node, torch, x, Dual(y, one), z.new_tensor, *duals):
            if part is not None:
                finite &= ((part * one).abs() < 1e15).all(1)
    return finite


def steady(module: ExpressionLoss, z: Tensor, target: Tensor) -> Tensor:
    """For which samples rounding does not matter: it does in 1/(1 - y - exp(log(1 - y)))."""
    value, slope = value_and_gradient(module, z, target)
    unsteady = torch.zeros(len(z), dtype=torch.bool)
    for nudge in (1 - 3e-15, 1 + 1e-15, 1 + 2e-15):
        near, slope_near = value_and_gradient(module, z * nudge, target)
        unsteady |= differ(near, value, 1e-10) | differ(slope_near, slope, 1e-10, value.abs()[:, None])
    return ~unsteady


def differ(found: Tensor, expected: Tensor, tolerance: float, magnitude: Tensor | float = 0.0) -> Tensor:
    """Which samples differ by more than a fraction of their magnitude."""
    same = (found == expected) | ((found - expected).abs() <= tolerance * (1 + magnitude + expected.abs()))
    wrong = ~(same | (found.isnan() & expected.isnan()))
    return wrong.flatten(1).any(1) if wrong.dim() > 1 else wrong


def differences(expressions: list[Expr], link: Link, hard: bool) -> list[str]:
    """Where the four disagree, as texts."""
    z = torch.tensor(LOGITS, dtype=torch.float64)
    if link is Link.IDENTITY:
        z = z.clamp(-50, 50)
    target = HARD if hard and link is Link.SOFTMAX else (LABELS > 0.5).double() if hard else LABELS
    population = PopulationLoss(expressions, link)
    gradients = population.gradient(z.expand(len(expressions), -1, -1), target) * len(z)
    found: list[str] = []
    for expression, gradient in zip(expressions, gradients, strict=True):
        module = ExpressionLoss(expression, reduction="none", link=link)
        value, slope = value_and_gradient(module, z, target)
        value_of_source, slope_of_source = value_and_gradient(exported(expression, "torch", link), z, target)
        value_of_numpy = torch.from_numpy(exported(expression, "numpy", link)(z.numpy(), target.numpy()))
        # The same operations in torch, so the same numbers; a masked logit has no gradient for autograd.
        wrong = {
            "value of torch source": differ(value_of_source, value, 1e-12),
            "gradient of torch source": differ(slope_of_source, slope, 1e-12),
            "value of numpy source": differ(value_of_numpy, value, 1e-9),
            "gradient of population": differ(gradient.where(z > -1e9, 0.0), slope, 1e-9, value.abs()[:, None]),
        }
        for name, samples in wrong.items():
            if "torch" not in name and bool(samples.any()):
                samples &= steady(module, z, target)
            if "population" in name and bool(samples.any()):
                samples &= sound(expression, link, z, target)
            found += [f"{name} of {expression}, {link}, sample {row}" for row in samples.nonzero().flatten().tolist()]
    return found


@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
@pytest.mark.parametrize("link", list(Link))
def test_module_population_and_sources_agree(link: Link, hard: bool) -> None:
    rng = np.random.default_rng([list(Link).index(link), hard])
    found: list[str] = []
    for _ in range(LOSSES // 6 // BATCH):
        found += differences([random_tree(rng, 3) for _ in range(BATCH)], link, hard)
    assert found == []
