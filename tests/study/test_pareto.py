"""Finalists that no other beats in several metrics, each measured in the same trainings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import glo
from glo.errors import ConfigError, TaskError
from glo.expr import parse
from glo.records import PhaseKind, Training, derive_seeds
from glo.study import StudyResult
from glo.study.pareto import non_dominated
from glo.tasks import Task, with_metric
from glo.training import train_population, train_single
from small import points

MakeTask = Callable[..., Task]
SMALL: dict[str, Any] = {"generations": 2, "population": 10, "steps": 20, "confirm": 4}
METRICS = ["accuracy", "ece", "log_loss"]
Values = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=12)


@pytest.fixture(scope="module")
def study(make_task: MakeTask, tmp_path_factory: pytest.TempPathFactory) -> glo.Study:
    study = glo.Study(make_task(), storage=tmp_path_factory.mktemp("pareto") / "glo.db", settings=["confirmation.seeds=4"])
    study.search(**SMALL)
    return study


@given(Values)
def test_non_dominated(rows: list[tuple[int, int, int]]) -> None:
    """Each row that is left out has one on the front that is at least as good; equal rows stay together."""
    front = non_dominated(rows)
    assert front == sorted(front)
    for position, row in enumerate(rows):
        better = [rows[other] for other in front if all(a >= b for a, b in zip(rows[other], row, strict=True))]
        assert (position in front) == all(other == row for other in better)
        assert better


def test_the_front_of_a_study(study: glo.Study) -> None:
    progress: list[tuple[str, int, int]] = []
    front = study.pareto(METRICS, on_progress=lambda *shown: progress.append(shown))
    assert progress[-1] == ("metrics", 16, 16)
    assert front
    confirmed = {t.expression for t in study.trials if t.phase is PhaseKind.CONFIRMATION}
    assert {trial.expression for trial in front} <= confirmed
    accuracies = [trial.metrics["accuracy"] for trial in front]
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[0] == pytest.approx(study.best.fitness, abs=0.02), "the best is confirmed on these seeds"
    for one in front:
        assert list(one.metrics) == METRICS
        for other in front:
            higher = one.metrics["accuracy"] > other.metrics["accuracy"]
            lower = any(one.metrics[error] < other.metrics[error] for error in ("ece", "log_loss"))
            assert one is other or higher or lower or one.metrics == other.metrics


def test_the_values_are_those_of_single_trainings(study: glo.Study, make_task: MakeTask) -> None:
    """All metrics of one network; the other engine agrees."""
    task, trial = make_task(), study.pareto(METRICS)[0]
    training = Training(parse(trial.expression), trial.learning_rate or 0.0)
    config = study.result.config.training.whole.model_copy(update={"metrics": tuple(METRICS)})
    seeds = derive_seeds(study.seed, "finalists", 4)
    singles = [dict(train_single(task, training, config, seed).metrics) for seed in seeds]
    for metric in METRICS:
        assert trial.metrics[metric] == pytest.approx(mean(single[metric] for single in singles), abs=0.01)
    together = [dict(train_population(task, [training], config, seed)[0].metrics) for seed in seeds]
    for metric in METRICS:
        assert [each[metric] for each in together] == pytest.approx([each[metric] for each in singles], abs=0.02)
    without = config.model_copy(update={"metrics": ()})
    plain, measured = train_single(task, training, without, seeds[0]), train_single(task, training, config, seeds[0])
    assert plain.metrics == ()
    assert measured.validation == plain.validation == dict(measured.metrics)["accuracy"]


def test_without_metrics_it_is_fitness_and_size(study: glo.Study) -> None:
    front = study.pareto()
    assert front == study.result.pareto()
    assert [trial.metrics for trial in front] == [{}] * len(front)


def test_the_best_of_a_study_without_a_confirmation(make_task: MakeTask, tmp_path: Path) -> None:
    study = glo.Study(make_task(), storage=tmp_path / "glo.db", settings=["confirmation.seeds=2"])
    result: StudyResult = study.search(**{**SMALL, "confirm": 0})
    front = study.pareto(["log_loss"])
    assert len(front) == 1
    assert front[0].expression in {trial.expression for trial in result.finalists(12)}


def test_a_metric_of_ones_own_has_its_name(make_task: MakeTask) -> None:
    task = make_task()
    assert with_metric(task, "accuracy") is task
    other = with_metric(task, "ece")
    assert (other.metric_name, other.direction, task.metric_name) == ("ece", "minimize", "accuracy")
    assert other.digest() != task.digest()


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        (["acuracy"], TaskError, "not 'acuracy': did you mean 'accuracy'"),
        (["accuracy", "rmse"], TaskError, "'rmse' does not fit the softmax link"),
        (["f_beta:2"], TaskError, "is for two classes"),
        (["ece", "ece"], ConfigError, "each given once"),
        ("ece", ConfigError, r"metrics are names such as \['accuracy', 'ece'\]"),
    ],
)
def test_metrics_that_cannot_be_measured(study: glo.Study, metrics: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        study.pareto(metrics)


def test_an_objective_has_one_score(tmp_path: Path) -> None:
    study = glo.Study(lambda trial: 0.5, name="mine", classes=3, storage=tmp_path / "glo.db")
    study.search(trials=2)
    with pytest.raises(ConfigError, match="objective 'lambda' returns one score"):
        study.pareto(["accuracy", "ece"])


def test_a_loss_without_a_value_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """R2 has none on labels that are all the same."""
    inputs, labels = points(0)
    yes = (labels > 0).float()
    task = Task("one-sided", lambda: nn.Linear(4, 1), (inputs, yes), (inputs[yes > 0], yes[yes > 0]), link="sigmoid")
    settings = ["confirmation.seeds=2", "training.early_stop=0", "training.rungs=[]"]
    study = glo.Study(task, storage=tmp_path / "glo.db", settings=settings)
    study.search(**SMALL)
    assert study.pareto(["accuracy"])
    assert study.pareto(["accuracy", "r2"]) == []
    assert "is left out of the metrics: a metric has no value for it" in caplog.text
