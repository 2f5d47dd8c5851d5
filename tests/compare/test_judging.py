"""Surveys and judgements of real trainings: what there is to beat, and the comparison that a verdict rests on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import glo
from glo.compare import ComparisonConfig, Finding
from glo.compare.config import ADAPTIVE_LADDER, LADDER
from glo.compare.judging import RATES, judge, survey
from glo.compare.statistics import Sample, gain
from glo.errors import ConfigError, TaskError
from glo.execution import InlineExecutor
from glo.expr import parse
from glo.records import TrainingConfig
from glo.study import Study
from glo.tasks import Task
from glo.training.jackknife import groups_of
from glo.training.measurement import Measurement, measure
from small import CLASSES, points

HOW = ComparisonConfig(baselines="standard", tuning_seeds=2, repeats=3)
SMALL: Any = {"generations": 2, "population": 8, "steps": 30}


def task_of(test: Any = None, **options: Any) -> Task:
    return Task(
        "points", lambda: nn.Linear(4, CLASSES), points(0), points(1), points(2) if test is None else test, **options
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    found = Study(task_of(), storage=tmp_path_factory.mktemp("judged") / "glo.db")
    found.search(**SMALL)
    return found


def test_a_survey_says_what_there_is_to_beat(study: Study) -> None:
    found = study.survey()
    assert list(found.known)[:3] == ["cross_entropy", "label_smoothing", "focal"]
    assert len(found.known) > 10
    name, best = found.best
    assert best.validation == max(each.validation for each in found.known.values())
    standard = found.known["cross_entropy"]
    assert f"cross_entropy with accuracy {standard.validation:.4f}" in str(found)
    assert name in str(found)
    assert found.to_dict()[name]["validation"] == best.validation
    assert all(rate / 2 in RATES or rate in RATES or rate * 2 in RATES for rate in [standard.learning_rate])


@pytest.mark.parametrize(
    ("options", "ladder"),
    [({"optimizer": "adam"}, ADAPTIVE_LADDER), ({"unit_gradient": False}, LADDER), ({"unit_gradient": True}, RATES)],
)
def test_a_survey_tries_the_rates_that_suit_the_training(options: dict[str, Any], ladder: tuple[float, ...]) -> None:
    training = TrainingConfig(steps=5, batch_size=20, **options)
    found = survey(task_of(), HOW, training, {"where": InlineExecutor()}, lambda label, done, total: None)
    tried = {each.learning_rate for each in found.known.values()}
    assert max(tried) <= 64 * max(ladder)
    assert min(tried) >= min(ladder) / 64
    judged = judge(task_of(), [parse("x*y")], HOW, training, {"where": InlineExecutor()}, lambda label, done, total: None)
    assert judged.comparison.config.ladder == tuple(sorted(ladder))


def test_a_survey_is_the_choice_that_the_judgement_makes(study: Study) -> None:
    surveyed = study.survey(HOW)
    with_it, without = study.judge(HOW, surveyed=surveyed), study.judge(HOW)
    assert with_it.comparison.rows == without.comparison.rows
    assert with_it.verdict == without.verdict


def test_a_judgement_has_the_discovered_loss_first_then_the_baselines(study: Study) -> None:
    found = study.judge(HOW)
    assert [row.name for row in found.comparison.rows] == ["discovered", "cross_entropy", "label_smoothing"]
    first = found.comparison.rows[0]
    assert first.expression in {trial.expression for trial in study.result.finalists(3)}
    assert first.scale == glo.loss.unit_factor(parse(first.expression), classes=CLASSES)
    assert found.verdict.finding in list(Finding)
    assert found.verdict.text in str(found)
    assert "discovered" in str(found.comparison)


def test_the_error_of_the_test_set_is_known(study: Study) -> None:
    for row in study.judge(HOW).comparison.rows:
        left_out = row.sample.left_out
        assert left_out is not None
        assert len(left_out) == row.test_samples == 60  # a small test set: each sample alone
        assert left_out.mean() == pytest.approx(row.mean)


def measured(task: Task, outputs: Tensor, targets: Tensor) -> tuple[float, ...]:
    """The metric on test without each group of samples."""
    validation = Measurement(0.5, diverged=False, fitted=0.5)
    return measure(task, targets, outputs, validation).left_out


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", "balanced_accuracy", "log_loss"])
@pytest.mark.parametrize("samples", [59, 100, 437])
def test_each_number_is_the_metric_of_the_other_samples(metric: str, samples: int) -> None:
    task = task_of(metric=metric)
    targets = torch.arange(samples) % CLASSES
    outputs = torch.randn(samples, CLASSES, generator=torch.Generator().manual_seed(0))
    group = groups_of(samples)
    expected = [task.score(outputs[group != g].softmax(1), targets[group != g]) for g in range(int(group.max()) + 1)]
    assert measured(task, outputs, targets) == pytest.approx(expected)
    assert len(expected) == (samples if samples <= 100 else 40)
    assert group.bincount().max() - group.bincount().min() <= 1


@pytest.mark.parametrize("metric", ["balanced_accuracy", "f1_macro", "log_loss"])
def test_the_error_is_that_over_fresh_test_sets(metric: str) -> None:
    """The root mean square of the jackknife's error is the standard deviation over 200 test sets: within a quarter."""
    task, generator = task_of(metric=metric), torch.Generator().manual_seed(1)
    differences, errors = [], []
    for _ in range(200):
        targets = (torch.rand(150, generator=generator) * torch.rand(150, generator=generator) * CLASSES).long()
        clean = 2.0 * torch.eye(CLASSES)[targets]
        both = [clean + torch.randn(150, CLASSES, generator=generator) for _ in range(2)]
        first, second = (Sample((0.5, 0.6), left_out=np.array(measured(task, each, targets))) for each in both)
        differences.append(task.score(both[0].softmax(1), targets) - task.score(both[1].softmax(1), targets))
        errors.append(gain(first, second).test_error)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(differences), rel=0.25)


