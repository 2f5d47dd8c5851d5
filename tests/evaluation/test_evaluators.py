"""What every evaluator must do: training alone and the funnel, in this process and in forked ones.

The task and the losses are real; trainings are short.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

import numpy as np
import pytest
import torch

from candidates import BAD, GOOD, SHORT, digits, jobs
from glo.evaluation import Evaluator, Funnel, TrainingEvaluator, evaluate
from glo.evaluation.protocol import Key
from glo.execution import Executor, ForkingExecutor, InlineExecutor, can_fork
from glo.expr import parse
from glo.records import FunnelConfig, FunnelCounts, Job, Outcome, Stage, Status, new_counts

forking = pytest.mark.skipif(not can_fork("cpu"), reason="forking is not safe here (no Linux, or a GPU in sight)")
EVALUATORS: dict[str, Callable[[Executor, FunnelCounts], Evaluator]] = {
    "training": lambda executor, counts: TrainingEvaluator(digits(), SHORT, executor, counts),
    # With memory for a few networks at a time.
    "in chunks": lambda executor, counts: TrainingEvaluator(
        digits(), SHORT.model_copy(update={"memory_mb": 1}), executor, counts
    ),
    # Structure and cache only, as in the paper.
    "funnel": lambda executor, counts: Funnel(digits(), SHORT, FunnelConfig(), executor, counts=counts),
    "all checks": lambda executor, counts: Funnel(
        digits(), SHORT, FunnelConfig(derivative=True, descent=True), executor, counts=counts
    ),
}
EXECUTORS: dict[str, Callable[[], Executor]] = {
    "inline": InlineExecutor,
    "2 processes": lambda: ForkingExecutor(2),
    "20 processes": lambda: ForkingExecutor(20),
}


def case(evaluator: str, executor: str) -> object:
    marks = () if executor == "inline" else forking
    return pytest.param((evaluator, executor), id=f"{evaluator}, {executor}", marks=marks)


INLINE = [case(evaluator, "inline") for evaluator in EVALUATORS]
FORKED = [case(evaluator, "2 processes") for evaluator in ("training", "all checks")]
MANY = [case(evaluator, "20 processes") for evaluator in ("training", "all checks")]
Kind = tuple[str, str]  # of evaluator and executor
every_kind = pytest.mark.parametrize("kind", [*INLINE, *FORKED])


@contextmanager
def made(kind: Kind, counts: FunnelCounts | None = None) -> Iterator[Evaluator]:
    """A new evaluator, closed at the end."""
    evaluator, executor = kind
    with closing(EVALUATORS[evaluator](EXECUTORS[executor](), new_counts() if counts is None else counts)) as new:
        yield new


def fresh(kind: Kind, wanted: list[Job]) -> list[Outcome]:
    """The outcomes of a new evaluator."""
    with made(kind) as evaluator:
        return evaluate(evaluator, wanted)


@functools.cache
def known(kind: Kind) -> list[Outcome]:
    """The outcomes of the good losses, then of the bad ones; evaluated once for all tests."""
    return fresh(kind, jobs(*GOOD, *BAD))


@functools.cache
def alone(name: str) -> dict[str, Outcome]:
    """The outcomes of the same losses by text, each evaluated by itself in this process."""
    return {text: fresh((name, "inline"), jobs(text))[0] for text in (*GOOD, *BAD)}


def drain(evaluator: Evaluator, count: int) -> dict[Key, Outcome]:
    """The next outcomes, so many of them."""
    found: dict[Key, Outcome] = {}
    while len(found) < count:
        outcomes = evaluator.next()
        assert outcomes, "next() returned no outcome"
        assert not found.keys() & outcomes.keys(), "an outcome was returned twice"
        found |= outcomes
    return found


def submit(evaluator: Evaluator, wanted: Mapping[int, str]) -> None:
    """Submit losses one by one."""
    for number, text in wanted.items():
        evaluator.submit({number: Job(parse(text), 0)})


@every_kind
def test_outcomes_are_in_the_order_of_the_jobs_under_the_text_that_was_submitted(kind: Kind) -> None:
    assert [outcome.expression for outcome in known(kind)] == [str(parse(text)) for text in (*GOOD, *BAD)]


@every_kind
def test_the_order_of_the_jobs_does_not_matter_to_their_outcomes(kind: Kind) -> None:
    by_text = {outcome.expression: outcome for outcome in known(kind)}
    for outcome in fresh(kind, jobs(*reversed((*GOOD, *BAD)))):
        assert outcome.status == by_text[outcome.expression].status
        assert outcome.fitness == pytest.approx(by_text[outcome.expression].fitness, abs=0.02)


@every_kind
def test_good_losses_are_trained_and_get_their_validation_accuracy(kind: Kind) -> None:
    for outcome in known(kind)[: len(GOOD)]:
        assert outcome.status is Status.TRAINED
        assert 0.3 < outcome.fitness <= 1
        assert outcome.learning_rate in SHORT.learning_rates
        assert outcome.reason == ""


@every_kind
def test_bad_losses_are_outcomes_with_a_reason_and_not_exceptions(kind: Kind) -> None:
    for outcome in known(kind)[len(GOOD) :]:
        assert 0 <= outcome.fitness < 0.3
        assert outcome.status is Status.TRAINED or outcome.reason


@every_kind
def test_a_loss_that_is_nan_everywhere_has_fitness_0(kind: Kind) -> None:
    outcome = known(kind)[len(GOOD)]
    assert outcome.status in (Status.DIVERGED, Status.REJECTED)
    assert (outcome.fitness, outcome.learning_rate) == (0.0, None)


@every_kind
def test_each_outcome_has_the_fingerprint_of_its_loss(kind: Kind) -> None:
    assert len({outcome.fingerprint for outcome in known(kind)[: len(GOOD)]}) == len(GOOD)
    assert all(len(outcome.fingerprint) == 16 for outcome in known(kind))


@every_kind
def test_each_outcome_is_returned_once(kind: Kind) -> None:
    """Those of duplicates too."""
    wanted = jobs(*GOOD, *BAD, GOOD[0], BAD[-1])
    with made(kind) as evaluator:
        evaluator.submit({100 + number: job for number, job in enumerate(wanted)})
        found = drain(evaluator, len(wanted))
        with pytest.raises(RuntimeError, match="nothing is under way"):
            evaluator.next()
    assert sorted(found) == [100 + number for number in range(len(wanted))]  # pyright: ignore[reportArgumentType]
    assert [found[100 + number] for number in range(len(GOOD + BAD))] == known(kind)


@every_kind
def test_no_jobs_have_no_outcomes(kind: Kind) -> None:
    assert fresh(kind, []) == []


@every_kind
def test_waiting_for_nothing_is_an_error(kind: Kind) -> None:
    with made(kind) as evaluator:
        evaluator.submit({})
        with pytest.raises(RuntimeError, match="nothing is under way"):
            evaluator.next()


@every_kind
def test_duplicates_have_an_outcome_each(kind: Kind) -> None:
    twice = fresh(kind, jobs("x*log(y)", "log(x)", "x*log(y)", "log(x)", "log(y)*x"))
    assert [outcome.expression for outcome in twice] == ["x*log(y)", "log(x)", "x*log(y)", "log(x)", "log(y)*x"]
    assert twice[0] == twice[2]
    assert twice[1] == twice[3]
    assert twice[4].fitness == pytest.approx(twice[0].fitness, abs=0.02)


@every_kind
def test_a_single_job_has_one_outcome(kind: Kind) -> None:
    (outcome,) = fresh(kind, jobs("x*log(y)"))
    assert (outcome.expression, outcome.status) == ("x*log(y)", Status.TRAINED)


@every_kind
def test_it_can_be_used_again(kind: Kind) -> None:
    with made(kind) as evaluator:
        evaluate(evaluator, jobs(*GOOD, *BAD))
        assert evaluate(evaluator, jobs(*GOOD, *BAD)) == known(kind)


@every_kind
def test_the_same_jobs_have_the_same_outcomes(kind: Kind) -> None:
    assert fresh(kind, jobs(*GOOD, *BAD)) == known(kind)


@every_kind
def test_global_random_state_does_not_matter_and_is_left_alone(kind: Kind) -> None:
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 - the global state is what this is about
    before = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    assert fresh(kind, jobs(*GOOD, *BAD)) == known(kind)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == before[1]  # noqa: NPY002


@every_kind
def test_jobs_of_several_seeds_may_be_mixed(kind: Kind) -> None:
    """A job has the outcome that it has among jobs of its own seed; other initial weights give another fitness."""
    mixed = [job for pair in zip(jobs(*GOOD, seed=1), jobs(*GOOD, seed=2), strict=True) for job in pair]
    outcomes = fresh(kind, mixed)
    assert outcomes[::2] == fresh(kind, jobs(*GOOD, seed=1))
    assert outcomes[1::2] == fresh(kind, jobs(*GOOD, seed=2))
    assert [o.fitness for o in outcomes[::2]] != [o.fitness for o in outcomes[1::2]]


@pytest.mark.parametrize("kind", [*INLINE, *FORKED, *MANY])
def test_candidates_submitted_one_by_one_have_the_outcomes_of_each_alone(kind: Kind) -> None:
    texts = [*GOOD, *BAD]
    with made(kind) as evaluator:
        submit(evaluator, {100 + number: text for number, text in enumerate(texts)})
        found = drain(evaluator, len(texts))
    assert sorted(found) == [100 + number for number in range(len(texts))]  # pyright: ignore[reportArgumentType]
    for number, text in enumerate(texts):
        outcome, expected = found[100 + number], alone(kind[0])[text]
        assert (outcome.expression, outcome.fingerprint) == (expected.expression, expected.fingerprint)
        assert (outcome.status, outcome.stage, outcome.reason) == (expected.status, expected.stage, expected.reason)
        assert outcome.fitness == pytest.approx(expected.fitness, abs=0.02)
        assert outcome.fitness < 0.3 or text in GOOD


@every_kind
def test_candidates_may_be_submitted_when_others_have_ended(kind: Kind) -> None:
    """As a steady-state search does."""
    ended: list[Key] = []
    with made(kind) as evaluator:
        assert evaluator.slots >= 1
        submitted = 0
        while len(ended) < 6:
            while submitted < 6 and submitted - len(ended) < evaluator.slots:
                submit(evaluator, {submitted: GOOD[submitted % len(GOOD)]})
                submitted += 1
            ended += evaluator.next()
    assert sorted(ended) == list(range(6))  # pyright: ignore[reportArgumentType]


@every_kind
def test_the_same_candidate_may_be_under_way_twice(kind: Kind) -> None:
    with made(kind) as evaluator:
        submit(evaluator, {0: "x*log(y)", 1: "x*log(y)"})
        found = drain(evaluator, 2)
    assert found[0] == found[1]


@every_kind
def test_trainings_are_counted_with_their_seconds(kind: Kind) -> None:
    counts = new_counts()
    with made(kind, counts) as evaluator:
        submit(evaluator, dict(enumerate(GOOD)))
        drain(evaluator, len(GOOD))
    assert counts[Stage.EARLY_STOP].candidates == counts[Stage.TRAINING].candidates == len(GOOD)
    assert counts[Stage.TRAINING].seconds > 0


@every_kind
def test_closing_gives_up_the_candidates_under_way_and_it_can_be_used_again(kind: Kind) -> None:
    """A candidate that was given up is trained when it is submitted again."""
    with made(kind) as evaluator:
        submit(evaluator, {0: GOOD[0], 1: BAD[-1], 2: GOOD[0], 3: GOOD[1]})
        evaluator.close()
        with pytest.raises(RuntimeError, match="nothing is under way"):
            evaluator.next()
        assert evaluate(evaluator, jobs(*GOOD, *BAD)) == known(kind)
