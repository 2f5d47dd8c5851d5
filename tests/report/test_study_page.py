"""The page of a study: its charts, its formulas, its code and its data."""

from __future__ import annotations

import json
import math
import re
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import lightgbm
import numpy as np
import pytest
import torch

import glo
from glo.expr import parse
from glo.records import RESIDUALS, Direction, Link, Origin, Predicted
from glo.report.charts import Chart, Line, Mark, axis
from glo.report.content import ShownLoss
from glo.report.family import DEEPEST, family
from glo.report.formulas import instructions, mathml
from glo.report.listing import LIMIT, listing
from glo.report.sizes import sized
from glo.report.usage import usages
from made_up_studies import HOSTILE, PREDICTED, generation, judgement, many, ordinary, outcome, rejected, result

MATHML = "{http://www.w3.org/1998/Math/MathML}"


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.0, 1.0], ["0.0", "0.5", "1.0"]),
        ([0.881, 0.884], ["0.881", "0.882", "0.883", "0.884"]),
        ([5.0], ["4.5", "5.0", "5.5"]),
        ([-3e6, 1e6], ["-3000000", "-2000000", "-1000000", "0", "1000000"]),
        ([math.nan, math.inf], ["0.0", "0.5", "1.0"]),
    ],
)
def test_axes_have_round_ticks(values: list[float], ticks: list[str]) -> None:
    made = axis("", values)
    assert [text for _, text in made.ticks] == ticks
    assert all(made.low < value < made.high for value in values if math.isfinite(value))


def test_ticks_of_whole_numbers_are_whole() -> None:
    assert [text for _, text in axis("", [0, 2], integers=True).ticks] == ["0", "1", "2"]


def test_a_chart_interrupts_lines_and_draws_each_place_once() -> None:
    chart = Chart("key", "title", "", axis("", [0, 4], exact=True), axis("", [0, 1], exact=True), marks=[
        Mark(1, 0.5, text="first"), Mark(1.001, 0.5, text="second"), Mark(3, 0.5),
    ])  # fmt: skip
    path = chart.path(Line([(0, 0), (1, 1), (2, math.nan), (3, 1), (4, 1e9)]))
    assert path == f"M0 {chart.inner_height}L{chart.inner_width / 4:g} 0M{chart.inner_width * 0.75:g} 0"
    assert [mark.text for mark in chart.drawn] == ["first", ""]


def test_formulas_are_mathml_with_rounded_coefficients() -> None:
    root = ElementTree.fromstring(mathml(parse("2.718281828*log(y)/x")))  # noqa: S314 - our own
    numbers = [each.text for each in root.iter(f"{MATHML}mn")]
    assert numbers == ["2.718"]
    assert next(root.iter(f"{MATHML}mfrac"), None) is not None


def test_instructions_are_postfix() -> None:
    assert instructions(parse("log(y) - 2*x/y")) == "y log 2 x * y / -"


LOSSES = [
    ("x*log(y)", {"link": "softmax", "class_reduction": "sum", "eps": 1e-7}, 3),
    ("x*y**0.5", {"link": "softmax", "class_reduction": "mean", "eps": 1e-5}, 3),
    ("x*log(y) + (1 - x)*log(1 - y)", {"link": "sigmoid"}, 1),
    ("-square(x - y)", {"link": "identity"}, 1),
]


