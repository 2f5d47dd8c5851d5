"""Effective coefficients: those that have an effect of their own on a training, compared with derivatives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from glo.catalog import NAMED, TEMPLATES
from glo.expr import (
    HARD,
    OPERATORS,
    SOFT,
    Expr,
    all_coefficients,
    constant,
    effective_coefficients,
    evaluate,
    parse,
    scale_free_fingerprint,
    visible_slopes,
    with_coefficients,
)
from strategies import expressions

Array = NDArray[np.floating[Any]]

# Positions with the overall scale, which is always the first, 0.
EFFECTIVE: list[tuple[str, list[int]]] = [
    ("log(y) - x/y", [0, 3]),
    ("x*log(y)", [0]),
    ("y*log(y)", [0, 3]),  # y*log(c*y) is y*log(y) + log(c)*y
    ("x + log(y)", [0]),  # an added function of x alone has no derivative in y
    ("exp(x + log(y))", [0, 1, 3, 4]),
    ("3*(5*x*y + 2*y)", [0, 8]),  # 15*x*y + 6*y
    ("square(5*y)*sqrt(3*x)*abs(y)", [0]),
    ("square(y + 3*x)", [0, 3]),
    ("square(x - y)", [0, 3]),
    ("(x + 2)/(y + 1)", [0, 3, 6]),
    ("y/(2*x + 1)", [0, 6]),
    ("1/y", [0]),
    ("min(x, y)", [0, 2]),
    ("x*abs(x - y)", [0, 5]),
    ("exp(y)", [0, 1]),
    ("tanh(exp(y))", [0, 1, 2]),
    ("y**2.5", [0, 2]),  # the exponent
    ("x*y**2.5 + y", [0, 5, 6]),
    ("neg(neg(y) + neg(square(y)))", [0, 4]),
    ("square(x)*y + x*y", [0, 5]),  # the terms are equal for hard labels, but not for soft ones
    ("x*log(y) + (1 - x)*log(1 - y)", [0, 5, 8, 12]),
    ("(x + (y + x*sqrt(y) + x))*sqrt(y)", [0, 3, 6, 10]),
    ("y*(x + exp(1 + tanh(2)))", [0, 4]),  # exp(1 + tanh(2)) is a number
    ("y + exp(2)*x", [0]),
]


@pytest.mark.parametrize(("text", "positions"), EFFECTIVE, ids=[text for text, _ in EFFECTIVE])
def test_effective_coefficients(text: str, positions: list[int]) -> None:
    expr = parse(text)
    assert effective_coefficients(expr) == positions
    assert effective_coefficients(expr, scale=False) == positions[1:]


def test_number_of_coefficients_of_the_papers_losses() -> None:
    """Baikal has six coefficients, of which one changes its shape; cross-entropy has four, of which none does."""
    counts = [
        (len(all_coefficients(e)), len(effective_coefficients(e)), len(effective_coefficients(e, scale=False)))
        for e in (NAMED["baikal"], NAMED["cross_entropy"])
    ]
    assert counts == [(6, 2, 1), (4, 1, 0)]


@given(expressions())
def test_scale_adds_only_position_0(expr: Expr) -> None:
    with_scale, without = effective_coefficients(expr), effective_coefficients(expr, scale=False)
    assert with_scale == ([0, *without] if expr.uses("y") else [])
    assert with_scale == sorted(set(with_scale) & set(all_coefficients(expr)))
    assert expr.uses("y") or without == []


# --- against derivatives -------------------------------------------------------------------------------------------
#
# The effect of a coefficient is the derivative of df/dy by it, a function of x and y; which coefficients suffice is a
# question of linear algebra.  The derivatives are central differences of sixth order, whose error is below rounding.

STEP = 1e-3
WRONG = 1e-9  # relative to the largest derivative of its row; points where two differences disagree more are left out
SAME = 1e-6  # largest residual of a column that depends on others; with a wrong rule it is about 1
MANY_LABELS = tuple(points.ravel() for points in np.meshgrid(np.linspace(0, 1, 17), np.unique(SOFT.y)))


def effects(expr: Expr, at: Mapping[int, float], x: Array, y: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Derivatives of df/dy by the coefficients `at` their values: (points, coefficients), and a mask of good points.

    Each row is divided by its largest number, which does not change the rank.  A point is good if all numbers are finite,
    differences of sixth and of fourth order agree, and df/dy is more than rounding noise.
    """

    def slopes(position: int, steps: int) -> Array:
        return visible_slopes(with_coefficients(expr, {**at, position: at[position] + steps * STEP}), x, y)

    sixth, fourth = [], []
    now = with_coefficients(expr, at)
    with np.errstate(all="ignore"):
        for position in at:
            one, two, three = ((slopes(position, steps) - slopes(position, -steps)) / STEP for steps in (1, 2, 3))
            sixth.append((45 * one - 9 * two + three) / 60)
            fourth.append((8 * one - two) / 12)
        columns = np.array(sixth).T
        size = np.abs(columns).max(axis=1)
        error = np.abs(columns - np.array(fourth).T).max(axis=1)
        something = np.abs(y * visible_slopes(now, x, y)) > WRONG * np.abs(evaluate(now, x, y))
        good = np.isfinite(columns).all(axis=1) & (error <= WRONG * size) & something
        return columns / size[:, None], good


