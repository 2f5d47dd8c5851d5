"""The funnel: what each stage rejects, in which order, and how it is counted."""

from __future__ import annotations

import itertools
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candidates import BAD, GOOD, SHORT, digits, jobs
from fakes import FakeExecutor, RecordingCache
from glo.evaluation import Funnel, evaluate, finite_derivative, probe_points, structure, viability
from glo.evaluation.protocol import Key
from glo.execution import Executor, ForkingExecutor, InlineExecutor, can_fork
from glo.expr import Expr, fingerprint, parse
from glo.records import FunnelConfig, Job, Link, Outcome, Stage, Status, TrainingConfig
from strategies import expressions, moderate_constants

forking = pytest.mark.skipif(not can_fork("cpu"), reason="forking is not safe here (no Linux, or a GPU in sight)")
ALL = FunnelConfig(derivative=True, descent=True)
CONFIGS = [FunnelConfig(derivative=d, descent=p) for d, p in itertools.product((False, True), repeat=2)]
CONSTRAINED = FunnelConfig(constraints=("bounded", "monotone"), descent=True)
# A loss that each stage rejects, and one that is trained.
BY_STAGE = {
    Stage.STRUCTURE: "log(y)",
    Stage.DERIVATIVE: "x*sqrt(-1 - y)",
    Stage.DESCENT: "x - x*log(y)",
    Stage.TRAINING: "x*log(y)",
}


def funnel(config: FunnelConfig = ALL) -> tuple[Funnel, FakeExecutor]:
    """A funnel in front of an executor that trains nothing."""
    executor = FakeExecutor()
    return Funnel(digits(), SHORT, config, executor), executor


def real(config: FunnelConfig | None = None, training: TrainingConfig = SHORT, executor: Executor | None = None) -> Funnel:
    """A funnel in front of real trainings."""
    return Funnel(digits(), training, config or FunnelConfig(), executor or InlineExecutor())


def test_each_stage_gives_a_reason_for_its_rejects() -> None:
    evaluator, executor = funnel()
    outcomes = evaluate(evaluator, jobs(*BY_STAGE.values()))
    assert [outcome.stage for outcome in outcomes] == list(BY_STAGE)
    assert [outcome.status for outcome in outcomes] == [Status.REJECTED] * 3 + [Status.TRAINED]
    assert [outcome.fitness for outcome in outcomes] == [0, 0, 0, 0.5]
    for outcome, word in zip(outcomes, ("x", "finite", "decisions", ""), strict=True):
        assert word in outcome.reason
    assert executor.texts == ["x*log(y)"]


def test_stages_are_in_order_and_each_counts_its_candidates() -> None:
    """Structure, cache, derivative, descent: a stage gets only the candidates that pass the stages before it."""
    evaluator, _ = funnel()
    evaluate(evaluator, jobs(*BY_STAGE.values(), "log(y)*x", "x", "square(x) + y/y", "y*0 + x"))
    counts = evaluator.take_counts()
    seen = {stage: (counts[stage].candidates, counts[stage].rejected) for stage in Stage}
    assert seen[Stage.STRUCTURE] == (8, 2)
    # log(y)*x is x*log(y) again; square(x) + y/y and y*0 + x have the same derivative, none.
    assert seen[Stage.CACHE] == (6, 2)
    assert seen[Stage.DERIVATIVE] == (4, 2)
    assert seen[Stage.DESCENT] == (2, 1)
    assert sum(count.rejected for count in counts.values()) == 7


