"""Values and derivatives, compared with formulas written in numpy, difference quotients and autograd."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.autograd import grad

from glo.catalog import NAMED
from glo.expr import (
    OPERATORS,
    Dual,
    Expr,
    ProbePoints,
    constant,
    derivative,
    evaluate,
    evaluate_dual,
    parse,
    probed_slopes,
    visible_slopes,
)
from glo.expr.dual import uses_log_not_y
from strategies import expressions, moderate_constants, simple_constants

X, Y = np.meshgrid([0.0, 1.0, 0.3], np.linspace(0.02, 0.98, 13), indexing="ij")

# Value and derivative by y, from the formulas of the papers and not from the texts in the catalog.
FORMULAS = {
    "cross_entropy": lambda x, y: (x * np.log(y), x / y),
    "baikal": lambda x, y: (np.log(y) - x / y, 1 / y + x / y**2),
    "baikal_cma": lambda x, y: (
        2.7279 * (0.9863 * np.log(1.5352 * y) - -1.1135 * (1.3716 * x) / (-0.8411 * y)),
        2.7279 * (0.9863 / y + -1.1135 * 1.3716 * x / -0.8411 / y**2),
    ),
    "brier": lambda x, y: (-((x - y) ** 2), 2 * (x - y)),
    "mse": lambda x, y: (-((x - y) ** 2), 2 * (x - y)),
    "mae": lambda x, y: (-np.abs(x - y), np.sign(x - y)),
    "linear": lambda x, y: (x * y, x),
    "sqrt_likelihood": lambda x, y: (x * np.sqrt(y), x / (2 * np.sqrt(y))),
    "noisy_digits": lambda x, y: (
        (np.sqrt(y) + 2 * x) * (np.sqrt(y) + 2 * y + 1),
        3 * np.sqrt(y) + 1 + (x + 0.5) / np.sqrt(y) + 4 * x,
    ),
    "binary_cross_entropy": lambda x, y: (x * np.log(y) + (1 - x) * np.log(1 - y), x / y - (1 - x) / (1 - y)),
}


@pytest.mark.parametrize("name", NAMED)
def test_named_losses_equal_their_formulas(name: str) -> None:
    value, slope = FORMULAS[name](X, Y)
    np.testing.assert_allclose(evaluate(NAMED[name], X, Y), value, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(derivative(NAMED[name], X, Y), slope, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(("name", "minimum"), [("baikal", 0.7071), ("baikal_cma", 0.7719)])
def test_minimum_of_the_two_class_loss(name: str, minimum: float) -> None:
    """As in the paper's figure: for Baikal and its tuned form, the best probability of the true class is below 1."""
    y = np.linspace(0.0001, 0.9999, 9_999)
    loss = -(evaluate(NAMED[name], 1.0, y) + evaluate(NAMED[name], 0.0, 1 - y))
    assert y[loss.argmin()] == pytest.approx(minimum, abs=1e-4)


def test_minimum_of_two_class_cross_entropy_is_at_probability_1() -> None:
    y = np.linspace(0.0001, 0.9999, 9_999)
    loss = -(evaluate(NAMED["cross_entropy"], 1.0, y) + evaluate(NAMED["cross_entropy"], 0.0, 1 - y))
    assert y[loss.argmin()] == y[-1]


def quotient(expr: Expr, x: float, y: float, h: float) -> float:
    return float(evaluate(expr, x, y + h) - evaluate(expr, x, y - h)) / (2 * h)


# No probability is a round number, at which an expression such as max(y, 0.5) might have a corner.
probabilities = st.integers(50, 950).map(lambda n: n / 997)


@settings(max_examples=300)
@given(expressions(moderate_constants()), st.sampled_from([0.0, 1.0, 0.3]), probabilities)
def test_derivative_is_the_difference_quotient(expr: Expr, x: float, y: float) -> None:
    assume(expr.uses("y"))
    # Large intermediate results would hide differences in their last digits.
    assume(all(abs(float(evaluate(part, x, y))) < 1e4 for part in expr.walk()))
    slope = float(derivative(expr, x, y))
    assume(math.isfinite(slope))
    coarse, fine = quotient(expr, x, y, 2e-5), quotient(expr, x, y, 1e-5)
    # A corner or a pole is near if the quotients do not agree.
    assume(abs(coarse - fine) < 1e-4 * (1 + abs(fine)))
    assert slope == pytest.approx(fine, rel=2e-3, abs=2e-3)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 2.5])
