"""Candidates that are trained: the ladder of learning rates, models that cannot be stacked, and trainings that fail."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from candidates import digits, jobs
from fakes import FakeExecutor
from glo.evaluation import TrainingEvaluator, evaluate
from glo.execution import InlineExecutor
from glo.expr import parse
from glo.records import (
    Failure,
    FunnelCounts,
    Outcome,
    Result,
    Stage,
    Status,
    Training,
    TrainingConfig,
    TrainingResult,
    new_counts,
)
from glo.tasks import Split, Task
from glo.training import train_single

SHORT = TrainingConfig(steps=30, learning_rates=(0.3,))


def linear() -> nn.Module:
    return nn.Linear(64, 10)


class BranchesOnData(nn.Module):
    """Branches on the values of its outputs, which `torch.func.vmap` cannot do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.layer(inputs)
        return outputs if bool((outputs.sum() > 1e9).logical_not()) else outputs * 2


class Gated(nn.Sequential):
    """A part of a larger model that cannot be stacked."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 64), BranchesOnData())


class FailsOnBatches(nn.Module):
    """Raises an error when it is trained on more than the two samples that a model is checked with."""

    def __init__(self, error: Exception, stackable: bool = True) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10) if stackable else BranchesOnData()
        self.error = error

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training and len(inputs) > 2:
            raise self.error
        return self.layer(inputs)


def with_model(model: Callable[[], nn.Module], name: str = "own") -> Task:
    return dataclasses.replace(digits(), name=name, model=model)


def trained(
    task: Task, texts: tuple[str, ...], training: TrainingConfig = SHORT, counts: FunnelCounts | None = None
) -> list[Outcome]:
    """The outcomes of losses that are trained in this process."""
    return evaluate(TrainingEvaluator(task, training, InlineExecutor(), counts), jobs(*texts))


def test_the_ladder_takes_the_rate_of_the_best_validation() -> None:
    """Each rate alone, then the whole ladder: the best fitness, and the rate that reached it."""
    rates = (1e-4, 0.3, 1e4)
    texts = ("x*log(y)", "2*x*log(y)", "x*log(y) + (1 - x)*log(1 - y)")
    alone = {
        rate: trained(digits(), texts, TrainingConfig(steps=30, learning_rates=(rate,))) for rate in rates
    }  # fmt: skip
    for position, outcome in enumerate(trained(digits(), texts, TrainingConfig(steps=30, learning_rates=rates))):
        fitness = {rate: alone[rate][position].fitness for rate in rates}
        assert outcome.learning_rate == 0.3 == max(rates, key=lambda rate: fitness[rate])
        assert outcome.fitness == pytest.approx(fitness[0.3], abs=0.02)
        assert outcome.fitness > fitness[1e-4] + 0.1


def test_the_order_of_the_ladder_does_not_matter() -> None:
    up, down = (
        trained(digits(), ("x*log(y)", "x*y"), TrainingConfig(steps=30, learning_rates=rates))
        for rates in ((0.01, 0.1, 1.0), (1.0, 0.1, 0.01))
    )
    assert [outcome.learning_rate for outcome in up] == [outcome.learning_rate for outcome in down]
    assert [outcome.fitness for outcome in up] == pytest.approx([outcome.fitness for outcome in down], abs=0.02)


def test_a_loss_that_diverges_at_one_rate_has_the_fitness_of_the_others() -> None:
    """At 1e38 it overflows in the first steps."""
    training = TrainingConfig(steps=30, learning_rates=(1e38, 0.3))
    (outcome,) = trained(digits(), ("x*log(y)",), training)
    assert trained(digits(), ("x*log(y)",), TrainingConfig(steps=30, learning_rates=(1e38,)))[0].status is Status.DIVERGED
    assert (outcome.status, outcome.learning_rate) == (Status.TRAINED, 0.3)
    assert outcome.fitness > 0.3


@pytest.mark.parametrize("text", ["x*sqrt(-1 - y)", "x*sqrt(y - 2)", "x/(y - y)*y"])
def test_divergence_at_every_rate_is_fitness_0(text: str) -> None:
    """Also for a single training, which is not stacked."""
    for rates in ((0.01,), (0.01, 1.0)):
        (outcome,) = trained(digits(), (text,), TrainingConfig(steps=10, learning_rates=rates))
        assert (outcome.status, outcome.stage, outcome.fitness) == (Status.DIVERGED, Stage.TRAINING, 0.0)
        assert outcome.learning_rate is None
        assert "NaN" in outcome.reason


def test_a_training_at_chance_is_stopped_but_one_that_learns_at_another_rate_is_not() -> None:
    """At 1e-6 nothing is learned, but at the other rate of the ladder."""
    hopeless = TrainingConfig(steps=40, learning_rates=(1e-6,), early_stop=0.5)
    ladder = TrainingConfig(steps=40, learning_rates=(1e-6, 0.3), early_stop=0.5)
    (stopped,), (learned,) = trained(digits(), ("x*log(y)",), hopeless), trained(digits(), ("x*log(y)",), ladder)
    assert (stopped.status, stopped.stage) == (Status.STOPPED, Stage.EARLY_STOP)
    assert (learned.status, learned.learning_rate) == (Status.TRAINED, 0.3)


@pytest.mark.parametrize("texts", [("x*log(y)",), ("x*log(y)", "x*sqrt(y)", "x*y")])
def test_fitness_is_the_validation_metric_of_a_plain_training(texts: tuple[str, ...]) -> None:
    """That of `train_single`; one or two predictions may differ because of rounding."""
    for text, outcome in zip(texts, trained(digits(), texts), strict=True):
        plain = train_single(digits(), Training(parse(text), 0.3), SHORT, seed=0)
        assert outcome.fitness == pytest.approx(plain.validation, abs=0.011)


def test_a_metric_below_zero_counts_as_zero() -> None:
    """R2 is negative for a network that predicts worse than the mean."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(60, 3, generator=generator)
    split = Split(inputs, inputs.sum(1, keepdim=True))
    task = Task("plane", lambda: nn.Linear(3, 1), split, split, link="identity")
    worse, better = trained(task, ("square(x - y)", "-square(x - y)"), TrainingConfig(steps=5, learning_rates=(0.1,)))
    assert (worse.status, worse.fitness) == (Status.TRAINED, 0.0)
    assert better.fitness > 0.5