def around_one(positions: Iterable[int]) -> dict[int, float]:
    """Random coefficients; at exactly 1, terms might cancel by accident."""
    places = list(positions)
    return dict(zip(places, np.random.default_rng(7).uniform(0.8, 1.25, len(places)).tolist(), strict=True))


def outside(columns: Array, kept: list[int]) -> float:
    """The largest residual of any column after projection on the kept columns."""
    basis, sizes, _ = np.linalg.svd(columns[:, kept], full_matrices=False)
    basis = basis[:, sizes > WRONG * max(sizes[0], 1)]
    return float(np.abs(columns - basis @ (basis.T @ columns)).max())


def singular_values(columns: Array) -> Array:
    """The singular values of the normalised columns, largest first."""
    length = np.linalg.norm(columns, axis=0)
    return np.linalg.svd(columns / np.where(length > 0, length, 1), compute_uv=False)


def without_scale(columns: Array) -> Array:
    """The columns without their projection on the first, which is df/dy itself: the effect of a learning rate."""
    scale = columns[:, 0] / np.linalg.norm(columns[:, 0])
    return (columns - np.outer(scale, scale @ columns))[:, 1:]


def check_span(expr: Expr, counts: Counter[str]) -> None:
    """Assert that the effective columns span all columns, at soft and at hard points, if enough of these are good."""
    effective = effective_coefficients(expr)
    columns, good = effects(expr, around_one(all_coefficients(expr)), SOFT.x, SOFT.y)
    hard = np.isin(SOFT.x, HARD.x) & np.isin(SOFT.y, HARD.y)
    for name, chosen in (("soft", good), ("hard", good & hard)):
        if np.count_nonzero(chosen) >= 2 * expr.nodes:
            counts[name] += 1
            assert outside(columns[chosen], effective) < SAME


# Including zero, for expressions such as 0*log(y) and x + 0.
FEW_NUMBERS = st.sampled_from([1, -1, 2, 3, 0.5, -2, 0, 0.25, -3]).map(constant)


def test_effective_coefficients_have_the_effects_of_all_coefficients() -> None:
    """For random trees.

    Some trees have no good points: those that are NaN, such as log(-y), and those whose derivative is zero, such as y/y.
    """
    counts: Counter[str] = Counter()

    @settings(max_examples=180)
    @given(expressions(FEW_NUMBERS, max_leaves=8).filter(lambda expr: expr.uses("y")))
    def check(expr: Expr) -> None:
        counts["all"] += 1
        check_span(expr, counts)

    check()
    assert counts["soft"] > 0.7 * counts["all"]
    assert counts["hard"] > 0.7 * counts["all"]


KNOWN = {**NAMED, **TEMPLATES, **{text: parse(text) for text, _ in EFFECTIVE}}


@pytest.mark.parametrize("expr", KNOWN.values(), ids=KNOWN)
def test_effective_coefficients_of_known_losses_have_the_effects_of_all(expr: Expr) -> None:
    counts: Counter[str] = Counter()
    check_span(expr, counts)
    assert counts == {"soft": 1, "hard": 1}


# Effective coefficients that are not visible in the Jacobian: they move a jump of df/dy.
JUMPS = ("min(x, y)", "x*abs(x - y)")
# The same term twice; and exp(x + log(y)), in which a number added to the logarithm is a factor of the whole.
ALIKE = ("(x + (y + x*sqrt(y) + x))*sqrt(y)", "exp(x + log(y))")


