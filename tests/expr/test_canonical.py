"""The canonical form: equal for equivalent expressions, and equal in value, including NaN, infinities and zeros."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st

from expr.enclosure import enclose
from glo.catalog import NAMED
from glo.expr import Dual, Expr, ProbePoints, canonical, constant, evaluate, evaluate_dual, fingerprint, parse
from strategies import deep_expressions, expressions, moderate_constants, simple_constants

labels = st.sampled_from([0.0, 1.0])
predictions = st.sampled_from([0.125, 0.25, 0.5, 0.625, 0.75])
extremes = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, math.inf, -math.inf, math.nan])


def form(text: str) -> str:
    return str(canonical(parse(text)))


# --- equivalent expressions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "texts",
    [
        ("x*log(y)", "log(y)*x", "log(y)*x*1", "1*(x*log(y))"),
        ("(x + y) + 1", "1 + (y + x)", "(1 + x) + y", "x + 1.0 + y"),
        ("(x/y)*3", "3*x/y", "3*(x/y)", "x/(y/3)", "x*(3/y)"),
        ("x/y/2", "x/(2*y)", "0.5*x/y", "(x/2)/y"),
        ("square(y)", "y*y", "y**2", "y**2.0", "pow(y, 2)"),
        ("y*y*y", "square(y)*y", "y*square(y)"),
        ("square(x*y)", "square(x)*square(y)", "x*y*x*y"),
        ("square(2*y)", "4*y*y"),
        ("y", "neg(neg(y))", "-(-y)", "1*y", "y/1", "pow(y, 1)", "y - 0", "y + -0.0", "-1*(-1*y)"),
        ("neg(y)", "-1*y", "y*-1", "y/-1", "-0.0 - y"),
        ("x - y", "x + neg(y)", "-y + x", "x + -1*y", "x + y/-1"),
        ("x - 2*y", "x + -2*y", "x + y*-2"),
        ("x + 0*y", "x - -0.0*y", "x - 0*neg(y)"),
        ("x - (y - 1)", "x + neg(y - 1)", "x - (y + -1)"),
        ("x - neg(y + 1)", "x + (y + 1)", "x - -1*(1 + y)", "1 + y + x"),
        ("-(x*y)", "(-x)*y", "x*(-y)"),
        ("x - y - 1 - log(y)", "x - log(y) - (1 + 0) - y"),
        ("min(x, y)", "min(y, x)"),
        ("max(x, log(y))", "max(log(y), x)"),
        ("y + 0", "0 + y", "y + 0.0", "y + 1 - 1"),
        ("0", "1 - 1", "0.0", "0*3", "log(1)"),
        ("-0.0", "0*-0.0", "neg(0)", "0*-1", "-0.0*0*0", "0/-3"),
        ("x/-0.0", "x/0/-0.0", "x/-0.0/0", "x/(0*-0.0)"),
        ("5", "2 + 3", "7 - 2", "sqrt(25)", "5.0"),
        ("0.25", "1/4", "square(0.5)", "pow(4, -1)"),
        ("1.5*y", "y*3/2", "y/2*3", "y/(2/3)"),
    ],
)
def test_equivalent_expressions_have_the_same_form(texts: tuple[str, ...]) -> None:
    assert {form(text) for text in texts} == {form(texts[0])}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x/x", "1"),
        ("x - x", "0"),
        ("0*x", "0"),
        ("y + 0", "y"),
        ("0 - y", "-y"),
        ("y - (x - 1)", "y + (1 - x)"),
        ("-(x - y)", "y - x"),
        ("x - y", "y - x"),
        ("x/y", "y/x"),
        ("0*y", "-0.0*y"),
        ("0", "-0.0"),
        ("sqrt(square(y))", "y"),
        ("exp(log(y))", "y"),
        ("log(x*y)", "log(x) + log(y)"),
        ("x*(y + 1)", "x*y + x"),
        ("x/0", "-x/0"),
        ("sqrt(-1)", "0"),
        ("log(0)", "1/0"),
    ],
)
def test_expressions_that_differ_for_some_input_have_different_forms(one: str, other: str) -> None:
    assert form(one) != form(other)


def test_baikal_is_in_canonical_form() -> None:
    assert form("log(y) - x/y") == "log(y) - x/y"


@pytest.mark.parametrize("text", ["x/x", "x - x", "y + 0", "sqrt(-1)", "log(0)", "1/0", "exp(1000)"])
def test_expression_without_a_simpler_form_is_unchanged(text: str) -> None:
    assert form(text) == text


@pytest.mark.parametrize("name", NAMED)
def test_named_losses_keep_their_values(name: str) -> None:
    x, y = np.meshgrid([0.0, 1.0, 0.3], np.linspace(0.01, 0.99, 9))
    expr = NAMED[name]
    np.testing.assert_allclose(evaluate(canonical(expr), x, y), evaluate(expr, x, y), rtol=1e-14)


def rewrite(node: Expr, children: tuple[Expr, ...], random: Random) -> Expr:
    """An equivalent of the node, chosen at random."""
    same = Expr(node.symbol, children)
    if not children or random.random() < 0.4:
        return same
    a, b = children[0], children[-1]
    match node.symbol:
        case "+" | "*" if a.symbol == node.symbol and random.random() < 0.5:
            return Expr(node.symbol, (a.children[0], Expr(node.symbol, (a.children[1], b))))
        case "*" if a == b:
            return Expr("square", (a,))
        case "+" | "*" | "min" | "max":
            return Expr(node.symbol, (b, a))
        case "-":
            return Expr("+", (a, Expr("neg", (b,))))
        case "neg":
            return Expr("*", (constant(-1), a))
        case "square":
            return random.choice([Expr("*", (a, a)), Expr("pow", (a, constant(2)))])
        case "/":
            return Expr("*", (a, Expr("/", (constant(1), b))))
    return same


def rewritten(expr: Expr, random: Random) -> Expr:
    return rewrite(expr, tuple(rewritten(child, random) for child in expr.children), random)


def folds_exactly(expr: Expr) -> bool:
    """Whether constants are folded without rounding, so that the order of folding cannot matter."""
    numbers = {n.value for part in expr.walk() for n in canonical(part).walk() if n.is_constant}
    if any(node.symbol in ("/", "pow") for node in expr.walk()):
        return all(abs(math.frexp(number)[0]) in (0, 0.5) for number in numbers)
    return all(abs(number) < 2**20 and (number * 2**20).is_integer() for number in numbers)


@settings(max_examples=400)
@given(expressions(simple_constants()), st.randoms(use_true_random=False))
def test_rewriting_does_not_change_the_form(expr: Expr, random: Random) -> None:
    other = rewritten(expr, random)
    assume(other != expr and folds_exactly(expr) and folds_exactly(other))
    assert canonical(other) == canonical(expr)


# --- idempotent ---------------------------------------------------------------------------------------------------


@settings(max_examples=600)
@given(expressions(simple_constants()) | expressions(moderate_constants()) | expressions())
def test_canonical_is_idempotent(expr: Expr) -> None:
    once = canonical(expr)
    assert canonical(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "1/0/0",
        "x/0/-0.0",
        "-x - y",
        "y - neg(y + y)",
        "x - (-1*(y - (-1*(x + y))) - 1)",
        "x*x*x*x*x*x*x*y",
        "square(square(x)*y)*x",
        # Numbers that cannot be folded without overflow.
        "neg(neg(1e200*1e200*x))",
        "1e10*(1e100*(1e200*x))",
        "square(1e200*x)",
        "y + neg(neg(1e300))",
        "x/5e-324",
        "1e300 + 1e300 + 1 + x + 1e300",
        "y + 1e100 - square(1e200) - (y + y)",
    ],
)
def test_canonical_is_idempotent_for_difficult_expressions(text: str) -> None:
    assert form(form(text)) == form(text)


@given(expressions(), st.booleans())
def test_form_is_an_expression_of_the_language(expr: Expr, nested: bool) -> None:
    once = canonical(Expr("neg", (expr,)) if nested else expr)
    assert parse(str(once)) == once


@pytest.mark.parametrize("text", ["y", "x*y", "2*x/y", "0.999*y"])
def test_nested_squares_do_not_grow(text: str) -> None:
    expr = parse(text)
    for _ in range(9):
        expr = Expr("square", (expr,))
    assert canonical(expr).nodes <= 6 * expr.nodes


def test_form_of_a_long_chain_is_not_deeper() -> None:
    for symbol in "+-*/":
        chain = parse(symbol.join(["log(y)", "x", "y", "exp(x)"] * 20))
        assert canonical(chain).depth <= chain.depth


# --- the same value -----------------------------------------------------------------------------------------------


def ieee_value(expr: Expr, x: float, y: float) -> float:
    """By the operator table alone, so that log(y) is -inf at y = 0; `evaluate` has a finite number there."""
    with np.errstate(all="ignore"):
        return evaluate_dual(expr, np, np.array([x]), Dual(np.array([y])), lambda number: np.array([number])).value[0]


def check_same_value(expr: Expr, x: float, y: float) -> None:
    """Assert that both values are within their enclosures, and that these have a number in common."""
    once = canonical(expr)
    (before, _), (after, _) = enclose(expr, x, y), enclose(once, x, y)
    for tree, enclosure in ((expr, before), (once, after)):
        assert not enclosure.is_known or enclosure.contains(ieee_value(tree, x, y))
    known = before.is_known and after.is_known
    event(f"compared: {known}")
    assert not known or before.meets(after), f"{expr} is {before}, but {once} is {after}"


@settings(max_examples=400)
@given(expressions(simple_constants()), labels, predictions)
@example(parse("1/(x - x)"), 0.0, 0.5)
def test_values_do_not_change_if_arithmetic_is_exact(expr: Expr, x: float, y: float) -> None:
    check_same_value(expr, x, y)


@settings(max_examples=400)
@given(expressions(simple_constants()), extremes, extremes)
def test_values_do_not_change_at_zeros_infinities_and_nan(expr: Expr, x: float, y: float) -> None:
    check_same_value(expr, x, y)


@settings(max_examples=300)
@given(expressions(moderate_constants()), labels, st.floats(0.001, 0.999))
def test_values_do_not_change_by_more_than_rounding(expr: Expr, x: float, y: float) -> None:
    check_same_value(expr, x, y)


@settings(max_examples=50)
@given(deep_expressions(simple_constants()), labels, predictions)
def test_values_of_deep_trees_do_not_change(expr: Expr, x: float, y: float) -> None:
    assume(sum(node.symbol == "square" for node in expr.walk()) < 8)
    check_same_value(expr, x, y)


# --- the same fingerprint -----------------------------------------------------------------------------------------

PROBES = ProbePoints(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.25, 0.625, 0.25, 0.625]))


def printed_slope(expr: Expr, x: float, y: float) -> set[str]:
    """The derivative to six digits; two texts if rounding can change the digits."""
    value, slope = enclose(expr, x, y)
    assume(value.is_bounded and slope.is_bounded)
    assume(max(abs(slope.lo), abs(slope.hi)) < 1e-10 or slope.lo > 1e-8 or slope.hi < -1e-8)
    return {f"{0 if abs(end) < 1e-9 else end:.5e}" for end in (slope.lo, slope.hi)}


@settings(max_examples=200)
@given(expressions(moderate_constants(), max_leaves=8))
def test_form_has_the_same_fingerprint(expr: Expr) -> None:
    assume(expr.uses("y"))
    once = canonical(expr)
    for x, y in zip(PROBES.x, PROBES.y, strict=True):
        assume(len(printed_slope(expr, x, y) | printed_slope(once, x, y)) == 1)
    assert fingerprint(once, PROBES) == fingerprint(expr, PROBES)