@pytest.mark.parametrize(("expression", "options", "classes"), LOSSES)
def test_the_code_that_uses_a_loss_runs(expression: str, options: dict[str, Any], classes: int) -> None:
    """As it is printed; in PyTorch, Lightning and transformers it is the same loss."""
    loss = ShownLoss("discovered", parse(expression), options)
    codes = {usage.library: usage.code for usage in usages(loss, classes)}
    random = np.random.default_rng(0)
    outputs = torch.tensor(random.normal(size=(40, classes)), dtype=torch.float32)
    labels = torch.arange(40) % 3 if classes == 3 else torch.tensor(random.integers(2, size=(40, 1)), dtype=torch.float32)
    expected = glo.ExpressionLoss(expression, **options)(outputs, labels)
    space: dict[str, Any] = {"outputs": outputs, "labels": labels}
    exec(codes["PyTorch"], space)  # noqa: S102 - that it runs is the point
    assert space["loss"] == expected
    *made, step = codes["Lightning"].splitlines()
    space = {"self": type("Module", (), {"__call__": lambda self, inputs: inputs})(), "inputs": outputs, "labels": labels}
    exec("\n".join(made), space)  # noqa: S102
    assert eval(step.split("#")[0].removeprefix("return"), space) == expected  # noqa: S307
    space = {"Trainer": lambda *given, **named: SimpleNamespace(**named), "model": None, "arguments": None, "texts": []}
    exec(codes["transformers"], space)  # noqa: S102
    assert space["trainer"].compute_loss_func({"logits": outputs}, labels) == expected
    space = {"lightgbm": lightgbm}
    exec(codes["LightGBM"], space)  # noqa: S102
    space["model"].set_params(n_estimators=2, verbose=-1, min_child_samples=1)
    points = random.normal(size=(40, 2))
    space["model"].fit(points, labels.numpy().ravel())
    assert np.isfinite(space["model"].predict(points, raw_score=True)).all()


def test_a_loss_that_boosting_does_not_know_says_why() -> None:
    (_, _, _, boosting) = usages(ShownLoss("d", parse("x*log(y)"), {}, boosting="it is computed with weight"), 3)
    assert (boosting.code, boosting.note) == (
        "",
        "This loss is no objective for gradient boosting: it is computed with weight.",
    )


def test_candidates_are_listed_best_first_and_each_fingerprint_once() -> None:
    rows = listing(sized(ordinary().trials), Direction.MAXIMIZE).rows
    assert [row[3] for row in rows] == [0.93, 0.9, 0.9, 0.85, 0.8, 0.7, None, None]
    assert [row[9] for row in rows] == [1, 1, 0, 1, 1, 1, 1, 1]
    lower = listing(sized(ordinary().trials), Direction.MINIMIZE).rows
    assert [row[3] for row in lower][:3] == [0.7, 0.8, 0.85]


def test_a_page_with_too_many_candidates_leaves_out_the_worst_and_says_so(tmp_path: Path) -> None:
    made = result([outcome(f"x*y + {n}.{'1' * 3000}", n / 1000) for n in range(1000)])  # many digits are quickly parsed
    listed = listing(sized(made.trials), Direction.MAXIMIZE)
    assert 0 < listed.left_out < 1000
    assert len(listed.json()) < LIMIT
    assert listed.rows[0][3] == 0.999
    path = made.report(tmp_path / "report.html")
    assert f"{listed.left_out} of 1,000 candidates are left out, the worst" in path.read_text()
    assert path.stat().st_size < 3_000_000


def test_hostile_texts_stay_in_their_place(tmp_path: Path) -> None:
    made = result([outcome("x*log(y)", 0.9), rejected(HOSTILE, HOSTILE)], task=HOSTILE)
    judged = judgement({"discovered": (0.9, 0.8), "cross_entropy": (0.9, 0.8), HOSTILE: (0.1, 0.2)})
    page = made.report(tmp_path / "report.html", judged).read_text(encoding="utf-8")
    assert page.count("<script") == page.count("</script") == 3  # the data, and two of its own
    assert "<img" not in page
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert [row[2] for row in json.loads(data)["rows"]] == ["x*log(y)", HOSTILE]
    assert HOSTILE in unescape(page)


def test_the_page_asks_for_nothing(tmp_path: Path) -> None:
    page = ordinary().report(tmp_path / "report.html", judgement()).read_text(encoding="utf-8")
    asked = re.findall(r"""(?:src|href|url|action|@import)\s*[=(]\s*["']?([^"'\s>)]+)""", page)
    assert asked
    assert all(link.startswith("#") for link in asked)
    assert "default-src 'none'" in unescape(page)