def test_a_loss_without_a_required_property_is_rejected_before_the_cache_knows_it() -> None:
    """So the outcomes of a search without constraints can be used, and none of a loss that the constraints exclude."""
    cache = RecordingCache()
    free = Funnel(digits(), SHORT, FunnelConfig(), FakeExecutor(), cache)
    evaluate(free, jobs("x*log(y)", "x*y"))
    executor = FakeExecutor()
    bounded = Funnel(digits(), SHORT, FunnelConfig(constraints=("bounded",)), executor, cache)
    outcomes = evaluate(bounded, jobs("log(y)", "x*log(y)", "x*sqrt(y - 0.5)", "x*y", "x*sqrt(y)"))
    stages = [Stage.STRUCTURE, Stage.CONSTRAINT, Stage.CONSTRAINT, Stage.TRAINING, Stage.TRAINING]
    assert [outcome.stage for outcome in outcomes] == stages
    assert outcomes[1].reason == "it is not bounded: at x = 1 it diverges as y goes to 0"
    assert executor.texts == ["x*sqrt(y)"]
    counts = bounded.take_counts()
    assert [(counts[s].candidates, counts[s].rejected) for s in (Stage.CONSTRAINT, Stage.CACHE)] == [(4, 2), (2, 1)]


def test_taking_the_counts_resets_them() -> None:
    evaluator, _ = funnel()
    evaluate(evaluator, jobs("log(y)", "x*log(y)"))
    assert evaluator.take_counts()[Stage.STRUCTURE].candidates == 2
    assert all((c.candidates, c.rejected, c.seconds) == (0, 0, 0) for c in evaluator.take_counts().values())
    evaluate(evaluator, jobs("log(x)"))
    assert (evaluator.counts[Stage.STRUCTURE].candidates, evaluator.counts[Stage.STRUCTURE].rejected) == (1, 1)


def test_real_trainings_are_counted_with_their_seconds() -> None:
    """One loss trains and one diverges; the second evaluation of the first is not counted."""
    evaluator = real()
    evaluate(evaluator, jobs("x*log(y)", "x*sqrt(-1 - y)"))
    evaluate(evaluator, jobs("x*log(y)"))
    counts = evaluator.take_counts()[Stage.TRAINING]
    assert (counts.candidates, counts.rejected) == (2, 1)
    assert counts.seconds > 0


def test_without_checks_a_missing_variable_and_nan_have_fitness_0_as_in_the_paper() -> None:
    """Section III.A: 'a fitness of 0 to trees that do not contain both', and to 'NaN values'."""
    evaluator = real()
    outcomes = evaluate(evaluator, jobs("log(y)", "log(x)", "1", "x*sqrt(-1 - y)", "x*log(y)"))
    assert [outcome.fitness > 0 for outcome in outcomes] == [False, False, False, False, True]
    assert [o.stage for o in outcomes] == [Stage.STRUCTURE] * 3 + [Stage.TRAINING] * 2
    assert outcomes[3].status is Status.DIVERGED


def test_the_checks_are_off_by_default_as_in_the_paper() -> None:
    evaluator, executor = funnel(FunnelConfig())
    outcomes = evaluate(evaluator, jobs(*BY_STAGE.values()))
    assert [outcome.status for outcome in outcomes] == [Status.REJECTED] + [Status.TRAINED] * 3
    assert len(executor.texts) == 3


@pytest.mark.parametrize(("stage", "config"), [(Stage.DERIVATIVE, CONFIGS[2]), (Stage.DESCENT, CONFIGS[1])])
def test_a_check_can_be_on_alone(stage: Stage, config: FunnelConfig) -> None:
    evaluator, _ = funnel(config)
    outcomes = evaluate(evaluator, jobs(BY_STAGE[stage], "x*log(y)"))
    assert [outcome.stage for outcome in outcomes] == [stage, Stage.TRAINING]


@pytest.mark.parametrize("config", [*CONFIGS, CONSTRAINED], ids=str)
def test_the_screen_rejects_what_an_evaluation_rejects(config: FunnelConfig) -> None:
    """It returns the fingerprints of the others, trains nothing, and counts its candidates."""
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
    screening, executor = funnel(config)
    marks = screening.screen([parse(text) for text in texts])
    assert executor.submitted == []
    assert screening.counts[Stage.STRUCTURE].candidates == len(texts)
    evaluating, _ = funnel(config)
    for text, mark, outcome in zip(texts, marks, evaluate(evaluating, jobs(*texts)), strict=True):
        assert (mark is None) == (outcome.status is Status.REJECTED), text
        assert mark is None or mark == fingerprint(parse(text))