def test_powers_are_smooth_at_zero(exponent: float) -> None:
    """b*y**(b - 1) taken literally is 0*inf for b = 0."""
    expr = Expr("pow", (Expr("y"), constant(exponent)))
    assert derivative(expr, 0.0, 0.0) == (1 if exponent == 1 else 0)


@given(expressions(moderate_constants()))
def test_derivative_of_an_expression_without_y_is_zero(expr: Expr) -> None:
    assume(not expr.uses("y"))
    assert (derivative(expr, X, Y) == 0).all()


def float64_tensor(number: float) -> torch.Tensor:
    return torch.tensor(number, dtype=torch.float64)


@settings(max_examples=200)
@given(expressions(simple_constants(), operators=sorted(set(OPERATORS) - {"min", "max", "abs"})))
def test_derivative_agrees_with_autograd(expr: Expr) -> None:
    """Except at corners, where autograd splits the slope between both sides."""
    assume(expr.uses("y"))
    assume(not (np.abs([evaluate(part, X, Y) for part in expr.walk()]) > 1e4).any())
    x, y = torch.from_numpy(X), torch.from_numpy(Y).requires_grad_()
    value = evaluate_dual(expr, torch, x, Dual(y), float64_tensor).value
    (slope,) = grad(value.sum(), y)
    ours = derivative(expr, X, Y)
    clear = np.isfinite(ours) & np.isfinite(slope.numpy()) & (np.abs(ours) < 1e6)
    np.testing.assert_allclose(slope.numpy()[clear], ours[clear], rtol=1e-6, atol=1e-6)


# --- IEEE arithmetic ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "x", "y", "value"),
    [
        ("x/y", 0.0, 0.0, math.nan),
        ("x/y", 1.0, 0.0, math.inf),
        ("x/y", 1.0, -0.0, -math.inf),
        ("log(x)", 0.0, 0.0, -math.inf),
        ("log(2*y)", 0.0, 0.0, -math.inf),
        ("log(y)", 0.0, -1.0, math.nan),
        ("sqrt(y)", 0.0, -1.0, math.nan),
        ("y*log(x)", 0.0, 0.0, math.nan),
        ("exp(y)", 0.0, 1000.0, math.inf),
        ("y**-1", 0.0, 0.0, math.inf),
        ("y**0.3", 0.0, -1.0, math.nan),
        ("y**0", 0.0, math.nan, 1.0),
        ("min(x, y)", 1.0, math.nan, math.nan),
        ("max(x, y)", math.nan, 1.0, math.nan),
        ("abs(y) - y", 0.0, math.inf, math.nan),
    ],
)
def test_values_at_singularities_are_those_of_ieee(text: str, x: float, y: float, value: float) -> None:
    assert evaluate(parse(text), x, y) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("x", [0.0, 1.0])
@pytest.mark.parametrize(
    ("text", "y"), [("x*log(y)", 0.0), ("x*log(1 - y)", 1.0), ("x*log(1.0 - y)", 1.0), ("x*log(y)", -0.0)]
)
def test_zero_times_log_zero_is_zero(text: str, y: float, x: float) -> None:
    """As in a loss, where a masked class has log(y) = -1e9; its derivative is finite too."""
    slope = 1e9 if text == "x*log(y)" else -1e9
    assert evaluate(parse(text), x, y) == -1e9 * x
    assert derivative(parse(text), x, y) == visible_slopes(parse(text), x, y) == slope * x
    points = ProbePoints(np.array([x, x]), np.array([y, 0.5]))
    assert np.isfinite(probed_slopes(parse(text), points)).all()


@pytest.mark.parametrize("text", ["x*log(y)", "log(1 - y)", "(1 - x)*log(1 - y) + log(y)"])
def test_values_at_other_points_do_not_depend_on_points_at_zero_and_one(text: str) -> None:
    for function in (evaluate, derivative):
        together = function(parse(text), 0.3, [0.0, 0.2, 1e-300, 0.9, 1.0])
        np.testing.assert_array_equal(together[1:4], function(parse(text), 0.3, [0.2, 1e-300, 0.9]))


