"""Names of expressions that train like a named loss, smoothed binary cross-entropy, and the template of TaylorGLO."""

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

# --- known_as -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED)
def test_named_loss_is_known_by_its_name(name: str) -> None:
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
        # Under softmax the absolute error follows from the probability of the true class, so these two are alike.
        ("x*y", ["linear", "mae-like"]),
        ("-abs(x - y)", ["mae", "linear-like"]),
        ("x*y - 7*y", ["mae-like", "linear-like"]),
        ("x*log(y) + 3*y", ["cross_entropy-like"]),
        ("log(y) - x/y - 0.5*y", ["baikal-like"]),
        # No named loss: another sign, a missing variable, another shape, no derivative.
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
def test_positive_factor_does_not_change_the_name_but_a_negative_factor_does(name: str, exponent: float) -> None:
    loss = NAMED[name]
    assert known_as(Expr("*", (constant(10**exponent), loss))) == known_as(loss)
    other = known_as(Expr("*", (constant(-(10**exponent)), loss)))
    assert not {name, f"{name}-like"} & set(other)


@pytest.mark.parametrize("name", NAMED)
@settings(max_examples=10)
@given(st.floats(0.05, 50), st.booleans())
def test_loss_plus_a_multiple_of_y_is_like_the_loss(name: str, size: float, negative: bool) -> None:
    """Under softmax, whose predictions sum to 1, the multiple of y is a constant; otherwise it changes the loss."""
    names = known_as(Expr("+", (NAMED[name], Expr("*", (constant(-size if negative else size), Expr("y"))))))
    assert f"{name}-like" in names
    assert name not in names


# --- smoothed binary cross-entropy ----------------------------------------------------------------------------------

SMOOTHINGS = st.floats(0, 1, exclude_max=True)


@given(SMOOTHINGS)
def test_smoothed_binary_cross_entropy_is_that_of_torch_for_smoothed_labels(smoothing: float) -> None:
    """Except for the digits that 1 - y loses if y is a millionth."""
    x, y = (points.ravel() for points in np.meshgrid([0.0, 1.0, 0.25], [1e-6, 0.003, 0.2, 0.5, 0.9, 0.999]))
    labels = torch.from_numpy((1 - smoothing) * x + smoothing / 2)
    expected = binary_cross_entropy(torch.from_numpy(y), labels, reduction="none")
    np.testing.assert_allclose(-evaluate(smoothed_binary_cross_entropy(smoothing), x, y), expected, rtol=1e-10)


@given(SMOOTHINGS)
def test_smoothed_binary_cross_entropy_is_parsed_from_its_text(smoothing: float) -> None:
    expr = smoothed_binary_cross_entropy(smoothing)
    assert parse(str(expr)) == expr


def test_without_smoothing_it_is_binary_cross_entropy() -> None:
    expr = smoothed_binary_cross_entropy(0)
    np.testing.assert_array_equal(evaluate(expr, SOFT.x, SOFT.y), evaluate(named_binary, SOFT.x, SOFT.y))
    assert known_as(expr) == ["binary_cross_entropy"]
    assert known_as(smoothed_binary_cross_entropy(0.1)) == []


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 2.0, float("nan"), float("inf")])
def test_smoothing_out_of_range_is_refused(smoothing: float) -> None:
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
    """The change of df/dy by each effective coefficient of taylor3: (points, coefficients)."""
    positions = effective_coefficients(taylor3)
    return np.array([slopes(with_coefficients(taylor3, {place: 2.0})) - slopes(taylor3) for place in positions]).T


@pytest.mark.parametrize("template", TEMPLATES)
def test_template_has_coefficients_and_is_no_named_loss(template: str) -> None:
    assert template not in NAMED
    assert len(effective_coefficients(TEMPLATES[template])) > 2
    assert TEMPLATES[template].uses("x")


@settings(max_examples=30)
@given(st.lists(st.floats(0.2, 3) | st.floats(-3, -0.2), min_size=8, max_size=8))
def test_only_six_of_taylorglos_eight_parameters_are_independent(parameters: list[float]) -> None:
    """The derivatives of df/dy by the parameters have rank 6 for any parameters: the centre adds nothing.

    df/dy has at most degree 3 in each parameter, so differences of fourth order are exact.
    """

    def moved(place: int, step: float) -> NDArray[np.float64]:
        return slopes(taylorglo([*parameters[:place], parameters[place] + step, *parameters[place + 1 :]]))

    columns = np.array([
        (8 * (moved(place, 0.1) - moved(place, -0.1)) - (moved(place, 0.2) - moved(place, -0.2))) / 1.2 for place in range(8)
    ]).T  # fmt: skip
    sizes = np.linalg.svd(columns / np.linalg.norm(columns, axis=0), compute_uv=False)
    assert sizes[5] > 1e-5
    assert sizes[6] < 1e-12


def test_taylor3_has_six_independent_effective_coefficients() -> None:
    columns = directions()
    assert columns.shape[1] == 6
    assert np.linalg.svd(columns / np.linalg.norm(columns, axis=0), compute_uv=False)[-1] > 0.01


@settings(max_examples=50)
@given(st.lists(st.floats(-5, 5), min_size=8, max_size=8))
def test_coefficients_make_taylor3_any_member_of_taylorglos_family(parameters: list[float]) -> None:
    """Least squares gives the coefficients; with these, taylor3 equals the member."""
    target, size = slopes(taylorglo(parameters)), 1 + np.abs(slopes(taylorglo(parameters))).max()
    weights, *_ = np.linalg.lstsq(directions(), target, rcond=None)
    np.testing.assert_allclose(directions() @ weights, target, rtol=0, atol=1e-12 * size)
    # The first direction is all of taylor3, each other one a term.
    assume(abs(weights[0]) > 0.01)
    coefficients = [weights[0], *(1 + weights[1:] / weights[0])]
    member = with_coefficients(taylor3, dict(zip(effective_coefficients(taylor3), coefficients, strict=True)))
    np.testing.assert_allclose(slopes(member), target, rtol=0, atol=1e-12 * size)
