"""Losses that know the class's prior and the progress of the training: everywhere the same function, or refused."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import glo
from glo.catalog import cross_entropy
from glo.errors import ConfigError
from glo.expr import (
    Expr,
    canonical,
    constant,
    effective_coefficients,
    evaluate,
    fingerprint,
    latex,
    parse,
    softmax_fingerprint,
    with_coefficients,
)
from glo.loss import ExpressionLoss, PopulationLoss, source, to_sympy, unit_factor
from glo.records import Link
from strategies import expressions, leaves, moderate_constants

PRIOR = [0.1, 0.2, 0.3, 0.4]
PROGRESS = 0.375
WITH_CONTEXT = expressions(moderate_constants(), symbols=leaves())
LOSSES = (
    "x*log(y)/prior", "progress*x*log(y) + (1 - progress)*x*y", "x*log(y)*sqrt(prior) - progress*square(x - y)",
    "x*log(y) + prior*(1 - x)*log(1 - y)", "x*log(y)",
)  # fmt: skip


def substituted(expr: Expr, prior: float, progress: float) -> Expr:
    """The expression with numbers in place of `prior` and `progress`."""
    if not expr.children:
        return {"prior": constant(prior), "progress": constant(progress)}.get(expr.symbol, expr)
    return Expr(expr.symbol, tuple(substituted(child, prior, progress) for child in expr.children))


def loss_of(text: str | Expr, link: Link = Link.SOFTMAX, **options: Any) -> ExpressionLoss:
    expr = parse(text) if isinstance(text, str) else text
    loss = ExpressionLoss(expr, link=link, prior=PRIOR if expr.uses("prior") else None, **options)
    loss.progress = PROGRESS
    return loss


def draw(link: Link, hard: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    if link is Link.SOFTMAX and hard:
        return z, torch.randint(4, (6,), generator=generator)
    target = torch.rand(6, 4, generator=generator, dtype=torch.float64)
    return z, (target > 0.5).double() if hard else target.softmax(1)


@given(WITH_CONTEXT)
def test_prior_and_progress_are_numbers_to_f(expr: Expr) -> None:
    x, y = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.2, 0.7, 0.2, 0.7])
    found = evaluate(expr, x, y, {"prior": 0.25, "progress": PROGRESS})
    np.testing.assert_array_equal(found, evaluate(substituted(expr, 0.25, PROGRESS), x, y))


@given(WITH_CONTEXT)
def test_the_text_and_the_canonical_form_keep_them(expr: Expr) -> None:
    assert parse(str(expr)) == expr
    assert set(canonical(expr).context) <= set(expr.context)
    x, y, context = np.array([0.0, 1.0]), np.array([0.3, 0.6]), {"prior": 0.25, "progress": PROGRESS}
    before, after = evaluate(expr, x, y, context), evaluate(canonical(expr), x, y, context)
    np.testing.assert_allclose(after[np.isfinite(before)], before[np.isfinite(before)], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("link", [Link.SOFTMAX, Link.SIGMOID])
@pytest.mark.parametrize("hard", [True, False])
def test_a_population_computes_each_as_a_module(link: Link, hard: bool) -> None:
    losses = [parse(text) for text in LOSSES]
    population = PopulationLoss(losses, link, prior=PRIOR)
    population.progress.fill_(PROGRESS)
    z, target = draw(link, hard)
    outputs = z.expand(len(losses), -1, -1).clone()
    values, gradients = population.value(outputs, target), population.gradient(outputs, target)
    for expr, value, gradient in zip(losses, values, gradients, strict=True):
        alone = z.clone().requires_grad_()
        loss = loss_of(expr, link)(alone, target)
        loss.backward()
        assert alone.grad is not None
        torch.testing.assert_close(value, loss.detach(), msg=str(expr))
        torch.testing.assert_close(gradient, alone.grad, msg=str(expr))


@given(st.lists(WITH_CONTEXT, min_size=1, max_size=4), st.booleans())
@settings(max_examples=60)
def test_every_expression_of_a_population_has_the_numbers_of_its_network(losses: list[Expr], hard: bool) -> None:
    z, target = draw(Link.SOFTMAX, hard)
    population = PopulationLoss(losses, prior=[0.25] * 4)
    population.progress.fill_(PROGRESS)
    numbers = PopulationLoss([substituted(expr, 0.25, PROGRESS) for expr in losses])
    outputs = z.expand(len(losses), -1, -1).clone()
    found, expected = population.value(outputs, target), numbers.value(outputs, target)
    known = torch.isfinite(expected) & torch.isfinite(found) & (expected.abs() < 1e6)
    torch.testing.assert_close(found[known], expected[known], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("language", ["torch", "numpy"])
@pytest.mark.parametrize("text", LOSSES)
@pytest.mark.parametrize("prior", [(), tuple(PRIOR)])
def test_exported_source_has_arguments_of_their_names(
    language: Literal["torch", "numpy"], text: str, prior: tuple[float, ...]
) -> None:
    expr = parse(text)
    written = source(expr, language, prior=prior if expr.uses("prior") else ())
    namespace: dict[str, Any] = {}
    exec(compile(written, "exported", "exec"), namespace)  # noqa: S102 - running the exported code is the test
    z, target = draw(Link.SOFTMAX)
    given = {"prior": PRIOR, "progress": PROGRESS}
    arguments = {name: given[name] for name in expr.context if not (name == "prior" and prior)}
    tensors = (z, target) if language == "torch" else (z.numpy(), target.numpy())
    assert float(namespace["loss"](*tensors, **arguments)) == pytest.approx(float(loss_of(expr)(z, target)), rel=1e-6)


def test_a_loss_without_its_prior_or_progress_is_refused() -> None:
    z, target = draw(Link.SOFTMAX)
    with pytest.raises(ConfigError, match="uses prior, and the share of each class"):
        ExpressionLoss("x*log(y)/prior")
    with pytest.raises(ConfigError, match="changes with the progress"):
        ExpressionLoss("progress*x*log(y)")(z, target)
    with pytest.raises(ConfigError, match="prior does nothing"):
        ExpressionLoss("x*log(y)", prior=PRIOR)
    with pytest.raises(ConfigError, match="prior has 3 numbers for 4 classes"):
        ExpressionLoss("x*log(y)/prior", prior=[0.2, 0.3, 0.5])(z, target)
    with pytest.raises(ConfigError, match="that of class 1 is not above 0"):
        ExpressionLoss("x*log(y)/prior", prior=[0.5, 0.0, 0.2, 0.3])
    with pytest.raises(ConfigError, match="regression"):
        ExpressionLoss("prior*square(x - y)", link="regression", prior=[1.0])
    with pytest.raises(ConfigError, match="uses prior"):
        PopulationLoss([parse("x*log(y)/prior")])
    with pytest.raises(ConfigError, match="prior has 3 numbers for 4 classes"):
        PopulationLoss([parse("x*log(y)/prior")], prior=[0.2, 0.3, 0.5]).value(z[None], target)
    with pytest.raises(ConfigError, match="boosting does not know"):
        glo.objective("x*log(y)/prior")
    with pytest.raises(ConfigError, match="uses prior"):
        unit_factor(parse("x*log(y)/prior"))


def test_class_balanced_cross_entropy_is_that_with_weights() -> None:
    z, target = draw(Link.SOFTMAX)
    weights = [1 / share for share in PRIOR]
    balanced, weighted = loss_of("x*log(y)/prior"), ExpressionLoss("x*log(y)", weight=weights, reduction="none")
    assert float(balanced(z, target)) == pytest.approx(float(weighted(z, target).mean()))


def test_losses_that_differ_in_prior_or_progress_are_told_apart() -> None:
    texts = ("x*log(y)", "x*log(y)/prior", "x*log(y)/sqrt(prior)", "x*log(y)*progress", "x*log(y)*(1 - progress)")
    for mark in (fingerprint, softmax_fingerprint):
        assert len({mark(parse(text)) for text in texts}) == len(texts)
    # A multiple of y that has another factor for each class is not the same for all of them.
    assert softmax_fingerprint(parse("x*log(y) + y*prior")) != softmax_fingerprint(parse("x*log(y) + 0*prior"))


def test_the_unit_gradient_is_a_mean_over_classes_and_the_training() -> None:
    shares = tuple(PRIOR)
    assert unit_factor(parse("x*log(y)*progress"), Link.SOFTMAX, 4) == pytest.approx(2.0, rel=1e-5)
    rare = unit_factor(parse("x*log(y)/prior"), Link.SOFTMAX, 4, shares)
    # The mean of 1/prior over samples drawn by the prior is the number of classes.
    assert rare is not None
    assert rare == pytest.approx(1 / 4, rel=0.02)
    equal = unit_factor(parse("x*log(y)/prior"), Link.SOFTMAX, 4, (0.25,) * 4)
    assert equal == pytest.approx(1 / 4, rel=1e-5)
    assert unit_factor(cross_entropy, Link.SOFTMAX, 4, shares) == 1.0


def test_latex_and_sympy_have_symbols_for_them() -> None:
    assert latex(parse("progress*y/prior")) == r"\frac{t \cdot y}{\pi}"
    assert {str(symbol) for symbol in to_sympy(parse("progress*x*log(y)/prior")).free_symbols} == {
        "x", "y", "prior", "progress",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["prior + y*x", "progress*x*y + log(y)", "x*log(y)/prior"])
def test_coefficients_of_them_are_tuned_only_where_they_change_the_derivative(text: str) -> None:
    expr = parse(text)
    positions = effective_coefficients(expr)
    for position in positions:
        changed = with_coefficients(expr, {position: 1.5})
        assert fingerprint(changed) != fingerprint(expr)


def test_a_logarithm_of_the_progress_is_not_finite_at_the_start() -> None:
    from glo.evaluation import viability

    reason = viability(parse("x*log(y)*log(progress)"))
    assert reason is not None
    assert "not finite" in reason
    assert viability(parse("x*log(y)/prior")) is None
    assert viability(parse("x*log(y) + progress*x*y")) is None
    assert math.isfinite(unit_factor(parse("x*log(y) + progress*x*y")) or math.nan)
