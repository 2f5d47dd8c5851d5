"""Which named loss an expression is, label smoothing for yes-no outputs, and the template with TaylorGLO's family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy

from glo.catalog import NAMED, TEMPLATES, known_as, smoothed_binary_cross_entropy, taylor3
from glo.catalog import binary_cross_entropy as named_binary
from glo.errors import ConfigError
from glo.expr import SOFT, Expr, constant, effective_coefficients, evaluate, parse, visible_slopes, with_coefficients

# --- known as -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED)
def test_a_named_loss_is_known_by_its_name(name: str) -> None:
    assert name in known_as(NAMED[name])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("log(y) - x/y", ["baikal"]),
        ("log(3*y) - x/y + square(x)", ["baikal"]),
        ("x*log(y)", ["cross_entropy"]),
        ("2*(x*log(y))", ["cross_entropy"]),
        ("square(x)*log(y)", ["cross_entropy"]),  # for hard labels x is its own square
        ("(x - y)*(y - x)", ["brier", "mse"]),
        # Under softmax the probability of the true class says where the rest is, so these two are the same.
        ("x*y", ["linear", "mae-like"]),
        ("-abs(x - y)", ["mae", "linear-like"]),
        ("x*y - 7*y", ["mae-like", "linear-like"]),
        ("x*log(y) + 3*y", ["cross_entropy-like"]),
        ("log(y) - x/y - 0.5*y", ["baikal-like"]),
        # None of them: a sign, a missing variable, another shape, no derivative.
        ("-(x*log(y))", []),
        ("square(x - y)", []),
        ("x/y - log(y)", []),
        ("log(y)", []),
        ("x*log(y) + square(y)", []),
        ("log(y) - 2*(x/y)", []),
        ("x", []),
        ("y/y + x", []),
    ],
)
def test_losses_are_known_by_how_they_train(text: str, names: list[str]) -> None:
    assert known_as(parse(text)) == names


@pytest.mark.parametrize("name", NAMED)
@settings(max_examples=10)
@given(exponent=st.floats(-4, 4))
def test_the_learning_rate_makes_up_for_a_positive_factor_but_not_for_a_sign(name: str, exponent: float) -> None:
    loss = NAMED[name]
    assert known_as(Expr("*", (constant(10**exponent), loss))) == known_as(loss)
    other = known_as(Expr("*", (constant(-(10**exponent)), loss)))
    assert not {name, f"{name}-like"} & set(other)


@pytest.mark.parametrize("name", NAMED)
@settings(max_examples=10)
@given(st.floats(0.05, 50), st.booleans())
def test_a_multiple_of_the_prediction_makes_a_loss_like_it(name: str, size: float, negative: bool) -> None:
    """Under softmax, whose predictions sum to 1, it adds a constant to the loss; elsewhere it is another loss."""
    names = known_as(Expr("+", (NAMED[name], Expr("*", (constant(-size if negative else size), Expr("y"))))))
    assert f"{name}-like" in names
    assert name not in names


# --- label smoothing for yes-no outputs -----------------------------------------------------------------------------

SMOOTHINGS = st.floats(0, 1, exclude_max=True)


@given(SMOOTHINGS)
def test_smoothed_binary_cross_entropy_is_that_of_torch_for_smoothed_labels(smoothing: float) -> None:
    """But for the digits that 1 - y loses where y is a millionth."""
    x, y = (points.ravel() for points in np.meshgrid([0.0, 1.0, 0.25], [1e-6, 0.003, 0.2, 0.5, 0.9, 0.999]))
    labels = torch.from_numpy((1 - smoothing) * x + smoothing / 2)
    expected = binary_cross_entropy(torch.from_numpy(y), labels, reduction="none")
    np.testing.assert_allclose(-evaluate(smoothed_binary_cross_entropy(smoothing), x, y), expected, rtol=1e-10)


@given(SMOOTHINGS)
def test_its_text_says_all_of_it(smoothing: float) -> None:
    expr = smoothed_binary_cross_entropy(smoothing)
    assert parse(str(expr)) == expr


def test_without_smoothing_it_is_binary_cross_entropy() -> None:
    expr = smoothed_binary_cross_entropy(0)
    np.testing.assert_array_equal(evaluate(expr, SOFT.x, SOFT.y), evaluate(named_binary, SOFT.x, SOFT.y))
    assert known_as(expr) == ["binary_cross_entropy"]
    assert known_as(smoothed_binary_cross_entropy(0.1)) == []


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 2.0, float("nan"), float("inf")])
def test_smoothing_that_makes_no_sense_is_refused(smoothing: float) -> None:
    with pytest.raises(ConfigError, match=f"not {smoothing}"):
        smoothed_binary_cross_entropy(smoothing)


# --- the family of TaylorGLO ----------------------------------------------------------------------------------------


def taylorglo(t: Sequence[float]) -> Expr:
    """Gonzalez and Miikkulainen (2021), equation 4: a polynomial of degree 3 around (t0, t1), as f(x, y)."""
    x, y = f"(x - {t[0]!r})", f"(y - {t[1]!r})"
    return parse(
        f"{t[2]!r}*{y} + {t[3]!r}/2*square({y}) + {t[4]!r}/6*{y}*square({y})"
        f" + {t[5]!r}*{x}*{y} + {t[6]!r}/2*{x}*square({y}) + {t[7]!r}/2*square({x})*{y}"
    )


def slopes(expr: Expr) -> NDArray[np.float64]:
    return visible_slopes(expr, SOFT.x, SOFT.y)


def directions() -> NDArray[np.float64]:
    """What each effective coefficient of taylor3 adds to df/dy: (points, coefficients)."""
    positions = effective_coefficients(taylor3)
    return np.array([slopes(with_coefficients(taylor3, {place: 2.0})) - slopes(taylor3) for place in positions]).T


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_has_coefficients_and_is_no_named_loss(template: str) -> None:
    assert template not in NAMED
    assert len(effective_coefficients(TEMPLATES[template])) > 2
    assert TEMPLATES[template].uses("x")


@settings(max_examples=30)
@given(st.lists(st.floats(0.2, 3) | st.floats(-3, -0.2), min_size=8, max_size=8))
def test_taylorglos_eight_parameters_are_six(parameters: list[float]) -> None:
    """The rank of the derivatives of df/dy by the parameters, for any parameters: the centre adds nothing of its own.

    df/dy is of degree 3 at most in each parameter, so differences of fourth order are exact.
    """

    def moved(place: int, step: float) -> NDArray[np.float64]:
        return slopes(taylorglo([*parameters[:place], parameters[place] + step, *parameters[place + 1 :]]))

    columns = np.array([
        (8 * (moved(place, 0.1) - moved(place, -0.1)) - (moved(place, 0.2) - moved(place, -0.2))) / 1.2 for place in range(8)
    ]).T  # fmt: skip
    sizes = np.linalg.svd(columns / np.linalg.norm(columns, axis=0), compute_uv=False)
    assert sizes[5] > 1e-5
    assert sizes[6] < 1e-12


def test_taylor3_has_six_effective_coefficients_of_independent_effect() -> None:
    columns = directions()
    assert columns.shape[1] == 6
    assert np.linalg.svd(columns / np.linalg.norm(columns, axis=0), compute_uv=False)[-1] > 0.01


@settings(max_examples=50)
@given(st.lists(st.floats(-5, 5), min_size=8, max_size=8))
def test_taylor3_with_coefficients_is_any_member_of_taylorglos_family(parameters: list[float]) -> None:
    """By least squares; and with the coefficients that follow from it, it is that member."""
    target, size = slopes(taylorglo(parameters)), 1 + np.abs(slopes(taylorglo(parameters))).max()
    weights, *_ = np.linalg.lstsq(directions(), target, rcond=None)
    np.testing.assert_allclose(directions() @ weights, target, rtol=0, atol=1e-12 * size)
    # The first direction is all of taylor3, each other one a term.
    assume(abs(weights[0]) > 0.01)
    coefficients = [weights[0], *(1 + weights[1:] / weights[0])]
    member = with_coefficients(taylor3, dict(zip(effective_coefficients(taylor3), coefficients, strict=True)))
    np.testing.assert_allclose(slopes(member), target, rtol=0, atol=1e-12 * size)