@pytest.mark.parametrize(
    ("model", "module"),
    [(BranchesOnData, "the model itself (BranchesOnData)"), (Gated, "'3' (BranchesOnData)")],
)
def test_networks_that_cannot_be_stacked_are_trained_one_by_one_and_the_log_names_the_module(
    model: Callable[[], nn.Module], module: str, caplog: pytest.LogCaptureFixture
) -> None:
    task = with_model(model, "branching")
    with caplog.at_level(logging.WARNING, logger="glo"):
        outcomes = trained(task, ("x*log(y)", "x*sqrt(y)", "x*sqrt(-1 - y)"))
    (record,) = caplog.records
    assert "branching" in record.getMessage()
    assert module in record.getMessage()
    assert [outcome.status for outcome in outcomes] == [Status.TRAINED, Status.TRAINED, Status.DIVERGED]
    for text, outcome in zip(("x*log(y)", "x*sqrt(y)"), outcomes, strict=False):
        assert outcome.fitness == train_single(task, Training(parse(text), 0.3), SHORT, seed=0).validation


def test_nothing_is_logged_for_a_model_that_can_be_stacked(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="glo"):
        trained(with_model(linear), ("x*log(y)", "x*y"))
    assert not caplog.records


@pytest.mark.parametrize("stackable", [True, False], ids=["stacked", "one by one"])
@pytest.mark.parametrize("texts", [("x*log(y)",), ("x*log(y)", "x*y")], ids=["one", "two"])
def test_a_training_that_raises_is_an_outcome(stackable: bool, texts: tuple[str, ...]) -> None:
    """As when memory runs out: an outcome "crashed" with type, first line and place of the error."""
    task = with_model(lambda: FailsOnBatches(RuntimeError("out of memory\nand more"), stackable))
    for text, outcome in zip(texts, trained(task, texts), strict=True):
        assert (outcome.expression, outcome.status, outcome.stage) == (text, Status.CRASHED, Stage.TRAINING)
        assert (outcome.fitness, outcome.learning_rate) == (0.0, None)
        assert outcome.reason.startswith("RuntimeError: out of memory (in forward, ")


def test_an_error_without_a_message_is_an_outcome_too() -> None:
    """Its reason is the type of the error."""
    (outcome,) = trained(with_model(lambda: FailsOnBatches(RuntimeError(), stackable=False)), ("x*log(y)",))
    assert outcome.status is Status.CRASHED
    assert outcome.reason.startswith("RuntimeError (in forward, ")


def test_crashes_are_counted_as_rejected() -> None:
    counts = new_counts()
    task = with_model(lambda: FailsOnBatches(RuntimeError("no"), stackable=False))
    trained(task, ("x*log(y)", "x*y"), counts=counts)
    assert (counts[Stage.TRAINING].candidates, counts[Stage.TRAINING].rejected) == (2, 2)


