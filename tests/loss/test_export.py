"""Export: the source code runs without glo and computes ExpressionLoss; sympy and the binary minimum."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import sympy
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from glo.catalog import NAMED, smoothed_cross_entropy
from glo.expr import OPERATORS, Expr, evaluate, parse
from glo.loss import ExpressionLoss, binary_minimum, source, to_sympy
from glo.records import Link
from strategies import any_constants, expressions, moderate_constants

Language = Literal["torch", "numpy"]
LANGUAGES: tuple[Language, ...] = ("torch", "numpy")


def run(text: str, language: Language) -> Callable[..., Any]:
    """The function of an exported module, run where nothing but `language` can be imported."""

    def only(name: str, *arguments: Any) -> Any:
        if name.split(".")[0] != language:  # numpy imports more of itself on demand
            raise ImportError(f"exported code imports {name}")
        return builtins.__import__(name, *arguments)

    namespace: dict[str, Any] = {"__builtins__": {**vars(builtins), "__import__": only}}
    exec(compile(text, "exported", "exec"), namespace)  # noqa: S102 - running the exported code is the test
    return namespace["loss"]


def draw(seed: int, link: Link, hard: bool, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    """Outputs (6, 4) and targets in float64; indices only for softmax."""
    generator = torch.Generator().manual_seed(seed)
    z = scale * torch.randn(6, 4, generator=generator, dtype=torch.float64)
    if hard and link is Link.SOFTMAX:
        return z, torch.randint(4, (6,), generator=generator)
    target = torch.rand(6, 4, generator=generator, dtype=torch.float64)
    if link is Link.SOFTMAX:
        target = target.softmax(1)
    return z, (target > 0.5).double() if hard else target


def check_export(expression: Expr, language: Language, link: Link, hard: bool, seed: int, scale: float = 2.0) -> None:
    z, target = draw(seed, link, hard, scale)
    expected = ExpressionLoss(expression, link=link)(z, target).item()
    exported = run(source(expression, language, link), language)
    found = exported(z, target) if language == "torch" else exported(z.numpy(), target.numpy())
    np.testing.assert_allclose(float(found), expected, rtol=1e-7, atol=1e-9, err_msg=source(expression, language, link))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("link", list(Link))
@pytest.mark.parametrize("hard", [True, False], ids=["hard", "soft"])
@pytest.mark.parametrize("name", NAMED)
def test_named_losses_export(name: str, hard: bool, link: Link, language: Language) -> None:
    check_export(NAMED[name], language, link, hard, seed=0)


@settings(max_examples=150)
@given(
    expressions(moderate_constants()),
    st.sampled_from(LANGUAGES),
    st.sampled_from(list(Link)),
    st.booleans(),
    st.integers(0, 9),
)
def test_random_expressions_export(expression: Expr, language: Language, link: Link, hard: bool, seed: int) -> None:
    check_export(expression, language, link, hard, seed)


@settings(max_examples=50)
@given(expressions(any_constants(), max_leaves=6), st.sampled_from(LANGUAGES))
def test_exported_source_is_python_whatever_the_numbers(expression: Expr, language: Language) -> None:
    """Constant parts that overflow or are NaN included."""
    z, target = draw(1, Link.SOFTMAX, True)
    exported = run(source(expression, language), language)
    assert np.ndim(float(exported(*((z, target) if language == "torch" else (z.numpy(), target.numpy()))))) == 0


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_exports(name: str, language: Language) -> None:
    """With variables, with a number in each place, with numbers alone, and below every infix operator."""
    row = OPERATORS[name]
    numbers = ["-0.5", "2"]
    nodes = []
    for first in ("y", "x", numbers[0], "-y - x"):
        texts = (first, numbers[1] if row.constant_arguments else "x + 0.3")
        nodes.append(Expr(name, tuple(parse(text) for text in texts[: row.arity])))
        if not row.constant_arguments:
            nodes.append(Expr(name, tuple(parse(text) for text in ("y", numbers[0])[: row.arity])))
    for node in nodes:
        check_export(node, language, Link.SOFTMAX, True, seed=2)
        for infix in "+-*/":
            check_export(Expr(infix, (parse("y"), node)), language, Link.SOFTMAX, False, seed=3)
            check_export(Expr(infix, (node, parse("x + 0.1"))), language, Link.SOFTMAX, False, seed=3)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("link", [Link.SOFTMAX, Link.SIGMOID])
@pytest.mark.parametrize("name", ["cross_entropy", "baikal", "sqrt_likelihood", "mae"])
def test_extreme_logits_export(name: str, link: Link, language: Language) -> None:
    check_export(NAMED[name], language, link, hard=True, seed=4, scale=1e4)


@pytest.mark.parametrize("text", ["1/0", "log(0 - 1) + y", "-1/0*x", "3", "x", "exp(1000)*y"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_numbers_that_are_not_finite_export(text: str, language: Language) -> None:
    check_export(parse(text), language, Link.SOFTMAX, True, seed=5)


def test_exported_torch_code_trains() -> None:
    """Autograd goes through the exported function as through the module."""
    z, target = draw(6, Link.SOFTMAX, True)
    gradients = []
    for loss in (run(source(NAMED["baikal_cma"]), "torch"), ExpressionLoss("baikal_cma")):
        outputs = z.clone().requires_grad_()
        gradients.append(torch.autograd.grad(loss(outputs, target), outputs)[0])
    torch.testing.assert_close(*gradients)


def test_the_source_names_its_expression() -> None:
    assert str(NAMED["baikal"]) in source(NAMED["baikal"])
    assert "import glo" not in source(NAMED["baikal"])


POINTS = [(x, y) for x in (0.0, 0.25, 1.0) for y in (0.1, 0.5, 0.9)]


@pytest.mark.parametrize(
    "expression",
    [*NAMED.values(), smoothed_cross_entropy(0.1, 10)]
    + [
        parse(text)
        for text in (
            "tanh(x - y)*exp(-y)", "min(x, y) + max(y*y, 0.3)", "pow(y, 1.5) - pow(y, -2)", "x/(y + 2)/3 - -y",
            "1e20*y - 0.1", "sqrt(abs(x - y))", "neg(square(y))",
        )
    ],
    ids=str,
)  # fmt: skip
def test_sympy_evaluates_to_the_same_numbers(expression: Expr) -> None:
    symbolic = to_sympy(expression)
    function = sympy.lambdify(sympy.symbols("x y", real=True), symbolic, "numpy")
    for x, y in POINTS:
        np.testing.assert_allclose(float(function(x, y)), float(evaluate(expression, x, y)), rtol=1e-12)


@settings(max_examples=40)
@given(expressions(moderate_constants(), max_leaves=5))
def test_sympy_agrees_where_both_are_numbers(expression: Expr) -> None:
    """Where every part is a number."""
    assume(all(np.isfinite(evaluate(node, 0.25, 0.7)) for node in expression.walk()))
    x, y = sympy.symbols("x y", real=True)
    expected = float(evaluate(expression, 0.25, 0.7))
    found = complex(to_sympy(expression).subs({x: 0.25, y: 0.7}).evalf(30))
    assert abs(found.imag) < 1e-9
    # What cancels in float64 does not in sympy's 30 digits.
    np.testing.assert_allclose(found.real, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("text", ["min(y, log(0))", "max(x/0, y)", "min(log(0 - 1), y)", "exp(1000)*y", "0/0 + y"])
def test_sympy_takes_numbers_that_are_not_finite(text: str) -> None:
    """Expressions that a search may produce; whatever sympy makes of them, it is an expression."""
    assert isinstance(to_sympy(parse(text)), sympy.Basic)


def test_sympy_keeps_integers_exact() -> None:
    assert to_sympy(parse("2*y + 3")) == 2 * sympy.Symbol("y", real=True) + 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("baikal", 0.7071),  # paper, section V.A
        ("baikal_cma", 0.7719),
        ("cross_entropy", 1.0),
        ("brier", 1.0),
        ("linear", 1.0),
        ("-(x*log(y))", 0.0),  # the wrong way round
        ("-square(0.6*x + 0.2 - y)", 0.8),
    ],
)
def test_binary_minimum(text: str, expected: float) -> None:
    expression = NAMED[text] if text in NAMED else parse(text)
    assert binary_minimum(expression) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("text", ["x", "3", "log(0 - 1)*y", "1/0 + y"])
def test_a_loss_without_a_minimum_has_none(text: str) -> None:
    assert binary_minimum(parse(text)) is None
