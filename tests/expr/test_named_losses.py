"""Losses with a name, and `resolve`, which accepts names, texts and expressions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glo.catalog import NAMED, resolve, smoothed_cross_entropy
from glo.errors import ConfigError, ExpressionError, GloError
from glo.expr import Expr, evaluate, parse


@pytest.mark.parametrize("name", NAMED)
def test_name_resolves_to_its_expression(name: str) -> None:
    expr = resolve(name)
    assert expr is NAMED[name]
    assert parse(str(expr)) == expr
    assert expr.uses("x")
    assert expr.uses("y")


def test_losses_of_the_paper_have_names() -> None:
    assert {"cross_entropy", "baikal", "baikal_cma", "mse"} <= set(NAMED)


def test_no_name_can_be_parsed_as_an_expression() -> None:
    for name in NAMED:
        with pytest.raises(ExpressionError):
            parse(name)


def test_expression_resolves_to_itself() -> None:
    expr = parse("x*y")
    assert resolve(expr) is expr


@pytest.mark.parametrize("text", ["x*log(y)", "y", " log(y) - x/y "])
def test_text_resolves_to_the_parsed_expression(text: str) -> None:
    assert resolve(text) == parse(text)


@pytest.mark.parametrize("name", ["baikl", "hinge", "cross_entropy_", "Baikal"])
def test_error_for_an_unknown_name_lists_the_names(name: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        resolve(name)
    assert name in str(caught.value)
    assert all(known in str(caught.value) for known in NAMED)


@pytest.mark.parametrize("text", ["log(y", "x**y", "", "foo(y)"])
def test_bad_text_is_refused_as_by_parse(text: str) -> None:
    with pytest.raises(ExpressionError) as from_parse:
        parse(text)
    with pytest.raises(ExpressionError) as from_resolve:
        resolve(text)
    assert str(from_resolve.value) == str(from_parse.value)


@pytest.mark.parametrize("value", [None, 3, 0.5])
def test_other_types_are_refused(value: object) -> None:
    with pytest.raises(ExpressionError, match="is a text"):
        resolve(value)  # pyright: ignore[reportArgumentType]


@given(st.floats(0, 1, exclude_max=True), st.integers(2, 1000))
def test_smoothed_cross_entropy_equals_its_formula(smoothing: float, classes: int) -> None:
    expr = smoothed_cross_entropy(smoothing, classes)
    for x in (0.0, 1.0, 0.25):
        for y in (0.001, 0.5, 0.999):
            expected = ((1 - smoothing) * x + smoothing / classes) * math.log(y)
            assert float(evaluate(expr, x, y)) == pytest.approx(expected, rel=1e-14)
    assert parse(str(expr)) == expr


def test_smoothing_0_is_cross_entropy() -> None:
    y = np.linspace(0.01, 0.99, 9)
    for x in (0.0, 1.0):
        np.testing.assert_array_equal(evaluate(smoothed_cross_entropy(0, 10), x, y), evaluate(NAMED["cross_entropy"], x, y))


def test_minimum_of_smoothed_cross_entropy_is_at_the_smoothed_label() -> None:
    """With 2 classes and smoothing 0.2, the best probability of the true class is 0.9."""
    expr, y = smoothed_cross_entropy(0.2, 2), np.linspace(0.001, 0.999, 999)
    loss = -(evaluate(expr, 1.0, y) + evaluate(expr, 0.0, 1 - y))
    assert y[loss.argmin()] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("smoothing", "classes"), [(-0.1, 10), (1.0, 10), (1.5, 10), (math.nan, 10), (math.inf, 10), (0.1, 1), (0.1, 0)]
)
def test_smoothing_out_of_range_is_refused(smoothing: float, classes: int) -> None:
    with pytest.raises(ConfigError, match=f"not {smoothing} and {classes}"):
        smoothed_cross_entropy(smoothing, classes)
    assert issubclass(ConfigError, GloError)


def test_losses_are_expressions() -> None:
    assert all(isinstance(expr, Expr) for expr in NAMED.values())


def test_name_may_be_written_with_dashes() -> None:
    assert resolve("cross-entropy") == resolve("cross_entropy")
    assert resolve("x-y") == parse("x - y")
