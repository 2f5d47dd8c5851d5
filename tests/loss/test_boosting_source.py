"""Exported objectives: the source runs with NumPy alone and gives the numbers of `BoostingObjective`."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from glo.catalog import NAMED
from glo.errors import ConfigError
from glo.expr import OPERATORS, Expr, parse
from glo.loss import BoostingObjective, objective
from glo.loss.boosting_source import Library, boosting_source
from glo.records import Link
from strategies import any_constants, deep_expressions, expressions, moderate_constants

LIBRARIES: tuple[Library, ...] = ("lightgbm", "xgboost", "catboost")
STANDARD_LIBRARY = ("__future__", "collections", "typing")
Array = NDArray[np.float64]


def run(text: str) -> dict[str, Any]:
    """The names of an exported module, which may import only NumPy and these modules of Python."""

    def only(name: str, *arguments: Any) -> Any:
        if name.split(".")[0] not in ("numpy", *STANDARD_LIBRARY):
            raise ImportError(f"exported code imports {name}")
        return builtins.__import__(name, *arguments)

    namespace: dict[str, Any] = {"__builtins__": {**vars(builtins), "__import__": only}, "__name__": "exported"}
    exec(compile(text, "exported", "exec"), namespace)  # noqa: S102 - running the exported code is the test
    return namespace


def draw(seed: int, link: Link) -> tuple[Array, Array, Array]:
    """Labels, scores, some of them large, and weights."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((8, 4)) * np.array([1, 3, 3, 30])
    x = rng.random((8, 4)) if link is not Link.SOFTMAX else rng.integers(4, size=8).astype(float)
    return x, z, rng.random(8)


def check(found: BoostingObjective, seed: int = 0, library: Library = "lightgbm") -> None:
    """The same numbers, or the same refusal."""
    x, z, weight = draw(seed, found.link)
    text = boosting_source(found, library)
    exported = run(text)["objective"]
    try:
        expected = found.for_trees(x, z, weight)
    except ConfigError:
        with pytest.raises(ValueError, match="the gradient of the loss is"):
            exported(x, z, weight)
        return
    for one, other in zip(exported(x, z, weight), expected, strict=True):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12, err_msg=text)


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
@pytest.mark.parametrize("link", list(Link))
@pytest.mark.parametrize("name", NAMED)
def test_named_losses_export(name: str, link: Link, library: Library) -> None:
    check(BoostingObjective(NAMED[name], link), library=library)


@settings(max_examples=200)
@given(expressions(moderate_constants()), st.sampled_from(list(Link)), st.integers(0, 9))
def test_random_losses_export(expression: Expr, link: Link, seed: int) -> None:
    check(BoostingObjective(expression, link, floor=1e-3), seed)


@settings(max_examples=60)
@given(expressions(any_constants()) | deep_expressions())
def test_any_expression_exports_as_valid_python(expression: Expr) -> None:
    """Whatever its numbers and however deep; its derivatives may be too large or undefined, which is an error of its own."""
    names = run(boosting_source(BoostingObjective(expression, Link.SOFTMAX), "lightgbm"))
    with np.errstate(all="ignore"):
        first, second = names["terms"](*np.random.default_rng(0).uniform(0.1, 0.9, (8, 5, 3)))
    assert first.shape == second.shape == (5, 3)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("link", list(Link))
def test_every_operator_exports(link: Link, name: str) -> None:
    arguments = [
        parse("exp(y*0.1) + 0.3"),
        parse("1.5") if OPERATORS[name].constant_arguments else parse("tanh(y) - 0.2*x + 2"),
    ]
    check(BoostingObjective(Expr("square", (Expr(name, tuple(arguments[: OPERATORS[name].arity])),)), link))


@pytest.mark.parametrize(
    "options",
    [
        {"eps": 0.1}, {"class_reduction": "mean"}, {"hessian": "floor", "floor": 0.05},
        {"hessian": "constant", "factor": 2.0}, {"classes": 4},
    ],
    ids=str,
)  # fmt: skip
def test_options_are_exported(options: dict[str, Any]) -> None:
    found = objective("baikal", **options)
    check(found)
    if "classes" not in options:  # else the options have no effect, and the test could not fail
        x, z, _ = draw(0, Link.SOFTMAX)
        assert any(
            not np.allclose(one, other)
            for one, other in zip(found.for_trees(x, z), objective("baikal").for_trees(x, z), strict=True)
        )


def test_exported_objective_takes_a_data_set() -> None:
    class DataSet:
        """What LightGBM and XGBoost give to the objective of `train`."""

        def get_label(self) -> Array:
            return x

        def get_weight(self) -> Array:
            return weight

    x, z, weight = draw(1, Link.SOFTMAX)
    found = objective("baikal")
    for function in (run(found.source("xgboost"))["objective"], found.for_xgboost()):
        for one, other in zip(function(z, DataSet()), found.for_trees(x, z, weight), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9)


def test_exported_objective_of_catboost() -> None:
    found = objective("binary_cross_entropy", "sigmoid")
    exported = run(found.source("catboost"))["Objective"]()
    x, z, weight = np.array([0.0, 1.0, 1.0]), np.array([0.3, -2.0, 4.0]), np.array([1.0, 2.0, 0.5])
    gradient, hessian = found.for_trees(x, z, weight)
    for form in (found.for_catboost(), exported):
        np.testing.assert_allclose(form.calc_ders_range(z, x, weight), np.column_stack([-gradient, -hessian]), rtol=1e-9)
    found = objective("x*log(y)")
    gradient, hessian = found.for_trees([2], [[0.3, -2.0, 4.0]], [0.5])
    for form in (found.for_catboost(), run(found.source("catboost"))["Objective"]()):
        first, second = form.calc_ders_multi([0.3, -2.0, 4.0], 2, 0.5)
        np.testing.assert_allclose(first, -gradient[0], rtol=1e-9)
        np.testing.assert_allclose(second, np.diag(-hessian[0]), rtol=1e-9)


def test_exported_objective_refuses_what_the_object_refuses() -> None:
    exported = run(objective("x*log(y)", classes=3).source("lightgbm"))["objective"]
    for labels, scores, message in (
        ([0, 3], np.zeros((2, 3)), "not among the classes 0 to 2"),
        ([0, 1], np.zeros((2, 4)), "num_class=3"),
        ([0, 1], np.zeros(2), "num_class"),
    ):
        with pytest.raises(ValueError, match=message):
            exported(labels, scores)


def test_source_of_an_unknown_library_is_refused() -> None:
    with pytest.raises(ConfigError, match="library is lightgbm, xgboost, catboost, not 'sklearn'"):
        objective("baikal").source("sklearn")  # type: ignore[arg-type]


def test_source_names_its_loss_and_nothing_of_glo() -> None:
    for library in LIBRARIES:
        text = objective("baikal").source(library)
        assert "f(x, y) = log(y) - x/y" in text
        assert "import glo" not in text
        assert "from glo" not in text
        assert "ConfigError" not in text
