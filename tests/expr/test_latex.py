"""LaTeX: its structure, examples, and typesetting by matplotlib."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from matplotlib.mathtext import MathTextParser

from glo.catalog import NAMED
from glo.expr import OPERATORS, Expr, constant, describe, latex, parse
from strategies import expressions


def is_balanced(text: str) -> bool:
    depth = 0
    for brace in re.findall(r"[{}]", text):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


@given(expressions(max_leaves=20))
def test_braces_and_delimiters_are_balanced(expr: Expr) -> None:
    text = latex(expr)
    assert is_balanced(text)
    assert len(re.findall(r"\\left[(|]", text)) == len(re.findall(r"\\right[)|]", text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("log(y) - x/y", r"\log\left(y\right) - \frac{x}{y}"),
        ("x*log(y)", r"x \cdot \log\left(y\right)"),
        ("sqrt(y)", r"\sqrt{y}"),
        ("square(x - y)", r"\left(x - y\right)^2"),
        ("y**-3", r"\left(y\right)^{-3}"),
        ("abs(x - y)", r"\left|x - y\right|"),
        ("min(x, y)", r"\min\left(x, y\right)"),
        ("(x + 1)*y", r"\left(x + 1\right) \cdot y"),
        ("(x + 1)/y", r"\frac{x + 1}{y}"),
        ("x - (y - 1)", r"x - \left(y - 1\right)"),
        ("x - y - 1", "x - y - 1"),
        ("x*-2", r"x \cdot \left(-2\right)"),
        ("-2*x", r"-2 \cdot x"),
        ("1e-07*y", r"1 \cdot 10^{-7} \cdot y"),
        ("1e+20", r"1 \cdot 10^{20}"),
        ("-2.5e-09", r"-2.5 \cdot 10^{-9}"),
        ("x*1e-07", r"x \cdot \left(1 \cdot 10^{-7}\right)"),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert latex(parse(text)) == expected


@pytest.mark.parametrize("row", OPERATORS.values(), ids=lambda row: row.name)
def test_every_operator_shows_both_arguments_and_can_be_typeset(row) -> None:
    second = constant(3) if row.constant_arguments else parse("log(x)")
    children = (parse("y - 1e-05"), second)[: row.arity]
    text = latex(Expr(row.name, children))
    assert all(latex(child) in text for child in children)
    MathTextParser("path").parse(f"${text}$")


@pytest.mark.parametrize("name", NAMED)
def test_named_losses_can_be_typeset(name: str) -> None:
    MathTextParser("path").parse(f"${latex(NAMED[name])}$")


def test_describe_gives_text_canonical_form_and_latex() -> None:
    assert describe(parse("y*x")) == {"expression": "y*x", "canonical": "x*y", "latex": r"y \cdot x"}
