"""Bounded, monotone, convex: which losses have which, on what that does not depend, and what a reason says."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from glo.catalog import NAMED
from glo.catalog.shelf import shelf
from glo.evaluation import constraint_check, lacking
from glo.expr import Expr, constant, evaluate, parse
from glo.records import PROPERTIES, Link, Property
from strategies import expressions, moderate_constants

ENDS = np.geomspace(1e-6, 0.01, 50)
GRID = np.concatenate([ENDS, np.linspace(0.011, 0.989, 200), 1 - ENDS[::-1]])


def held(text: str | Expr, link: Link = Link.SOFTMAX, weighted: bool = False) -> set[str]:
    expr = parse(text) if isinstance(text, str) else text
    return {name for name in PROPERTIES if lacking(expr, name, link, weighted) is None}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x*log(y)", "monotone convex"),
        ("log(y) - x/y", "convex"),  # Baikal: its minimum is not at y = 1, and it diverges for wrong classes too
        ("-abs(x - y)", "bounded monotone convex"),
        ("-square(x - y)", "bounded monotone convex"),
        ("x*y**0.7/0.7", "bounded monotone convex"),
        ("x*sqrt(sqrt(sqrt(sqrt(y))))", "bounded monotone convex"),  # its slope at 0 is 1e5 times that at 1
        ("x*square(y)", "bounded monotone"),
        ("0.01*x*log(y) + x*y", "monotone convex"),  # the part that diverges is small
        ("-x*sqrt(-log(y))", "monotone"),  # diverges slower than a logarithm
        ("(0.9*x + 0.01)*log(y)", "convex"),  # label smoothing: its minimum is not at y = 1
        ("-x*y", "bounded convex"),
        ("x*y*log(y)", "bounded"),
        ("x*y/(1 - y)", "monotone"),  # diverges as y goes to 1
        ("x*log(y + 0.001)", "bounded monotone convex"),
        ("x/(y + y - 1)", ""),  # a pole in the middle
        ("x*y + 1/(y - 0.3)", ""),
        ("x/(0.01 - y)", ""),  # a pole between two probe points, and a slope that is never negative
        ("x*sqrt(y - 0.5)", ""),  # not a number
        ("x*y + 3*y", "bounded monotone convex"),  # a multiple of y for all classes changes no gradient
    ],
)
def test_classes(text: str, expected: str) -> None:
    assert held(text) == {*expected.split()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x*log(y) + (1 - x)*log(1 - y)", "monotone convex"),
        ("x*log(y)", "monotone convex"),
        ("-square(x - y)", "bounded monotone convex"),
        ("x*y + 3*y", "bounded convex"),  # it pulls the answer to yes
        ("(0.9*x + 0.05)*log(y) + (0.95 - 0.9*x)*log(1 - y)", "convex"),
    ],
)
def test_yes_no_questions(text: str, expected: str) -> None:
    assert held(text, Link.SIGMOID) == {*expected.split()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-square(x - y)", "monotone convex"),
        ("-abs(x - y)", "monotone convex"),
        ("-max(0.7*(x - y), -0.3*(x - y))", "monotone convex"),
        ("1/(1 + square(x - y))", "bounded monotone"),
        ("exp(-square(x - y))", "bounded monotone"),
        ("-log(1 + square(x - y))", "monotone"),  # it grows without limit, slowly
        ("tanh(y - x)", "bounded"),
        ("x*y", "convex"),
    ],
)
def test_regression(text: str, expected: str) -> None:
    assert held(text, Link.IDENTITY) == {*expected.split()}


def test_class_weights_make_a_multiple_of_y_count() -> None:
    assert "monotone" in held("x*y + 3*y")
    assert "monotone" not in held("x*y + 3*y", weighted=True)
    assert "monotone" in held("x*y", weighted=True)


def test_a_loss_must_have_a_property_for_all_priors_and_all_the_time() -> None:
    assert held("x*y*(1 - prior)") == {"bounded", "monotone", "convex"}
    assert held("x*(progress*y + (1 - progress)*log(y))") == {"monotone", "convex"}
    assert held("x*y*(0.5 - prior)") == {"bounded", "convex"}
    assert "prior = " in (lacking(parse("x*y*(0.5 - prior)"), "monotone", Link.SOFTMAX) or "")


def known() -> Iterator[Expr]:
    yield from NAMED.values()
    for family in shelf("softmax", 10).values():
        yield from family.values()


@pytest.mark.parametrize("loss", dict.fromkeys(known()), ids=str)
def test_known_losses_agree_with_their_definition_on_a_fine_grid(loss: Expr) -> None:
    """Falling slopes for convex, all moves of probability for monotone, and values far out for bounded."""
    wrong, true = (evaluate(loss, label, GRID) for label in (0.0, 1.0))
    wrong_slopes, true_slopes = (np.diff(f) / np.diff(GRID) for f in (wrong, true))
    convex = all(np.diff(slopes).max() <= 1e-6 for slopes in (wrong_slopes, true_slopes))
    gain = true_slopes[:, None] - wrong_slopes  # of a move to the true class, from a wrong one
    monotone = gain[GRID[1:, None] + GRID[1:] <= 1].min() >= -1e-6
    far = np.abs([evaluate(loss, label, y) for label in (0.0, 1.0) for y in (1e-200, 1 - 2.0**-53)])
    bounded = far.max() < 2 * np.abs([wrong[50:-50], true[50:-50]]).max()
    assert held(loss) == {n for n, has in zip(PROPERTIES, (bounded, monotone, convex), strict=True) if has}


moderate = expressions(moderate_constants(), max_leaves=6)
links = st.sampled_from(list(Link))


@given(moderate, links, st.sampled_from([0.001, 0.5, 2.0, 1000.0]))
def test_a_factor_changes_no_property(expr: Expr, link: Link, factor: float) -> None:
    scaled = Expr("*", (constant(factor), expr))
    assert held(scaled, link) == held(expr, link)


@given(moderate, st.sampled_from([-4.0, 0.25, 1.0]))
def test_under_softmax_a_multiple_of_y_changes_no_property(expr: Expr, multiple: float) -> None:
    values = evaluate(expr, [[0.0], [1.0]], GRID)
    assume(np.isfinite(values).all())
    assume(0.01 < np.ptp(values) < 100)  # where neither vanishes beside the other
    assume(lacking(expr, "monotone", Link.SOFTMAX) is None)
    shifted = Expr("+", (expr, Expr("*", (constant(multiple), Expr("y")))))
    assert "monotone" in held(shifted)


@given(st.lists(st.sampled_from(sorted(map(str, known()))), min_size=2, max_size=3), st.sampled_from(PROPERTIES))
def test_a_sum_of_losses_has_what_all_of_them_have(texts: list[str], name: Property) -> None:
    losses = [parse(text) for text in texts]
    assume(all(lacking(loss, name, Link.SOFTMAX) is None for loss in losses))
    total = losses[0]
    for loss in losses[1:]:
        total = Expr("+", (total, loss))
    assert lacking(total, name, Link.SOFTMAX) is None


@given(expressions(max_leaves=8), links, st.booleans())
def test_any_expression_has_a_property_or_a_reason(expr: Expr, link: Link, weighted: bool) -> None:
    """Overflow, NaN and nonsense included; a reason names a point."""
    for name in PROPERTIES:
        why = lacking(expr, name, link, weighted)
        assert why is None or (("x = " in why or "wrong class" in why) and "y" in why)


@pytest.mark.parametrize(
    ("text", "names", "reason"),
    [
        ("x*log(y)", ("bounded",), "it is not bounded: at x = 1 it diverges as y goes to 0"),
        ("x/(0.01 - y)", ("bounded",), r"it is not bounded: it has a pole or a jump near x = 1, y = 0\.0\d+"),
        ("-x*y", ("convex", "monotone"), "it is not monotone: moving probability from a wrong class with y = .* raises it"),
        ("x*square(y)", ("monotone", "convex"), r"it is not convex: its slope falls near x = 1, y = 0\.\d+"),
        ("x*sqrt(y - 0.5)", ("convex",), "it is not convex: it or its derivative is not finite at x = 0, y = 1.3e-06"),
    ],
)
def test_reasons(text: str, names: tuple[Property, ...], reason: str) -> None:
    found, none = constraint_check(names, Link.SOFTMAX)([parse(text), parse("x*y")])
    assert none is None
    assert re.fullmatch(reason, found or "")