@pytest.mark.parametrize("text", [text for text, _ in EFFECTIVE if text not in (*JUMPS, *ALIKE)])
def test_no_effective_coefficient_is_superfluous(text: str) -> None:
    positions = effective_coefficients(parse(text))
    columns, good = effects(parse(text), around_one(positions), SOFT.x, SOFT.y)
    assert np.count_nonzero(good) > 40
    assert singular_values(columns[good]).min() > 1e-4
    assert len(positions) == 1 or singular_values(without_scale(columns[good])).min() > 1e-4


@pytest.mark.parametrize("text", JUMPS)
def test_coefficient_moves_the_jump_of_the_derivative(text: str) -> None:
    expr = parse(text)
    (position,) = effective_coefficients(expr, scale=False)
    marks = {scale_free_fingerprint(with_coefficients(expr, {position: c}), SOFT) for c in (0.5, 1.0, 2.0, -1.0)}
    assert len(marks) == 4


# Powers such that no product, square or root of them is another one, and a number.
POWERS = [parse(f"{v}**{r}") for v, r in zip("yyyyyxxx", (0.61, 1.37, 0.83, 1.93, -0.47, 0.57, 1.21, 0.73), strict=True)]
UNLIKE = (*POWERS, Expr("2"))


def _filled(shape: Expr, leaves: Iterator[Expr]) -> Expr:
    return Expr(shape.symbol, tuple(_filled(child, leaves) for child in shape.children)) if shape.children else next(leaves)


@st.composite
def trees_without_like_terms(draw: st.DrawFn) -> Expr:
    """Trees whose leaves are different powers, or a number.

    exp turns a term into a factor, log turns a factor into a term, and a number can be either, so a tree has only one of
    these three.  No operator undoes another: there is no root in a square or the reverse, and no quotient in a denominator.
    abs, min and max are left out, because they have no effect where the sign or the order of their arguments is constant.
    """
    operators = ("log", "exp", "square", "sqrt", "tanh", "neg", "+", "-", "*", "/")
    placeholder = st.just(Expr("y"))

    def grow(smaller: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        def node(name: str) -> st.SearchStrategy[Expr]:
            return st.tuples(*[smaller] * OPERATORS[name].arity).map(lambda children: Expr(name, children))

        return st.sampled_from(operators).flatmap(node)

    tree = _filled(draw(st.recursive(placeholder, grow, max_leaves=7)), iter(draw(st.permutations(UNLIKE))))
    assume(tree.uses("y") and sum(node.symbol in ("log", "exp", "2") for node in tree.walk()) <= 1)
    for node in tree.walk():
        undoing = {"square": "sqrt", "sqrt": "square", "/": "/"}.get(node.symbol)
        assume(undoing is None or not node.children[-1].uses(undoing))
    return tree


def test_without_like_terms_effective_coefficients_are_independent() -> None:
    """Their number is then the rank, also without the scale, which the learning rate can replace.

    The exponents of the leaves are not tuned.  There are more labels than in SOFT, whose five labels other than 0 cannot
    distinguish six functions of x.
    """
    counts: Counter[str] = Counter()

    @settings(max_examples=180)
    @given(trees_without_like_terms())
    def check(expr: Expr) -> None:
        counts["all"] += 1
        nodes = list(expr.walk())
        exponents = {i + 2 for i, node in enumerate(nodes) if node.symbol == "pow"}
        positions = [i for i in effective_coefficients(expr) if i not in exponents]
        columns, good = effects(expr, around_one(positions), *MANY_LABELS)
        if len(np.unique(MANY_LABELS[0][good])) < 12:
            return
        counts["tested"] += 1
        counts[f"{len(positions)} coefficients"] += 1
        # Dependent columns would have a singular value of at most 1e-9.
        assert singular_values(columns[good]).min() > 1e-6
        assert len(positions) == 1 or singular_values(without_scale(columns[good])).min() > 1e-6

    check()
    assert counts["tested"] > 0.85 * counts["all"]
    assert sum(counts[f"{number} coefficients"] for number in (3, 4, 5, 6, 7)) > 15


def test_like_terms_have_one_coefficient_too_many() -> None:
    expr = parse("x*y + x*y")
    assert effective_coefficients(expr) == [0, 4]
    columns, good = effects(expr, around_one([0, 4]), SOFT.x, SOFT.y)
    assert singular_values(columns[good])[1] < SAME