def test_an_image_is_left_out_as_a_whole() -> None:
    """One image is labelled wrong at each pixel: without it everything is right."""
    targets = torch.arange(5 * 4 * 4).reshape(5, 4, 4) % CLASSES
    outputs = 9.0 * torch.eye(CLASSES)[targets]  # (N, H, W, C)
    outputs[2] = -outputs[2]
    images = targets.float()[:, None]
    task = Task("pixels", lambda: nn.Conv2d(1, CLASSES, 1), (images, targets), (images, targets), (images, targets))
    found = measured(task, outputs.reshape(-1, CLASSES), targets)
    assert sorted(found) == pytest.approx([0.75] * 4 + [1.0])


def test_a_metric_that_parts_do_not_have() -> None:
    """Without its only positive sample, a test set has no area under the curve."""
    inputs = torch.randn(20, 4)
    labels = (torch.arange(20) == 3).float()[:, None]
    task = Task("one", lambda: nn.Linear(4, 1), *[(inputs, labels)] * 3, link="sigmoid", metric="roc_auc")
    assert measured(task, torch.randn(20, 1), labels) == ()


def test_without_a_test_split_nothing_is_judged(tmp_path: Path) -> None:
    task = Task("points", lambda: nn.Linear(4, CLASSES), points(0), points(1))
    study = Study(task, storage=tmp_path / "glo.db")
    study.search(generations=1, population=4, steps=30, confirm=0)
    with pytest.raises(TaskError, match="no test split"):
        study.judge(HOW)


@pytest.mark.parametrize("call", [lambda study: study.judge(), lambda study: study.survey()])
def test_an_objective_is_not_judged(tmp_path: Path, call: Callable[[Study], Any]) -> None:
    study = Study(lambda trial: 0.5, name="mine", classes=3, storage=tmp_path / "glo.db")
    study.search(trials=2)
    with pytest.raises(ConfigError, match=r"study\.compare\(\)"):
        call(study)


def test_no_finalists(study: Study) -> None:
    with pytest.raises(ConfigError, match="at least 1 finalist"):
        study.judge(HOW, finalists=0)
