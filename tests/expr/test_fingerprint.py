"""The fingerprint: equal for losses that train alike, different for losses that do not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from glo.catalog import NAMED
from glo.expr import (
    HARD,
    OPERATORS,
    REAL,
    SOFT,
    Expr,
    ProbePoints,
    canonical,
    constant,
    derivative,
    evaluate,
    fingerprint,
    fold,
    parse,
    scale_free_fingerprint,
)
from strategies import expressions, moderate_constants

POINTS = {"hard": HARD, "soft": SOFT, "real": REAL}


def prints(*texts: str) -> set[str]:
    return {fingerprint(parse(text)) for text in texts}


@pytest.mark.parametrize(
    "texts",
    [
        ("log(y)", "log(2*y)", "log(y) + 3", "log(y) - log(x + 2)", "log(1/3*y)"),
        ("x*log(y)", "log(y)*x", "x*log(y) + x", "log(y)*x/1", "x*log(3*y)"),
        # For hard labels x is its own square, and its own root.
        ("x*log(y)", "square(x)*log(y)", "sqrt(x)*log(y)"),
        ("log(y) - x/y", "-(x/y - log(y)) + 7", "log(5*y) + neg(x)/y"),
        ("square(y)", "y*y", "y**2", "pow(y, 2.0) + x", "exp(2*log(y))"),
        ("-square(x - y)", "2*x*y - square(y)", "-square(y - x)", "y*(2*x - y)"),
        ("y", "sqrt(square(y))", "abs(y)", "exp(log(y))", "y + x", "max(y, -1)", "min(y, 2)"),
    ],
)
def test_equal_derivatives_have_equal_fingerprints(texts: tuple[str, ...]) -> None:
    assert len(prints(*texts)) == 1


def of_x_alone(expr: Expr) -> Expr:
    return fold(
        expr, lambda leaf: Expr("x") if leaf.symbol == "y" else leaf, lambda row, parts: Expr(row.name, tuple(parts))
    )


@given(expressions(), expressions().map(of_x_alone))
def test_adding_a_function_of_x_changes_nothing(expr: Expr, addend: Expr) -> None:
    # Without numbers so large that the sum overflows: a loss that is not finite has another fingerprint.
    assume(all(abs(value) < 1e100 for value in evaluate(addend, [0.0, 1.0], 0.5)))
    assume(not (np.abs(evaluate(expr, HARD.x, HARD.y)) > 1e300).any())
    expected = fingerprint(expr)
    assert fingerprint(Expr("+", (expr, addend))) == expected
    assert fingerprint(Expr("+", (addend, expr))) == expected
    assert fingerprint(Expr("-", (expr, addend))) == expected


@pytest.mark.parametrize("points", POINTS)
def test_different_losses_have_different_fingerprints(points: str) -> None:
    losses = set(NAMED.values()) | set(map(parse, ("log(y)", "y", "-y", "2*y", "x/y", "x*y*y", "1.0001*y", "x*log(y + 1)")))
    assert len({fingerprint(expr, POINTS[points]) for expr in losses}) == len(losses)


def test_only_soft_labels_distinguish_x_from_its_square() -> None:
    one, other = parse("x*log(y)"), parse("square(x)*log(y)")
    assert fingerprint(one, HARD) == fingerprint(other, HARD)
    assert fingerprint(one, SOFT) != fingerprint(other, SOFT)


def test_fingerprint_depends_on_six_digits() -> None:
    assert len(prints("y", "1.0000001*y")) == 1
    assert len(prints("y", "1.00001*y")) == 2


ZERO = ("x", "3", "x - x + 0*y", "0*y", "y - y", "log(x + 1)", "sqrt(square(y)) - y", "log(y) - log(2*y)")
# The last ones have a finite derivative, but a loss that is not finite cannot be trained with.
NOT_FINITE = ("log(-1)*y", "sqrt(-1)*y", "y*0/0", "y/0 - y/0", "exp(y)*log(-2)", "0/0", "log(-1)", "y + 0/0", "y/0")


@pytest.mark.parametrize("function", [fingerprint, scale_free_fingerprint])
def test_zero_derivatives_and_nan_have_one_fingerprint_each(function) -> None:
    zero, nan = ({function(parse(text)) for text in texts} for texts in (ZERO, NOT_FINITE))
    assert len(zero) == len(nan) == 1
    others = {function(expr) for expr in (*NAMED.values(), parse("y"), parse("x/y"))}
    assert len(zero | nan | others) == len(others) + 2


def test_fingerprints_are_sixteen_hexadecimal_digits() -> None:
    for function in (fingerprint, scale_free_fingerprint):
        text = function(NAMED["baikal"])
        assert len(text) == 16
        assert set(text) <= set("0123456789abcdef")


def test_fingerprint_depends_on_the_probe_points() -> None:
    at_one_half = ProbePoints(np.array([0.0, 1.0]), np.array([0.5, 0.5]))
    assert fingerprint(parse("y"), at_one_half) == fingerprint(parse("square(y)"), at_one_half)


# --- scale-free ---------------------------------------------------------------------------------------------------

SCALED = [*dict.fromkeys(NAMED.values()), *map(parse, ("y", "y*square(y)", "square(square(y))", "y**-3", "exp(-9/y)"))]


def scaled(factor: float, expr: Expr) -> Expr:
    return Expr("*", (constant(factor), expr))


@pytest.mark.parametrize("expr", SCALED, ids=str)
@given(exponent=st.floats(-6, 6))
def test_positive_factor_does_not_change_the_scale_free_fingerprint(expr: Expr, exponent: float) -> None:
    assert scale_free_fingerprint(scaled(10**exponent, expr)) == scale_free_fingerprint(expr)


@pytest.mark.parametrize("expr", SCALED, ids=str)
@given(exponent=st.floats(-6, 6))
def test_negative_factor_changes_the_scale_free_fingerprint(expr: Expr, exponent: float) -> None:
    assert scale_free_fingerprint(scaled(-(10**exponent), expr)) != scale_free_fingerprint(expr)


@pytest.mark.parametrize("zero", ["log(3*y) - log(y)", "sqrt(square(y)) - y", "exp(log(y)) - y"])
@pytest.mark.parametrize("text", ["x*log(y)", "log(y) - x/y", "-square(x - y)"])
def test_adding_rounding_noise_changes_no_fingerprint(text: str, zero: str) -> None:
    """The slopes for x = 0 or x = 1 are then about 1e-16 instead of 0, which must not change the scale."""
    expr, other = parse(text), parse(f"{text} + ({zero})")
    assert fingerprint(other) == fingerprint(expr)
    assert scale_free_fingerprint(other) == scale_free_fingerprint(expr)


@pytest.mark.parametrize("points", POINTS)
def test_different_losses_have_different_scale_free_fingerprints(points: str) -> None:
    losses = set(NAMED.values())
    assert len({scale_free_fingerprint(expr, POINTS[points]) for expr in losses}) == len(losses)


def test_factor_changes_the_fingerprint() -> None:
    assert len(prints("log(y)", "2*log(y)", "-1*log(y)")) == 3


@given(expressions(moderate_constants(), max_leaves=6))
def test_losses_with_equal_fingerprints_have_equal_scale_free_fingerprints(expr: Expr) -> None:
    other = Expr("+", (expr, constant(3)))
    assert scale_free_fingerprint(other) == scale_free_fingerprint(expr)


# --- all trees of depth 2 -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_trees() -> set[Expr]:
    """All trees up to depth 2 of x, y, 1, -1 and the operators of the paper."""
    trees = {Expr("x"), Expr("y"), constant(1), constant(-1)}
    for _ in range(2):
        trees |= {
            Expr(row.name, children)
            for row in list(OPERATORS.values())[:7]
            for children in itertools.product(trees, repeat=row.arity)
        }
    return trees


@pytest.fixture(scope="module")
def slopes(small_trees: set[Expr]) -> dict[Expr, np.ndarray]:
    """The derivatives of the trees that contain x and y; NaN where their value is not finite."""
    both = [expr for expr in small_trees if expr.uses("x") and expr.uses("y")]
    values = {expr: evaluate(expr, HARD.x, HARD.y) for expr in both}
    return {expr: np.where(np.isfinite(values[expr]), derivative(expr, HARD.x, HARD.y), np.nan) for expr in both}


def test_size_of_the_space(small_trees: set[Expr], slopes: dict[Expr, np.ndarray]) -> None:
    assert len(small_trees) == 25_844
    assert len(slopes) == 9_496


def test_distinct_derivatives_of_the_space(slopes: dict[Expr, np.ndarray]) -> None:
    usable = {e: s for e, s in slopes.items() if np.isfinite(s).all() and np.abs(s).max() > 1e-9}
    classes: dict[str, list[np.ndarray]] = {}
    for expr, slope in usable.items():
        classes.setdefault(fingerprint(expr), []).append(slope)
    assert 240 <= len(classes) <= 250
    for members in classes.values():
        np.testing.assert_allclose(members, np.broadcast_to(members[0], np.shape(members)), rtol=1e-5, atol=2e-9)
    # No two classes differ only by rounding.
    first = np.stack([members[0] for members in classes.values()])
    distance = np.abs(first[:, None] - first).max(axis=2) + np.eye(len(first))
    assert distance.min() > 1e-6


def test_equal_canonical_forms_have_equal_fingerprints(slopes: dict[Expr, np.ndarray]) -> None:
    finite = [expr for expr, slope in slopes.items() if np.isfinite(slope).all()]
    forms: dict[Expr, set[str]] = {}
    for expr in finite:
        forms.setdefault(canonical(expr), set()).add(fingerprint(expr))
    assert len(forms) < len(finite) // 2
    assert {str(form) for form, found in forms.items() if len(found) > 1} == set()
