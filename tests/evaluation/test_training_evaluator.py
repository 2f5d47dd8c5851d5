"""Training on this machine: the ladder of rates, models that cannot be stacked, and trainings that fail."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contracts.evaluator_contract import digits, jobs
from glo.evaluation import LocalEvaluator
from glo.expr import parse
from glo.records import Outcome, Stage, Status, TrainingConfig, new_counts
from glo.tasks import Split, Task
from glo.training import Result, TimedOut, Training, TrainingResult, train_single

SHORT = TrainingConfig(steps=30, learning_rates=(0.3,))


def linear() -> nn.Module:
    return nn.Linear(64, 10)


class BranchesOnData(nn.Module):
    """Looks at its numbers to decide what to do, which `torch.func.vmap` cannot follow."""

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
    """Raises when trained on more samples than the two that a model is tried with."""

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


def judge(task: Task, texts: tuple[str, ...], training: TrainingConfig = SHORT) -> list[Outcome]:
    return LocalEvaluator(task, training).evaluate(jobs(*texts))


def test_the_ladder_takes_the_rate_of_the_best_validation() -> None:
    """Each rate by itself, then all together: the best fitness, and the rate that reached it."""
    rates = (1e-4, 0.3, 1e4)
    texts = ("x*log(y)", "2*x*log(y)", "x*log(y) + (1 - x)*log(1 - y)")
    alone = {
        rate: judge(digits(), texts, TrainingConfig(steps=30, learning_rates=(rate,))) for rate in rates
    }  # fmt: skip
    for position, outcome in enumerate(judge(digits(), texts, TrainingConfig(steps=30, learning_rates=rates))):
        fitness = {rate: alone[rate][position].fitness for rate in rates}
        assert outcome.learning_rate == 0.3 == max(rates, key=lambda rate: fitness[rate])
        assert outcome.fitness == pytest.approx(fitness[0.3], abs=0.02)
        assert outcome.fitness > fitness[1e-4] + 0.1


def test_the_order_of_the_ladder_does_not_matter() -> None:
    up, down = (
        judge(digits(), ("x*log(y)", "x*y"), TrainingConfig(steps=30, learning_rates=rates))
        for rates in ((0.01, 0.1, 1.0), (1.0, 0.1, 0.01))
    )
    assert [outcome.learning_rate for outcome in up] == [outcome.learning_rate for outcome in down]
    assert [outcome.fitness for outcome in up] == pytest.approx([outcome.fitness for outcome in down], abs=0.02)


def test_a_loss_that_diverges_at_one_rate_is_judged_by_the_others() -> None:
    """1e38 overflows at once."""
    training = TrainingConfig(steps=30, learning_rates=(1e38, 0.3))
    (outcome,) = judge(digits(), ("x*log(y)",), training)
    assert judge(digits(), ("x*log(y)",), TrainingConfig(steps=30, learning_rates=(1e38,)))[0].status is Status.DIVERGED
    assert (outcome.status, outcome.learning_rate) == (Status.TRAINED, 0.3)
    assert outcome.fitness > 0.3


@pytest.mark.parametrize("text", ["x*sqrt(-1 - y)", "x*sqrt(y - 2)", "x/(y - y)*y"])
def test_divergence_at_every_rate_is_fitness_0(text: str) -> None:
    """Also for a single training, which is not stacked."""
    for rates in ((0.01,), (0.01, 1.0)):
        (outcome,) = judge(digits(), (text,), TrainingConfig(steps=10, learning_rates=rates))
        assert (outcome.status, outcome.stage, outcome.fitness) == (Status.DIVERGED, Stage.TRAINING, 0.0)
        assert outcome.learning_rate is None
        assert "NaN" in outcome.reason


def test_a_training_at_chance_is_stopped_but_one_that_learns_at_another_rate_is_not() -> None:
    """At 1e-6 nothing is learned; the ladder's other rate saves the loss."""
    hopeless = TrainingConfig(steps=40, learning_rates=(1e-6,), early_stop=0.5)
    ladder = TrainingConfig(steps=40, learning_rates=(1e-6, 0.3), early_stop=0.5)
    (stopped,), (trained,) = judge(digits(), ("x*log(y)",), hopeless), judge(digits(), ("x*log(y)",), ladder)
    assert (stopped.status, stopped.stage) == (Status.STOPPED, Stage.EARLY_STOP)
    assert (trained.status, trained.learning_rate) == (Status.TRAINED, 0.3)


@pytest.mark.parametrize("texts", [("x*log(y)",), ("x*log(y)", "x*sqrt(y)", "x*y")])
def test_fitness_is_the_validation_metric_of_a_plain_training(texts: tuple[str, ...]) -> None:
    """As the readable oracle trains it; a prediction or two may fall otherwise by rounding."""
    for text, outcome in zip(texts, judge(digits(), texts), strict=True):
        plain = train_single(digits(), Training(parse(text), 0.3), SHORT, seed=0)
        assert outcome.fitness == pytest.approx(plain.validation, abs=0.011)