def test_convolutions_are_trained_on_a_cpu_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """One by one, because that is faster; it is not a failure, so nothing is logged."""
    task = with_model(
        lambda: nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 10))
    )
    with caplog.at_level(logging.WARNING, logger="glo"):
        outcomes = trained(task, ("x*log(y)", "x*y"))
    assert not caplog.records
    for text, outcome in zip(("x*log(y)", "x*y"), outcomes, strict=True):
        assert outcome.fitness == train_single(task, Training(parse(text), 0.3), SHORT, seed=0).validation


class Scripted(FakeExecutor):
    """Returns given results for the trainings, one by one, the last first."""

    def __init__(self, *results: Result) -> None:
        rest = iter(results)
        super().__init__(lambda training, seed: next(rest), one_by_one=True)


def test_a_training_that_takes_too_long_is_timed_out_and_one_whose_process_dies_has_crashed() -> None:
    counts = new_counts()
    late, killed = (
        Failure(Status.TIMED_OUT, "not ended after 5 s"),
        Failure(Status.CRASHED, "its process was killed by SIGKILL"),
    )
    evaluator = TrainingEvaluator(digits(), SHORT, Scripted(late, killed), counts)
    outcomes = evaluate(evaluator, jobs("x*log(y)", "x*y"))
    for outcome, failure in zip(outcomes, (late, killed), strict=True):
        assert (outcome.status, outcome.reason) == (failure.status, failure.reason)
        assert (outcome.stage, outcome.fitness, outcome.learning_rate) == (Stage.TRAINING, 0.0, None)
    assert (counts[Stage.TRAINING].candidates, counts[Stage.TRAINING].rejected) == (2, 2)


TWO_RATES = TrainingConfig(steps=30, learning_rates=(0.1, 0.3))
LATE, KILLED = Failure(Status.TIMED_OUT, "late"), Failure(Status.CRASHED, "killed")


@pytest.mark.parametrize(
    ("ladder", "status", "fitness", "rate"),
    [
        ((TrainingResult(0.4), TrainingResult(0.6)), Status.TRAINED, 0.6, 0.3),
        ((TrainingResult(0.4), TrainingResult(0.0, diverged=True)), Status.TRAINED, 0.4, 0.1),
        ((TrainingResult(0.9, stopped=True), TrainingResult(0.2)), Status.TRAINED, 0.2, 0.3),
        ((TrainingResult(0.1, stopped=True), TrainingResult(0.0, diverged=True)), Status.STOPPED, 0.1, 0.1),
        ((LATE, TrainingResult(0.2)), Status.TRAINED, 0.2, 0.3),
        ((LATE, TrainingResult(0.0, diverged=True)), Status.DIVERGED, 0.0, None),
        ((LATE, KILLED), Status.TIMED_OUT, 0.0, None),
        ((KILLED, LATE), Status.CRASHED, 0.0, None),
    ],
)
def test_the_best_of_a_ladder_counts(
    ladder: tuple[Result, Result], status: Status, fitness: float, rate: float | None
) -> None:
    """One that was trained to the end before one that was stopped, and that before one that diverged or failed."""
    (outcome,) = evaluate(TrainingEvaluator(digits(), TWO_RATES, Scripted(*ladder)), jobs("x*log(y)"))
    assert (outcome.status, outcome.fitness, outcome.learning_rate) == (status, fitness, rate)


def test_an_outcome_is_returned_as_soon_as_its_whole_ladder_is_trained() -> None:
    """Results come one by one, the last first: the second job ends before the first one starts."""
    evaluator = TrainingEvaluator(digits(), TWO_RATES, Scripted(*map(TrainingResult, (0.1, 0.2, 0.3, 0.4))))
    evaluator.submit(dict(enumerate(jobs("x*log(y)", "x*y"))))
    returned = [evaluator.next() for _ in range(2)]
    assert [{key: outcome.fitness for key, outcome in outcomes.items()} for outcomes in returned] == [{1: 0.4}, {0: 0.2}]


def test_the_trainings_of_a_job_have_its_seed() -> None:
    executor = FakeExecutor()
    evaluate(TrainingEvaluator(digits(), TWO_RATES, executor), jobs("x*log(y)", seed=5) + jobs("x*y", seed=6))
    losses = [(str(training.expression), training.learning_rate, seed) for training, seed in executor.submitted]
    assert losses == [("x*log(y)", 0.1, 5), ("x*log(y)", 0.3, 5), ("x*y", 0.1, 6), ("x*y", 0.3, 6)]
