"""Export: the source code runs without glo and trains like ExpressionLoss; sympy and the binary minimum."""

from __future__ import annotations

import builtins
import subprocess
import sys
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
from glo.errors import ConfigError
from glo.expr import OPERATORS, Expr, evaluate, parse
from glo.loss import ExpressionLoss, binary_minimum, source, to_sympy
from glo.records import Link
from strategies import any_constants, expressions, moderate_constants

Language = Literal["torch", "numpy"]
LANGUAGES: tuple[Language, ...] = ("torch", "numpy")


def run(text: str, language: Language) -> Callable[..., Any]:
    """The function of an exported module, in which only `language` can be imported."""

    def only(name: str, *arguments: Any) -> Any:
        if name.split(".")[0] != language:  # numpy imports more of itself on demand
            raise ImportError(f"exported code imports {name}")
        return builtins.__import__(name, *arguments)

    namespace: dict[str, Any] = {"__builtins__": {**vars(builtins), "__import__": only}}
    exec(compile(text, "exported", "exec"), namespace)  # noqa: S102 - running the exported code is the test
    return namespace["loss"]


def value_of(text: str, language: Language, z: Tensor, target: Tensor) -> float:
    """The loss that an exported module computes for these tensors, or for the same arrays."""
    arguments = (z, target) if language == "torch" else (z.numpy(), target.numpy())
    return float(run(text, language)(*arguments))


def draw(seed: int, link: Link, hard: bool, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    """Outputs (6, 4) and targets in float64; hard targets are class indices for softmax, else 0 and 1."""
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
    text = source(expression, language, link)
    np.testing.assert_allclose(value_of(text, language, z, target), expected, rtol=1e-7, atol=1e-9, err_msg=text)


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
def test_export_of_any_numbers_is_valid_python(expression: Expr, language: Language) -> None:
    """Including constant parts that overflow or are NaN."""
    z, target = draw(1, Link.SOFTMAX, True)
    assert isinstance(value_of(source(expression, language), language, z, target), float)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_exports(name: str, language: Language) -> None:
    """On variables, with a number in each place, on numbers alone, and below every infix operator."""
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


def value_and_gradient(loss: Callable[..., Tensor], z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    outputs = z.clone().requires_grad_()
    value = loss(outputs, target)
    return value.detach(), torch.autograd.grad(value, outputs)[0]


@pytest.mark.parametrize("eps", [1e-7, 0.01, 0.2])
@pytest.mark.parametrize("class_reduction", ["sum", "mean"])
@pytest.mark.parametrize("link", list(Link))
@pytest.mark.parametrize("name", NAMED)
def test_export_trains_like_the_module(name: str, link: Link, class_reduction: Literal["sum", "mean"], eps: float) -> None:
    """Values and gradients are those of ExpressionLoss for every option; some predictions are clamped."""
    module = ExpressionLoss(name, link=link, class_reduction=class_reduction, eps=eps)
    options: dict[str, Any] = {"link": link, "class_reduction": class_reduction, "eps": eps}
    exported = run(source(NAMED[name], "torch", **options), "torch")
    for hard in (True, False):
        z, target = draw(6, link, hard, scale=5.0)
        value, gradient = value_and_gradient(exported, z, target)
        expected_value, expected_gradient = value_and_gradient(module, z, target)
        torch.testing.assert_close(value, expected_value, rtol=1e-10, atol=1e-10, equal_nan=True)
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-10, equal_nan=True)
        found = value_of(source(NAMED[name], "numpy", **options), "numpy", z, target)
        np.testing.assert_allclose(found, expected_value.item(), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("link", [Link.SOFTMAX, Link.SIGMOID])
def test_options_change_the_exported_loss(link: Link, language: Language) -> None:
    """Else the test above could not fail: for these outputs, each option has an effect."""
    z, target = draw(6, link, True, scale=5.0)
    default, clamped, mean = (
        value_of(text, language, z, target)
        for text in (
            source(NAMED["baikal"], language, link),
            source(NAMED["baikal"], language, link, eps=0.01),
            source(NAMED["baikal"], language, link, class_reduction="mean"),
        )
    )
    assert abs(default - clamped) > 0.1
    assert mean == pytest.approx(default / 4)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("link", list(Link))
@pytest.mark.parametrize("shape", [(6,), (6, 1), (1, 4), (4,), (4, 6)], ids=str)
def test_exported_source_does_not_broadcast_targets(shape: tuple[int, ...], link: Link, language: Language) -> None:
    z, _ = draw(7, link, True)
    target = torch.zeros(shape, dtype=torch.float64)
    with pytest.raises((ValueError, IndexError)):
        value_of(source(NAMED["mae"], language, link), language, z, target)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("index", [-1, 4, -100])
def test_exported_source_refuses_class_indices_out_of_range(index: int, language: Language) -> None:
    z, target = draw(7, Link.SOFTMAX, True)
    target[2] = index
    with pytest.raises((RuntimeError, IndexError)):
        value_of(source(NAMED["mae"], language), language, z, target)


@pytest.mark.parametrize("options", [{"class_reduction": "max"}, {"eps": 0.0}, {"eps": 0.5}, {"eps": float("nan")}], ids=str)
def test_bad_options_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        source(NAMED["baikal"], **options)


def test_source_contains_its_expression_and_its_options() -> None:
    text = source(NAMED["baikal"], eps=0.01, class_reduction="mean")
    assert str(NAMED["baikal"]) in text
    assert "minus the mean over classes" in text
    assert "eps=0.01" in text
    assert "import glo" not in text
    assert "eps=1e-7" in source(NAMED["baikal"])


# Prints which of the heavy packages the exports import.
EXPORTS = """
import sys
from glo.expr import parse
from glo.loss import binary_minimum, source, to_sympy
expression = parse("log(y) - x/y")
source(expression, "torch"), source(expression, "numpy"), to_sympy(expression), binary_minimum(expression)
print([name for name in ("torch", "matplotlib", "sqlalchemy") if name in sys.modules])
"""


def test_export_does_not_import_torch() -> None:
    child = subprocess.run([sys.executable, "-c", EXPORTS], capture_output=True, text=True, check=True)
    assert child.stdout == "[]\n"


def test_every_name_of_the_package_can_be_imported() -> None:
    """The names are imported lazily, so that a wrong one would fail only when it is used."""
    import glo.loss

    assert "ExpressionLoss" in dir(glo.loss)
    for name in glo.loss.__all__:
        assert getattr(glo.loss, name) is not None


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
    """At points where every part of the expression is a number."""
    assume(all(np.isfinite(evaluate(node, 0.25, 0.7)) for node in expression.walk()))
    x, y = sympy.symbols("x y", real=True)
    expected = float(evaluate(expression, 0.25, 0.7))
    found = complex(to_sympy(expression).subs({x: 0.25, y: 0.7}).evalf(30))
    assert abs(found.imag) < 1e-9
    # Terms that cancel in float64 do not cancel in sympy's 30 digits.
    np.testing.assert_allclose(found.real, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("text", ["min(y, log(0))", "max(x/0, y)", "min(log(0 - 1), y)", "exp(1000)*y", "0/0 + y"])
def test_sympy_accepts_numbers_that_are_not_finite(text: str) -> None:
    """A search may produce such expressions; sympy turns each into some expression of its own."""
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
def test_loss_without_a_minimum(text: str) -> None:
    assert binary_minimum(parse(text)) is None