def test_arguments_are_broadcast_and_results_have_their_shape() -> None:
    for text in ("x*y", "x", "y", "3", "1 + 2"):
        for function in (evaluate, derivative):
            result = function(parse(text), np.zeros((4, 1)), np.ones(3))
            assert result.shape == (4, 3)
            assert result.dtype == np.float64
    np.testing.assert_array_equal(evaluate(parse("x + 2*y"), [[1], [2]], [3, 4]), [[7, 9], [8, 10]])


BASES = np.array([-np.inf, -2.0, -1.0, -0.0, 0.0, 0.3, 1.0, 2.0, np.inf, np.nan])


@pytest.mark.parametrize("exponent", [-2, -1, -0.5, 0, 0.5, 1, 2, 3, 0.3, 2.5])
def test_powers_of_singular_bases_do_not_depend_on_the_library(exponent: float) -> None:
    """Scalars and arrays of numpy and torch agree, although libraries take shortcuts such as sqrt for the power 0.5."""
    expr = Expr("pow", (Expr("y"), constant(exponent)))
    together = evaluate(expr, 0.0, BASES)
    # Also with the base as the result of an operation: numpy treats such scalars differently from arguments.
    through = evaluate(Expr("pow", (parse("y*1"), constant(exponent))), 0.0, BASES)
    one_by_one = np.array([evaluate(expr, 0.0, base) for base in BASES])
    one_through = np.array([evaluate(Expr("pow", (parse("y*1"), constant(exponent))), 0.0, base) for base in BASES])
    in_torch = OPERATORS["pow"].value(torch, torch.from_numpy(BASES), float64_tensor(exponent))
    for other in (through, one_by_one, one_through, in_torch.numpy()):
        np.testing.assert_allclose(other, together, rtol=1e-15)


# --- duals --------------------------------------------------------------------------------------------------------


def test_given_logarithms_replace_those_of_the_leaf_y_and_of_1_minus_y() -> None:
    y, log_y = Dual(np.array([0.5]), np.array([1.0])), Dual(np.array([7.0]), np.array([3.0]))
    log_not_y = Dual(np.array([9.0]), np.array([-2.0]))

    def dual(text: str, *logs: Dual) -> list[float]:
        value, tangent = evaluate_dual(parse(text), np, np.array([1.0]), y, np.float64, *(logs or (log_y, log_not_y)))
        return [float(value[0]), float(tangent[0])]

    assert dual("log(y)") == [7.0, 3.0]
    assert dual("2*log(y) + y") == [14.5, 7.0]
    assert dual("log(1*y)") == pytest.approx([math.log(0.5), 2.0])
    assert dual("log(x) + y") == [0.5, 1.0]
    assert dual("log(1 - y)") == dual("log(1.0 - y)") == [9.0, -2.0]
    assert dual("log(1 - y)", log_y) == pytest.approx([math.log(0.5), -2.0])
    assert dual("3*log(1 - y) + log(y)/(1 - y)") == pytest.approx([27 + 14, -6 + 6 + 28])
    assert dual("log(1 - 2*y + 1)") == pytest.approx([0.0, -2.0])


@pytest.mark.parametrize(
    ("text", "uses"),
    [("x*log(1 - y)", True), ("exp(2*log(1.0 - y))", True), ("log(1 - x) + log(y)", False), ("1 - y", False), ("y", False)],
)
def test_uses_log_not_y(text: str, uses: bool) -> None:
    assert uses_log_not_y(parse(text)) is uses


def test_tangent_of_y_decides_the_variable_of_differentiation() -> None:
    """With dy/dz = y, as for y = exp(z), the tangent of log(y) is 1."""
    y = np.array([0.2, 0.9])
    assert evaluate_dual(parse("log(y)"), np, y, Dual(y, y), np.float64).tangent == pytest.approx([1.0, 1.0])


def test_expression_without_the_prediction_has_no_tangent() -> None:
    assert evaluate_dual(parse("x + log(2)"), np, 1.0, Dual(0.5, 1.0), np.float64).tangent is None