@given(st.lists(expressions(moderate_constants(), max_leaves=6), max_size=6))
@settings(max_examples=50)
def test_the_screen_agrees_with_the_evaluation_for_any_expressions(candidates: list[Expr]) -> None:
    marks = funnel()[0].screen(candidates)
    outcomes = evaluate(funnel()[0], [Job(candidate, 0) for candidate in candidates])
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
    """A loss that is NaN or infinite itself is rejected too, whatever its derivative, such as 1/x + y at x = 0."""
    (reason,) = finite_derivative(probe_points(Link.SOFTMAX, soft=False))([parse(text)])
    assert reason is None if word is None else reason is not None and word in reason


def test_the_derivative_is_probed_at_the_labels_of_the_kind_of_task() -> None:
    """The root of x*(x - 1) is NaN only between the labels 0 and 1, the root of y only at negative predictions."""
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


def test_a_training_at_chance_is_stopped_early() -> None:
    """-x*y goes uphill; cross-entropy learns and is trained to the end."""
    training = TrainingConfig(steps=40, learning_rates=(0.3,), early_stop=0.5)
    evaluator = real(training=training)
    uphill, downhill = evaluate(evaluator, jobs("-1*x*y", "x*log(y)"))
    assert (uphill.status, uphill.stage) == (Status.STOPPED, Stage.EARLY_STOP)
    assert uphill.fitness <= digits().chance()
    assert "50%" in uphill.reason
    assert downhill.status is Status.TRAINED
    counts = evaluator.take_counts()
    assert (counts[Stage.EARLY_STOP].candidates, counts[Stage.EARLY_STOP].rejected) == (2, 1)
    assert (counts[Stage.TRAINING].candidates, counts[Stage.TRAINING].rejected) == (1, 0)


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=forking)])
def test_rejects_need_no_slot_and_wait_for_no_training(processes: int) -> None:
    """All are submitted before the first result is awaited; the rejects are returned first."""
    texts = [*GOOD, *BAD, "x*log(y)*1", GOOD[0]]
    executor = InlineExecutor() if processes == 1 else ForkingExecutor(processes)
    with closing(real(ALL, executor=executor)) as evaluator:
        assert evaluator.slots == processes
        for number, job in enumerate(jobs(*texts)):
            evaluator.submit({number: job})
        rejected = evaluator.next()
        assert {outcome.status for outcome in rejected.values()} == {Status.REJECTED}
        trained: dict[Key, Outcome] = {}
        while len(rejected) + len(trained) < len(texts):
            trained |= evaluator.next()
    assert list(rejected) == list(range(len(GOOD), len(GOOD + BAD)))
    assert {number: outcome.expression for number, outcome in trained.items()} == {
        number: str(parse(text)) for number, text in enumerate(texts) if number not in rejected
    }


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=forking)])
def test_a_known_loss_is_not_trained_and_waits_for_no_training(processes: int) -> None:
    """Neither under another text, nor while others are trained; with another seed it is trained."""
    cache = RecordingCache()
    executor = InlineExecutor() if processes == 1 else ForkingExecutor(processes)
    with closing(Funnel(digits(), SHORT, FunnelConfig(), executor, cache)) as evaluator:
        (first,) = evaluate(evaluator, jobs("x*log(y)"))
        assert list(cache.remembered) == ["x*log(y)"]
        evaluator.submit({1: jobs("x*sqrt(y)", seed=1)[0]})
        evaluator.submit({2: jobs("log(y)*x")[0], 3: jobs("x*log(y) + 3")[0], 4: jobs("log(y)*x", seed=1)[0]})
        found: dict[Key, Outcome] = evaluator.next()
        assert list(found) == [2, 3]
        assert {outcome.fitness for outcome in found.values()} == {first.fitness}
        while len(found) < 4:
            found |= evaluator.next()
    assert found[4].expression == "log(y)*x"
    assert evaluator.counts[Stage.TRAINING].candidates == 3
    assert cache.remembered.keys() == {"x*log(y)", "x*sqrt(y)", "log(y)*x"}