@pytest.mark.parametrize(
    "made",
    [
        result(),
        result([]),
        result([rejected("x", "it lacks y")]),
        result([outcome("x*y", 0.5)]),
        result([outcome("-square(x - y)", 3.5)], task_link=Link.IDENTITY, task_direction=Direction.MINIMIZE, task_classes=1),
        result([outcome("x*log(y)*prior", 0.5)], task_prior=(0.9, 0.1), task_classes=2),
        result([outcome("x*y*progress", 0.5)], task_objective=True),
        many(300, 3),
    ],
    ids=["empty", "no-candidate", "nothing-trained", "one", "regression", "prior", "objective", "many"],
)  # fmt: skip
def test_pages_of_all_kinds(made: Any, tmp_path: Path) -> None:
    page = made.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "All candidates" in page
    assert "nan" not in re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL).lower().replace(
        "finance", ""
    )


def test_the_family_of_the_best(tmp_path: Path) -> None:
    made = ordinary()
    tree = family("log(y) - x/y", made.origins, made.trials)
    assert tree is not None
    assert (tree.how, tree.fitness) == ("crossover and mutation", 0.93)
    assert [(each.expression, each.how, each.fitness) for each in tree.parents] == [
        ("x*log(y)", "given", 0.9),
        ("x*y", "random", 0.7),
    ]
    assert family("x*sqrt(y)", made.origins, made.trials) is None
    page = made.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "crossover and mutation, generation 1, fitness 0.9300" in page


def test_a_family_ends_and_shows_each_parent_once() -> None:
    chain = {f"x*{n}": Origin("mutation", (f"x*{n - 1}",)) for n in range(1, 20)}
    tree, depth = family("x*19", chain, []), 0
    while tree is not None and tree.parents:
        (tree,), depth = tree.parents, depth + 1
    assert tree is not None
    assert (depth, tree.more, tree.fitness) == (DEEPEST, "its parents are left out", None)
    twice = {"a": Origin("crossover", ("b", "c")), "b": Origin("mutation", ("c",)), "c": Origin("mutation", ("d",))}
    root = family("a", twice, [])
    assert root is not None
    assert [each.more for each in root.parents] == ["", "its parents are above"]


def test_predictions_of_classes_and_of_numbers(tmp_path: Path) -> None:
    page = ordinary().report(tmp_path / "report.html", judgement()).read_text(encoding="utf-8")
    assert "Confusions with discovered: per cent" in page
    assert re.search(r'<tr><th scope="row">1</th><td class="n heat-2">25</td><td class="n heat-6">75</td>', page)
    numbers = result([outcome("log(y) - x/y", 0.5)], task_link=Link.IDENTITY, task_classes=1)
    counted = judgement(counts=Predicted(residuals=tuple(range(RESIDUALS))))
    page = numbers.report(tmp_path / "report.html", counted).read_text(encoding="utf-8")
    assert "Within half a standard deviation are: discovered 25.0%" in page
    assert "Confusions" not in page
    many_classes = tuple(tuple(int(i == j) + 3 * int((i, j) == (4, 7)) for j in range(15)) for i in range(15))
    page = ordinary().report(tmp_path / "report.html", judgement(counts=Predicted(many_classes, PREDICTED.calibration)))
    assert '<td class="n">4</td><td class="n">7</td><td class="n">75.0</td>' in page.read_text(encoding="utf-8")
    page = ordinary().report(tmp_path / "report.html", judgement(counts=None)).read_text(encoding="utf-8")
    assert "What changed in the predictions" not in page


def test_generations_without_a_trained_candidate_interrupt_nothing(tmp_path: Path) -> None:
    made = result([rejected("x", "it lacks y")], [outcome("x*y", 0.5)], [], [outcome("x*log(y)", 0.7)])
    page = made.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "It rises from 0.5000 to 0.7000." in page
    assert generation(0, []).outcomes == []