def test_a_metric_below_zero_counts_as_zero() -> None:
    """R2 is negative for a network that predicts worse than the mean."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(60, 3, generator=generator)
    split = Split(inputs, inputs.sum(1, keepdim=True))
    task = Task("plane", lambda: nn.Linear(3, 1), split, split, link="identity")
    worse, better = judge(task, ("square(x - y)", "-square(x - y)"), TrainingConfig(steps=5, learning_rates=(0.1,)))
    assert (worse.status, worse.fitness) == (Status.TRAINED, 0.0)
    assert better.fitness > 0.5


@pytest.mark.parametrize(
    ("model", "module"),
    [(BranchesOnData, "'the model itself' (BranchesOnData)"), (Gated, "'3' (BranchesOnData)")],
)
def test_a_model_that_cannot_be_stacked_is_trained_alone_and_the_log_names_the_module(
    model: Callable[[], nn.Module], module: str, caplog: pytest.LogCaptureFixture
) -> None:
    task = with_model(model, "branching")
    with caplog.at_level(logging.WARNING, logger="glo"):
        outcomes = judge(task, ("x*log(y)", "x*sqrt(y)", "x*sqrt(-1 - y)"))
    (record,) = caplog.records
    assert "branching" in record.getMessage()
    assert module in record.getMessage()
    assert [outcome.status for outcome in outcomes] == [Status.TRAINED, Status.TRAINED, Status.DIVERGED]
    for text, outcome in zip(("x*log(y)", "x*sqrt(y)"), outcomes, strict=False):
        assert outcome.fitness == train_single(task, Training(parse(text), 0.3), SHORT, seed=0).validation


def test_a_model_that_can_be_stacked_is_no_matter_for_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="glo"):
        judge(with_model(linear), ("x*log(y)", "x*y"))
    assert not caplog.records


@pytest.mark.parametrize("stackable", [True, False], ids=["stacked", "alone"])
@pytest.mark.parametrize("texts", [("x*log(y)",), ("x*log(y)", "x*y")], ids=["one", "two"])
def test_a_training_that_raises_is_an_outcome(stackable: bool, texts: tuple[str, ...]) -> None:
    """As it does where memory runs out: an outcome 'crashed' with the first line of the error."""
    task = with_model(lambda: FailsOnBatches(RuntimeError("out of memory\nand more"), stackable))
    for text, outcome in zip(texts, judge(task, texts), strict=True):
        assert (outcome.expression, outcome.status, outcome.stage) == (text, Status.CRASHED, Stage.TRAINING)
        assert (outcome.fitness, outcome.learning_rate, outcome.reason) == (0.0, None, "out of memory")


def test_an_error_without_words_is_an_outcome_too() -> None:
    """`raise RuntimeError` has no first line."""
    (outcome,) = judge(with_model(lambda: FailsOnBatches(RuntimeError(), stackable=False)), ("x*log(y)",))
    assert outcome.status is Status.CRASHED


def test_crashes_are_counted_with_the_failed() -> None:
    counts = new_counts()
    task = with_model(lambda: FailsOnBatches(RuntimeError("no"), stackable=False))
    LocalEvaluator(task, SHORT, "cpu", counts).evaluate(jobs("x*log(y)", "x*y"))
    assert (counts[Stage.TRAINING].candidates, counts[Stage.TRAINING].rejected) == (2, 2)


def test_convolutions_are_trained_on_a_cpu_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """One by one, since they are faster so; that is a choice and not a failure, and nothing is logged."""
    task = with_model(
        lambda: nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 10))
    )
    with caplog.at_level(logging.WARNING, logger="glo"):
        outcomes = judge(task, ("x*log(y)", "x*y"))
    assert not caplog.records
    for text, outcome in zip(("x*log(y)", "x*y"), outcomes, strict=True):
        assert outcome.fitness == train_single(task, Training(parse(text), 0.3), SHORT, seed=0).validation


class Fails:
    """In place of a trainer: some results in words, in an order of its own."""

    def __init__(self, *results: Result) -> None:
        self._results = results

    def parts(
        self, trainings: Sequence[Training], seeds: Sequence[int], test: bool = False
    ) -> Iterator[Mapping[int, Result]]:
        for position in reversed(range(len(trainings))):
            yield {position: self._results[position]}

    def train(self, *_: Any, **__: Any) -> list[Result]:
        return list(self._results)


def test_a_training_that_took_too_long_is_timed_out_and_another_crashed() -> None:
    counts = new_counts()
    trainer = Fails(TimedOut("not ended after 5 s"), "its process was killed by SIGKILL")
    late, crashed = LocalEvaluator(digits(), SHORT, counts=counts, trainer=trainer).evaluate(jobs("x*log(y)", "x*y"))
    assert (late.status, late.reason, late.fitness) == (Status.TIMED_OUT, "not ended after 5 s", 0.0)
    assert (crashed.status, crashed.reason) == (Status.CRASHED, "its process was killed by SIGKILL")
    assert (counts[Stage.TRAINING].candidates, counts[Stage.TRAINING].rejected) == (2, 2)


def test_an_outcome_is_told_as_soon_as_its_whole_ladder_is_trained() -> None:
    """Results come backwards, one by one; the second job is known before the first has begun."""
    results = [TrainingResult(0.1), TrainingResult(0.2), TrainingResult(0.3), TrainingResult(0.4)]
    two_rates = TrainingConfig(steps=30, learning_rates=(0.1, 0.3))
    told: list[dict[int, float]] = []
    LocalEvaluator(digits(), two_rates, trainer=Fails(*results)).evaluate(
        jobs("x*log(y)", "x*y"), lambda outcomes: told.append({i: outcome.fitness for i, outcome in outcomes.items()})
    )
    assert told == [{1: 0.4}, {0: 0.2}]
