"""Early stopping is off where it would stop the standard loss, and for metrics that it was not made for."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from fakes import FakeExecutor
from glo.evaluation import fair_early_stop
from glo.evaluation.patience import _watched
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Task
from small import certainty, points

CONFIG = TrainingConfig(steps=100, learning_rates=(0.1, 1.0, 10.0), early_stop=0.2, curve_every=5)


def task(metric: object = None) -> Task:
    return Task("points", lambda: nn.Linear(4, 3), points(0), points(1), metric=metric)  # pyright: ignore[reportArgumentType]


def reached(scores: dict[float, float]) -> FakeExecutor:
    """Each training ends with the score of its learning rate."""

    def result(training: Training, seed: int) -> TrainingResult:
        assert seed == 7
        return TrainingResult(scores[training.learning_rate])

    return FakeExecutor(result)


def test_it_stays_on_where_the_standard_loss_is_above_chance_at_one_rate() -> None:
    executor = reached({0.1: 0.3, 1.0: 0.9, 10.0: 0.0})
    assert fair_early_stop(task(), CONFIG, 7, executor) is CONFIG
    assert [(str(t.expression), t.learning_rate) for t, _ in executor.submitted] == [
        ("x*log(y)", 0.1), ("x*log(y)", 1.0), ("x*log(y)", 10.0),
    ]  # fmt: skip


def test_it_is_off_where_the_standard_loss_is_at_chance(caplog: pytest.LogCaptureFixture) -> None:
    chance = task().chance()
    found = fair_early_stop(task(), CONFIG, 7, reached(dict.fromkeys(CONFIG.learning_rates, chance)))
    assert found == CONFIG.model_copy(update={"early_stop": 0.0})
    assert "after 20 of 100 steps the standard loss is at chance too" in caplog.text


@pytest.mark.parametrize("metric", [certainty, "f1_macro", "balanced_accuracy"])
def test_other_metrics_than_the_accuracy_are_never_stopped_early(metric: object) -> None:
    executor = FakeExecutor()
    assert fair_early_stop(task(metric), CONFIG, 7, executor) is CONFIG
    assert not executor.submitted


def test_nothing_is_trained_where_early_stopping_is_off() -> None:
    executor = FakeExecutor()
    config = CONFIG.model_copy(update={"early_stop": 0.0})
    assert fair_early_stop(task(), config, 7, executor) is config
    assert not executor.submitted


@pytest.mark.parametrize("options", [{"schedule": "cosine"}, {"warmup": 0.1}])
@pytest.mark.parametrize(("early", "late", "kept"), [(0.9, 0.0, True), (0.0, 0.9, False)])
def test_a_schedule_that_depends_on_the_length_is_not_shortened(
    options: dict[str, Any], early: float, late: float, kept: bool
) -> None:
    """The metric counts as it is after the steps of early stopping, in a training of full length."""
    config = TrainingConfig.model_validate({**CONFIG.model_dump(), **options})
    executor = FakeExecutor(lambda training, seed: TrainingResult(late, curve=((20, early), (40, late))))
    found = fair_early_stop(task(), config, 7, executor)
    assert found == (config if kept else config.model_copy(update={"early_stop": 0.0}))
    assert _watched(config, 20) == config.model_copy(update={"early_stop": 0.0, "curve_every": 20})
    assert _watched(CONFIG, 20).steps == 20
