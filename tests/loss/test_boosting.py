"""Gradient and Hessian of a loss by raw scores: against autograd, numerical differentiation and known formulas."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from glo.catalog import NAMED, resolve
from glo.expr import OPERATORS, Expr, Jet, parse, second_order
from glo.loss import BoostingObjective, ExpressionLoss, objective
from glo.records import Link
from strategies import expressions, moderate_constants

SAMPLES, CLASSES = 6, 4
Array = NDArray[np.float64]
LINKS = pytest.mark.parametrize("link", list(Link))


def draw(seed: int, link: Link, scale: float = 2.0, hard: bool = True) -> tuple[Any, Array]:
    """Labels and scores; hard labels are class indices for softmax, else 0 and 1; for the identity link, real numbers."""
    rng = np.random.default_rng(seed)
    z = scale * rng.standard_normal((SAMPLES, CLASSES))
    if link is Link.SOFTMAX:
        return (rng.integers(CLASSES, size=SAMPLES) if hard else rng.dirichlet(np.ones(CLASSES), SAMPLES)), z
    x = rng.random((SAMPLES, CLASSES))
    return (x.round() if hard else x), z


def by_autograd(loss: ExpressionLoss, labels: Any, z: Array) -> tuple[float, Array, Array]:
    """Loss, gradient and diagonal of the Hessian, in float64."""
    outputs = torch.tensor(z, requires_grad=True)
    value = loss(outputs, torch.as_tensor(labels)) + 0.0 * outputs.sum()  # so that a constant loss has a gradient
    gradient = torch.autograd.grad(value, outputs, create_graph=True)[0]
    hessian = torch.zeros_like(outputs)
    if gradient.requires_grad:
        for column in range(z.shape[1]):  # samples do not depend on one another
            bend = torch.autograd.grad(gradient[:, column].sum(), outputs, retain_graph=True, allow_unused=True)[0]
            hessian[:, column] = 0.0 if bend is None else bend[:, column]
    return value.item(), gradient.detach().numpy(), hessian.numpy()


def check_against_autograd(found: BoostingObjective, labels: Any, z: Array, tolerance: float = 1e-9) -> None:
    """Where autograd gives numbers; it gives NaN for 0 times infinity, also where the derivative exists."""
    loss = ExpressionLoss(found.expr, "sum", found.class_reduction, eps=found.eps, link=found.link)
    value, gradient, hessian = by_autograd(loss, labels, z)
    finite = np.isfinite(gradient) & np.isfinite(hessian)
    for one, other in zip(found.derivatives(labels, z), (gradient, hessian), strict=True):
        magnitude = max(1.0, np.abs(other[finite]).max(initial=0.0))
        np.testing.assert_allclose(one[finite], other[finite], rtol=0, atol=tolerance * magnitude, err_msg=str(found.expr))
    assert found.loss(labels, z) * len(z) == pytest.approx(value, rel=tolerance, abs=tolerance, nan_ok=True)


@LINKS
@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
@pytest.mark.parametrize("class_reduction", ["sum", "mean"])
@pytest.mark.parametrize("eps", [1e-7, 0.1])
@pytest.mark.parametrize("name", NAMED)
def test_named_losses_have_the_derivatives_of_autograd(
    name: str, eps: float, class_reduction: Any, hard: bool, link: Link
) -> None:
    labels, z = draw(0, link, hard=hard)
    z = np.abs(z) + 0.1 if link is Link.IDENTITY else z  # with logarithms
    check_against_autograd(BoostingObjective(NAMED[name], link, None, class_reduction, eps), labels, z)


def largest_part(expression: Expr, labels: Any, y: Array) -> float:
    """Of the value and the derivatives by y, in magnitude; NaN if one is not a number."""
    x = np.eye(CLASSES)[labels] if labels.ndim == 1 else labels
    with np.errstate(all="ignore"):
        jet = second_order(expression, np, x, Jet(y, np.ones_like(y)), lambda number: np.full(y.shape, number))
        return float(np.max([np.abs(part).max() for part in jet if part is not None]))


@settings(max_examples=400)
@given(expressions(moderate_constants()), st.sampled_from(list(Link)), st.booleans(), st.integers(0, 9))
def test_random_losses_have_the_derivatives_of_autograd(expression: Expr, link: Link, hard: bool, seed: int) -> None:
    labels, z = draw(seed, link, hard=hard)
    found = BoostingObjective(expression, link)
    # Parts of 1e6 that cancel leave a rounding error of 1e-10; of 1e20, anything.
    assume(all(largest_part(node, labels, found.predict(z)) < 1e6 for node in expression.walk()))
    check_against_autograd(found, labels, z, 1e-6)


@pytest.mark.parametrize("name", OPERATORS)
@LINKS
def test_every_operator_has_its_second_derivative(link: Link, name: str) -> None:
    """On arguments that depend on y and have a second derivative themselves, away from kinks."""
    arguments = [
        parse("exp(y)*0.4 + 0.3"),
        parse("1.5") if OPERATORS[name].constant_arguments else parse("y*y + 0.2*x + 0.1"),
    ]
    expression = Expr("square", (Expr(name, tuple(arguments[: OPERATORS[name].arity])),))
    labels, z = draw(1, link, hard=False)
    found = BoostingObjective(expression, link)
    check_against_autograd(found, labels, z)
    gradient, hessian = found.derivatives(labels, z)
    assert np.abs(hessian).max() > 1e-3  # else the comparison says nothing
    np.testing.assert_allclose(gradient, numerical(lambda z: total(found, labels, z), z), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(hessian, numerical(lambda z: found.derivatives(labels, z)[0], z), rtol=1e-5, atol=1e-7)


def total(found: BoostingObjective, labels: Any, z: Array) -> Array:
    """Loss of each sample, shape (n, 1)."""
    return np.array([[found.loss(labels[row : row + 1], z[row : row + 1])] for row in range(len(z))])


def numerical(function: Any, z: Array, step: float = 1e-5) -> Array:
    """Central differences by each score: of a column of the function's result, or of its only one."""
    found = np.empty_like(z)
    for column in range(z.shape[1]):
        shift = np.zeros_like(z)
        shift[:, column] = step
        with np.errstate(invalid="ignore"):  # of a loss that is infinite
            difference = (function(z + shift) - function(z - shift)) / (2 * step)
        found[:, column] = difference[:, column if difference.shape[1] > 1 else 0]
    return found


