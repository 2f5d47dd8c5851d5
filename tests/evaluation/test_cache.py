"""The cache: a loss is judged once, whatever it is written as, for the same data and training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from contracts.evaluator_contract import SHORT, digits, jobs
from glo.evaluation import Cached, Funnel, FunnelConfig, LocalEvaluator, OnOutcomes, no_lookup, probe_points, unheard
from glo.expr import fingerprint, parse
from glo.records import Job, Link, Outcome, Stage, StageCount, Status, TrainingConfig
from glo.tasks import load_task

POINTS = probe_points(Link.SOFTMAX, soft=False)
Memory = dict[str, dict[str, Outcome]]


class Counting:
    """An evaluator that trains nothing and counts what it is asked; the outcome is of a given status."""

    def __init__(self, status: Status = Status.TRAINED) -> None:
        self.asked: list[str] = []
        self._status = status

    def evaluate(self, jobs: Sequence[Job], on_outcomes: OnOutcomes = unheard) -> list[Outcome]:
        texts = [str(job.expression) for job in jobs]
        self.asked += texts
        marks = [fingerprint(job.expression, POINTS) for job in jobs]
        fitness = 0.5 if self._status is Status.TRAINED else 0.0
        outcomes = [
            Outcome(t, m, self._status, Stage.TRAINING, "of the test", fitness) for t, m in zip(texts, marks, strict=True)
        ]
        for position, outcome in enumerate(outcomes):
            on_outcomes({position: outcome})
        return outcomes


def remembered(memory: Memory) -> Any:
    """A store in memory: the outcomes that are known of these fingerprints."""
    return lambda context, marks: {m: o for m, o in memory.get(context, {}).items() if m in marks}


def cached(inner: Counting, memory: Memory | None = None) -> Cached:
    return Cached("context", remembered(memory or {}), inner, POINTS, StageCount())


def test_equal_fingerprints_are_judged_once_in_one_call() -> None:
    inner = Counting()
    outcomes = cached(inner).evaluate(jobs("x*log(y)", "y*x", "log(y)*x", "x*log(y) + 3"))
    asked = [fingerprint(parse(text), POINTS) for text in inner.asked]
    assert asked == [outcomes[0].fingerprint, outcomes[1].fingerprint]
    assert [outcome.expression for outcome in outcomes] == ["x*log(y)", "y*x", "log(y)*x", "x*log(y) + 3"]
    assert outcomes[0].fingerprint == outcomes[2].fingerprint == outcomes[3].fingerprint != outcomes[1].fingerprint


def test_equal_fingerprints_are_judged_once_in_many_calls() -> None:
    inner = Counting()
    cache = cached(inner)
    for text in ("x*log(y)", "log(y)*x", "y*x", "x*log(y)", "x*y"):
        (outcome,) = cache.evaluate(jobs(text))
        assert (outcome.expression, outcome.fitness) == (text, 0.5)
    assert inner.asked == ["x*log(y)", "y*x"]


def test_another_seed_is_another_training() -> None:
    inner = Counting()
    cache = cached(inner)
    cache.evaluate(jobs("x*log(y)", seed=1) + jobs("x*log(y)", seed=2))
    cache.evaluate(jobs("x*log(y)", seed=1) + jobs("x*log(y)", seed=3))
    assert len(inner.asked) == 3


@pytest.mark.parametrize("status", [Status.TRAINED, Status.REJECTED, Status.STOPPED, Status.DIVERGED])
def test_what_is_due_to_the_loss_is_remembered(status: Status) -> None:
    inner = Counting(status)
    cache = cached(inner)
    first, second = cache.evaluate(jobs("x*y")), cache.evaluate(jobs("x*y"))
    assert first == second
    assert second[0].status is status
    assert inner.asked == ["x*y"]
    assert [outcome.status for marks in cache.new.values() for outcome in marks.values()] == [status]


@pytest.mark.parametrize("status", [Status.CRASHED, Status.TIMED_OUT])
def test_what_is_due_to_circumstances_is_tried_again(status: Status) -> None:
    inner = Counting(status)
    cache = cached(inner)
    cache.evaluate(jobs("x*y"))
    cache.evaluate(jobs("x*y"))
    assert inner.asked == ["x*y", "x*y"]
    assert cache.take_new() == {}


def test_what_a_store_knows_is_not_judged() -> None:
    """What one cache found new is put into a memory, as the store does, and another cache is given it."""
    first = cached(Counting())
    told = first.evaluate(jobs("x*log(y)", "x*y", seed=4))
    memory = first.take_new()
    inner = Counting()
    second = cached(inner, memory)
    assert second.evaluate(jobs("x*log(y)", "x*y", seed=4)) == told
    assert inner.asked == []
    assert second.take_new() == {}
    second.evaluate(jobs("x*y", seed=5))
    assert inner.asked == ["x*y"]


def test_what_was_judged_is_given_to_the_store_once() -> None:
    cache = cached(Counting())
    cache.evaluate(jobs("x*log(y)", "x*y", "y*x"))
    taken = cache.take_new()
    assert sum(len(marks) for marks in taken.values()) == 2
    assert cache.take_new() == {}


def test_hits_are_counted() -> None:
    count = StageCount()
    cache = Cached("context", no_lookup, Counting(), POINTS, count)
    cache.evaluate(jobs("x*log(y)", "x*y", "y*x"))
    cache.evaluate(jobs("x*y"))
    assert (count.candidates, count.rejected) == (4, 2)


def full(memory: Memory, inner: Counting, training: TrainingConfig = SHORT, config: FunnelConfig | None = None) -> Funnel:
    return Funnel(digits(), training, config or FunnelConfig(), lambda counts: inner, remembered(memory))


def test_what_lacks_a_variable_is_not_taken_for_a_loss_that_trains_alike_but_has_both() -> None:
    """log(y) + x - x has the derivative of log(y); the paper gives 0 to the one and trains the other, in either order."""
    for first, second in (("log(y)", "log(y) + x - x"), ("log(y) + x - x", "log(y)")):
        inner = Counting()
        funnel = full({}, inner)
        outcomes = {text: funnel.evaluate(jobs(text))[0] for text in (first, second)}
        assert outcomes["log(y)"].fingerprint == outcomes["log(y) + x - x"].fingerprint
        assert outcomes["log(y)"].status is Status.REJECTED
        assert outcomes["log(y) + x - x"].status is Status.TRAINED
        assert inner.asked == ["log(y) + x - x"]
        assert [o.status for marks in funnel.cached.take_new().values() for o in marks.values()] == [Status.TRAINED]


def test_rejects_of_the_later_stages_are_remembered() -> None:
    """The second evaluation reaches neither the derivative nor the descent stage."""
    funnel = full({}, Counting(), config=FunnelConfig(derivative=True, descent=True))
    texts = ("x*sqrt(-1 - y)", "x - x*log(y)")
    first = funnel.evaluate(jobs(*texts))
    assert [outcome.stage for outcome in first] == [Stage.DERIVATIVE, Stage.DESCENT]
    funnel.take_counts()
    assert funnel.evaluate(jobs(*texts)) == first
    counts = funnel.take_counts()
    assert (counts[Stage.CACHE].candidates, counts[Stage.CACHE].rejected) == (2, 2)
    assert counts[Stage.DERIVATIVE].candidates == counts[Stage.DESCENT].candidates == 0


@pytest.mark.parametrize(
    "changed",
    [{"steps": 31}, {"learning_rates": (0.3,)}, {"momentum": 0.9}, {"class_reduction": "mean"}, {"eps": 1e-6}],
    ids=str,
)
def test_another_training_does_not_share_outcomes(changed: dict[str, Any]) -> None:
    first = full({}, Counting())
    first.evaluate(jobs("x*log(y)"))
    memory = first.cached.take_new()
    same, other = Counting(), Counting()
    full(memory, same).evaluate(jobs("x*log(y)"))
    full(memory, other, TrainingConfig.model_validate(SHORT.model_dump() | changed)).evaluate(jobs("x*log(y)"))
    assert (same.asked, other.asked) == ([], ["x*log(y)"])


def test_other_data_or_other_stages_do_not_share_outcomes() -> None:
    first = full({}, Counting())
    first.evaluate(jobs("x - x*log(y)"))
    memory, other = first.cached.take_new(), Counting()
    shuffled = load_task("digits", {"split_seed": 1})
    Funnel(shuffled, SHORT, FunnelConfig(), lambda counts: other, remembered(memory)).evaluate(jobs("x - x*log(y)"))
    assert other.asked == ["x - x*log(y)"]
    strict = full(memory, Counting(), config=FunnelConfig(descent=True)).evaluate(jobs("x - x*log(y)"))
    assert strict[0].status is Status.REJECTED


def test_a_remembered_training_is_the_training_itself() -> None:
    """With real trainings: what a second run takes from memory is what training anew gives."""
    build = lambda memory: Funnel(  # noqa: E731
        digits(), SHORT, FunnelConfig(), lambda counts: LocalEvaluator(digits(), SHORT, "cpu", counts), remembered(memory)
    )
    first = build({})
    texts = ("x*log(y)", "x*y", "x*sqrt(-1 - y)")
    told = first.evaluate(jobs(*texts))
    second = build(first.cached.take_new())
    assert second.evaluate(jobs(*texts)) == told == build({}).evaluate(jobs(*texts))
    assert second.take_counts()[Stage.TRAINING].candidates == 0


class Interrupted(Counting):
    """Is killed after the first of its outcomes."""

    def evaluate(self, jobs: Sequence[Job], on_outcomes: OnOutcomes = unheard) -> list[Outcome]:
        (first,) = super().evaluate(jobs[:1], on_outcomes)
        raise KeyboardInterrupt(first)


def test_what_is_known_can_be_taken_before_the_rest_is() -> None:
    memory: Memory = {}
    first = cached(Interrupted())

    def remember(_: Mapping[int, Outcome]) -> None:
        memory.update(first.take_new())

    with pytest.raises(KeyboardInterrupt):
        first.evaluate(jobs("x*log(y)", "x*y"), remember)
    inner = Counting()
    assert cached(inner, memory).evaluate(jobs("x*log(y)", "x*y"))[0].fitness == 0.5
    assert inner.asked == ["x*y"]
