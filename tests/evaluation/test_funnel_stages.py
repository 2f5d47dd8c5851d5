"""The funnel: what each stage rejects, in which order, and how it is counted."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.evaluator_contract import SHORT, digits, jobs
from glo.evaluation import (
    Funnel,
    FunnelConfig,
    LocalEvaluator,
    OnOutcomes,
    finite_derivative,
    probe_points,
    structure,
    unheard,
    viability,
)
from glo.expr import Expr, fingerprint, parse
from glo.records import FunnelCounts, Job, Link, Outcome, Stage, Status, TrainingConfig
from strategies import expressions, moderate_constants

ALL = FunnelConfig(derivative=True, descent=True)
CONFIGS = [FunnelConfig(derivative=d, descent=p) for d, p in itertools.product((False, True), repeat=2)]
# One reject of each stage, and one that is trained; then a second text of each.
BY_STAGE = {
    Stage.STRUCTURE: "log(y)",
    Stage.DERIVATIVE: "x*sqrt(-1 - y)",
    Stage.DESCENT: "x - x*log(y)",
    Stage.TRAINING: "x*log(y)",
}


class Recorder:
    """Behind the stages in place of a training: remembers what came through, and calls it trained."""

    def __init__(self, counts: FunnelCounts | None = None) -> None:
        self.came: list[Job] = []

    def evaluate(self, jobs: Sequence[Job], on_outcomes: OnOutcomes = unheard) -> list[Outcome]:
        self.came += jobs
        outcomes = [Outcome(str(job.expression), "", Status.TRAINED, Stage.TRAINING, "", 0.5, 0.1) for job in jobs]
        on_outcomes(dict(enumerate(outcomes)))
        return outcomes


def funnel(config: FunnelConfig = ALL) -> tuple[Funnel, Recorder]:
    recorder = Recorder()
    return Funnel(digits(), SHORT, config, lambda counts: recorder), recorder


def test_each_stage_rejects_its_own_with_a_reason() -> None:
    judging, recorder = funnel()
    outcomes = judging.evaluate(jobs(*BY_STAGE.values()))
    assert [outcome.stage for outcome in outcomes] == list(BY_STAGE)
    assert [outcome.status for outcome in outcomes] == [Status.REJECTED] * 3 + [Status.TRAINED]
    assert [outcome.fitness for outcome in outcomes] == [0, 0, 0, 0.5]
    for outcome, word in zip(outcomes, ("x", "finite", "decisions", ""), strict=True):
        assert word in outcome.reason
    assert [str(job.expression) for job in recorder.came] == ["x*log(y)"]


def test_stages_are_in_order_and_each_counts_what_reaches_it() -> None:
    """Structure, cache, derivative, descent: a stage sees only what those before it let through."""
    judging, _ = funnel()
    judging.evaluate(jobs(*BY_STAGE.values(), "log(y)*x", "x", "square(x) + y/y", "y*0 + x"))
    counts = judging.take_counts()
    seen = {stage: (counts[stage].candidates, counts[stage].rejected) for stage in Stage}
    assert seen[Stage.STRUCTURE] == (8, 2)
    # log(y)*x is x*log(y) again; square(x) + y/y and y*0 + x have the same derivative, none.
    assert seen[Stage.CACHE] == (6, 2)
    assert seen[Stage.DERIVATIVE] == (4, 2)
    assert seen[Stage.DESCENT] == (2, 1)
    assert sum(count.rejected for count in counts.values()) == 7


def test_counts_are_of_what_happened_since_they_were_last_taken() -> None:
    judging, _ = funnel()
    judging.evaluate(jobs("log(y)", "x*log(y)"))
    assert judging.take_counts()[Stage.STRUCTURE].candidates == 2
    assert all((c.candidates, c.rejected, c.seconds) == (0, 0, 0) for c in judging.take_counts().values())
    judging.evaluate(jobs("log(x)"))
    assert (judging.counts[Stage.STRUCTURE].candidates, judging.counts[Stage.STRUCTURE].rejected) == (1, 1)


def test_real_trainings_are_counted_with_their_seconds() -> None:
    """One trains and one diverges; what is known is not counted again."""
    judging = Funnel(digits(), SHORT, FunnelConfig(), functools.partial(LocalEvaluator, digits(), SHORT, "cpu"))
    judging.evaluate(jobs("x*log(y)", "x*sqrt(-1 - y)"))
    judging.evaluate(jobs("x*log(y)"))
    counts = judging.take_counts()[Stage.TRAINING]
    assert (counts.candidates, counts.rejected) == (2, 1)
    assert counts.seconds > 0


def test_in_the_papers_form_a_missing_variable_and_nan_have_fitness_0() -> None:
    """Section III.A: 'a fitness of 0 to trees that do not contain both', and to 'NaN values'."""
    judging = Funnel(digits(), SHORT, FunnelConfig(), functools.partial(LocalEvaluator, digits(), SHORT, "cpu"))
    outcomes = judging.evaluate(jobs("log(y)", "log(x)", "1", "x*sqrt(-1 - y)", "x*log(y)"))
    assert [outcome.fitness > 0 for outcome in outcomes] == [False, False, False, False, True]
    assert [o.stage for o in outcomes] == [Stage.STRUCTURE] * 3 + [Stage.TRAINING] * 2
    assert outcomes[3].status is Status.DIVERGED


def test_the_stages_are_off_by_default_as_in_the_paper() -> None:
    judging, recorder = funnel(FunnelConfig())
    outcomes = judging.evaluate(jobs(*BY_STAGE.values()))
    assert [outcome.status for outcome in outcomes] == [Status.REJECTED] + [Status.TRAINED] * 3
    assert len(recorder.came) == 3


@pytest.mark.parametrize(("stage", "config"), [(Stage.DERIVATIVE, CONFIGS[2]), (Stage.DESCENT, CONFIGS[1])])
def test_a_stage_can_be_on_alone(stage: Stage, config: FunnelConfig) -> None:
    judging, _ = funnel(config)
    outcomes = judging.evaluate(jobs(BY_STAGE[stage], "x*log(y)"))
    assert [outcome.stage for outcome in outcomes] == [stage, Stage.TRAINING]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_the_screen_says_what_an_evaluation_would_reject(config: FunnelConfig) -> None:
    """And gives the fingerprint of the others; it trains nothing, and counts."""
    texts = (
        "log(y)",
        "x",
        "x*sqrt(-1 - y)",
        "x + y/y",
        "x - x*log(y)",
        "-x*y",
        "x*log(y)",
        "y*x",
        "log(y) - x/y",
        "x*log(y)",
    )
    screening, untouched = funnel(config)
    marks = screening.screen([parse(text) for text in texts])
    assert untouched.came == []
    assert screening.counts[Stage.STRUCTURE].candidates == len(texts)
    evaluating, _ = funnel(config)
    for text, mark, outcome in zip(texts, marks, evaluating.evaluate(jobs(*texts)), strict=True):
        assert (mark is None) == (outcome.status is Status.REJECTED), text
        assert mark is None or mark == fingerprint(parse(text))


@given(st.lists(expressions(moderate_constants(), max_leaves=6), max_size=6))
@settings(max_examples=50)
def test_the_screen_agrees_with_the_evaluation_for_any_expressions(candidates: list[Expr]) -> None:
    marks = funnel()[0].screen(candidates)
    outcomes = funnel()[0].evaluate([Job(candidate, 0) for candidate in candidates])
    assert [mark is None for mark in marks] == [outcome.status is Status.REJECTED for outcome in outcomes]


@given(st.lists(expressions(max_leaves=8), max_size=5))
@settings(max_examples=50)
def test_checks_have_a_reason_or_none_for_each_expression_and_never_raise(candidates: list[Expr]) -> None:
    """Overflow, NaN and nonsense included."""
    for check in (structure, *(finite_derivative(probe_points(link, soft=False)) for link in Link)):
        reasons = check(candidates)
        assert len(reasons) == len(candidates)
        assert all(reason is None or reason for reason in reasons)


@pytest.mark.parametrize(
    ("text", "words"),
    [("log(y)", ["x"]), ("x", ["y"]), ("1 - -1", ["x", "y"]), ("x*y", []), ("log(y) - x/y", []), ("x + y - y", [])],
)
def test_structure_names_what_is_missing(text: str, words: list[str]) -> None:
    (reason,) = structure([parse(text)])
    assert (reason is None) == (not words)
    assert reason is None or reason == f"does not use {' and '.join(words)}"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("x*sqrt(-1 - y)", "not finite"),
        ("x*sqrt(y - 0.5)", "not finite"),
        ("x/(y - y)", "not finite"),
        ("log(x)*y", "not finite"),
        ("x + y/y", "zero"),
        ("x*y - y*x", "zero"),
        ("x + sqrt(square(y)) - y", "zero"),
        ("x*log(y)", None),
        ("1e-4*x*y", None),
        ("1/x + y", "not finite"),
        ("log(-1) + x*y", "not finite"),
    ],
)
def test_the_derivative_must_be_finite_and_somewhere_not_zero(text: str, word: str | None) -> None:
    """A loss that is itself NaN or infinite is none either, such as 1/x + y for x = 0, whatever its derivative."""
    (reason,) = finite_derivative(probe_points(Link.SOFTMAX, soft=False))([parse(text)])
    assert reason is None if word is None else reason is not None and word in reason


def test_soft_labels_and_regression_are_looked_at_where_their_labels_are() -> None:
    """A root of x*(x - 1) is NaN between the labels 0 and 1 only, a root of y at negative predictions."""
    hard, soft, real = (
        finite_derivative(probe_points(link, soft))
        for link, soft in [(Link.SOFTMAX, False), (Link.SOFTMAX, True), (Link.IDENTITY, False)]
    )
    only_between = [parse("x*y + y*sqrt(x*(x - 1))")]  # a real number at labels 0 and 1, NaN in between
    assert hard(only_between) == [None]
    assert soft(only_between) != [None]
    assert real([parse("x*sqrt(y)")]) != [None]
    assert real([parse("-square(x - y)")]) == [None]


def test_viability_is_all_checks_in_one() -> None:
    assert viability(parse("log(y) - x/y")) is None
    for text, word in (("log(y)", "x"), ("x*sqrt(-1 - y)", "finite"), ("-x*log(y)", "decisions")):
        assert word in (viability(parse(text)) or "")
    assert viability(parse("-square(x - y)"), classes=1, link=Link.IDENTITY) is None
    assert "fit" in (viability(parse("square(x - y)"), classes=1, link=Link.IDENTITY) or "")


def test_a_network_at_chance_is_given_up_and_called_stopped() -> None:
    """-x*y goes uphill; cross-entropy learns and is trained to the end."""
    training = TrainingConfig(steps=40, learning_rates=(0.3,), early_stop=0.5)
    judging = Funnel(digits(), training, FunnelConfig(), functools.partial(LocalEvaluator, digits(), training, "cpu"))
    uphill, downhill = judging.evaluate(jobs("-1*x*y", "x*log(y)"))
    assert (uphill.status, uphill.stage) == (Status.STOPPED, Stage.EARLY_STOP)
    assert uphill.fitness <= digits().chance()
    assert "50%" in uphill.reason
    assert downhill.status is Status.TRAINED
    counts = judging.take_counts()
    assert (counts[Stage.EARLY_STOP].candidates, counts[Stage.EARLY_STOP].rejected) == (2, 1)
    assert (counts[Stage.TRAINING].candidates, counts[Stage.TRAINING].rejected) == (1, 0)