@settings(max_examples=60)
@given(
    expressions(moderate_constants(), ("log", "square", "sqrt", "+", "*", "-", "/", "exp", "tanh", "neg"), max_leaves=6),
    st.sampled_from([Link.SOFTMAX, Link.SIGMOID]),
    st.integers(0, 9),
)
def test_random_smooth_losses_against_numerical_differentiation(expression: Expr, link: Link, seed: int) -> None:
    labels, z = draw(seed, link, 1.0, hard=False)
    found = BoostingObjective(expression, link)
    gradient, hessian = found.derivatives(labels, z)
    assume(np.all(np.isfinite(hessian)) and np.abs(hessian).max() < 1e3)
    coarse, fine = (
        (
            numerical(lambda z: total(found, labels, z), z, step),
            numerical(lambda z: found.derivatives(labels, z)[0], z, step),
        )
        for step in (2e-4, 1e-4)
    )
    for one, two, exact in zip(coarse, fine, (gradient, hessian), strict=True):
        assume(np.all(np.isfinite(two)) and np.abs(one - two).max() < 1e-4)  # else the differences say nothing
        np.testing.assert_allclose(exact, two, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_cross_entropy_by_its_formula(scale: float) -> None:
    """Gradient y - x and Hessian y*(1 - y), for every score, however large."""
    labels, z = draw(2, Link.SOFTMAX, scale)
    gradient, hessian = objective("x*log(y)", classes=CLASSES).derivatives(labels, z)
    log_y = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
    y = np.exp(log_y)
    others = np.stack([np.delete(y, column, axis=1).sum(axis=1) for column in range(CLASSES)], axis=1)  # 1 - y, exactly
    x = np.eye(CLASSES)[labels]
    np.testing.assert_allclose(gradient, np.where(x == 1, -others, y), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(hessian, y * others, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("size", [0.5, 20.0, 200.0, 1e4])
def test_binary_cross_entropy_by_its_formula(size: float) -> None:
    z = np.array([size, -size])
    for label in (0.0, 1.0):
        gradient, hessian = objective("binary_cross_entropy", "sigmoid").derivatives(np.full(2, label), z)
        y, not_y = 1 / (1 + np.exp(-np.clip(z, -700, None))), 1 / (1 + np.exp(np.clip(z, None, 700)))
        np.testing.assert_allclose(gradient, y if label == 0 else -not_y, rtol=1e-9, atol=1e-300)
        np.testing.assert_allclose(hessian, y * not_y, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("text", ["x*log(y)", "x*log(1 - y)", "(1 - x)*log(1 - y)", "baikal", "x*square(log(y))"])
def test_extreme_and_masked_scores_have_the_gradient_of_the_module(text: str) -> None:
    labels, z = draw(3, Link.SOFTMAX, 100.0)
    z[0], z[1, 1 - min(labels[1], 1)], z[2] = 0.0, -np.inf, z[2] * 100
    outputs = torch.tensor(z, requires_grad=True)
    expected = torch.autograd.grad(ExpressionLoss(text, "sum")(outputs, torch.as_tensor(labels)), outputs)[0].numpy()
    gradient, hessian = BoostingObjective(resolve(text), Link.SOFTMAX).derivatives(labels, z)
    magnitude = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-9 * magnitude)
    assert np.all(np.isfinite(hessian))
    assert gradient[1, 1 - min(labels[1], 1)] == 0


def test_regression_by_its_formula() -> None:
    x, z = np.array([1.0, -2.0, 3.0]), np.array([0.5, 4.0, 3.0])
    found = objective(loss="square(x - y)", link="regression")
    gradient, hessian = found.derivatives(x, z)
    np.testing.assert_allclose(gradient, 2 * (z - x))
    np.testing.assert_allclose(hessian, 2.0)
    assert found.loss(x, z) == pytest.approx(np.mean((z - x) ** 2))
    assert found.predict(z).tolist() == z.tolist()


def test_predictions_are_those_of_the_link() -> None:
    _, z = draw(4, Link.SOFTMAX)
    np.testing.assert_allclose(objective("baikal").predict(z), torch.softmax(torch.tensor(z), 1).numpy())
    sigmoid = objective("binary_cross_entropy", "sigmoid")
    np.testing.assert_allclose(sigmoid.predict(z[:, 0]), torch.sigmoid(torch.tensor(z[:, 0])).numpy())


def test_hessian_is_made_positive_as_chosen() -> None:
    """x*y under softmax is not convex: the Hessian of the right class is negative below 1/2."""
    labels, z = np.array([0, 1]), np.zeros((2, 4))
    gradient, exact = objective("x*y").derivatives(labels, z)
    assert exact.min() < -0.05
    found = {
        rule: objective("x*y", hessian=rule, floor=0.01).for_trees(labels, z) for rule in ("absolute", "floor", "constant")
    }
    for other, _ in found.values():
        np.testing.assert_array_equal(other, gradient)
    np.testing.assert_array_equal(found["absolute"][1], np.maximum(np.abs(exact), 0.01))
    np.testing.assert_array_equal(found["floor"][1], np.maximum(exact, 0.01))
    np.testing.assert_array_equal(found["constant"][1], 1.0)
    np.testing.assert_allclose(
        objective("x*y", factor=3.0, floor=0.01).for_trees(labels, z)[1], np.maximum(3 * np.abs(exact), 0.01)
    )


def test_hessian_that_is_not_a_number_counts_as_the_floor() -> None:
    """The second derivative of |x - y|**1.5 is infinite at y = x, where the gradient is 0."""
    found = objective(loss="abs(x - y)**1.5", link="identity")
    gradient, hessian = found.for_trees([1.0, 1.0], [1.0, 2.0])
    np.testing.assert_allclose(gradient, [0.0, 1.5])
    np.testing.assert_allclose(hessian, [found.floor, 0.75])


def test_weights_multiply_gradient_and_hessian() -> None:
    labels, z = draw(5, Link.SOFTMAX)
    weights = np.linspace(0, 2, SAMPLES)
    found = objective("baikal")
    for weighted, plain in zip(found.for_trees(labels, z, weights), found.for_trees(labels, z), strict=True):
        np.testing.assert_allclose(weighted, plain * weights[:, None])
    assert found.loss(labels, z, weights) == pytest.approx(
        np.average([found.loss(labels[i : i + 1], z[i : i + 1]) for i in range(SAMPLES)], weights=weights)
    )


@LINKS
def test_objectives_can_be_pickled(link: Link) -> None:
    labels, z = draw(6, link)
    found = objective(NAMED["brier"], link, eps=1e-3, hessian="floor", factor=2.0)
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301
    for callable_ in (found.for_lightgbm(), found.for_xgboost()):
        copy = pickle.loads(pickle.dumps(callable_))  # noqa: S301
        for one, other in zip(copy(labels, z), found.for_trees(labels, z), strict=True):
            np.testing.assert_array_equal(one, other)
    assert pickle.loads(pickle.dumps(found.for_catboost())) == found.for_catboost()  # noqa: S301
    with pytest.raises(AttributeError):
        found.eps = 0.1  # type: ignore[misc]


CHILD = """
import sys
import glo
found = glo.objective("baikal", "softmax")
found.for_lightgbm()([0, 1], [[0.0, 1.0], [0.0, 2.0]]), found.source("xgboost")
print([name for name in ("torch", "lightgbm", "xgboost", "catboost", "sympy") if name in sys.modules])
"""


def test_objective_imports_neither_torch_nor_a_library() -> None:
    child = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert child.stdout == "[]\n"
