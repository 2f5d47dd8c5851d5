"""Surveys and judgements of real trainings: what there is to beat, and the comparison that a verdict rests on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import glo
from glo.compare import ComparisonConfig, Finding
from glo.compare.config import ADAPTIVE_LADDER, LADDER
from glo.compare.judging import RATES, judge, survey
from glo.errors import ConfigError, TaskError
from glo.execution import InlineExecutor
from glo.expr import parse
from glo.loss import LINKS
from glo.records import Training, TrainingConfig
from glo.study import Study
from glo.tasks import Task
from glo.training import train_single
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


def test_the_decisions_of_the_test_set_are_those_of_the_networks(study: Study) -> None:
    """Their mean is the accuracy, and each is the network's own."""
    found = study.judge(HOW)
    for row in found.comparison.rows:
        rates = row.sample.rates
        assert rates is not None
        assert len(rates) == row.test_samples == 60
        assert rates.mean() == pytest.approx(row.mean)


@pytest.mark.parametrize("samples", [59, 60, 61])
def test_decisions_of_a_test_set_of_any_size(samples: int) -> None:
    task = task_of(points(2, samples))
    config = TrainingConfig(steps=20, batch_size=20)
    result = train_single(task, Training(parse("x*log(y)"), 0.5), config, 0, test=True)
    count, _, digits = result.right.partition(":")
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(digits), dtype=np.uint8), count=int(count))
    assert int(count) == samples
    assert bits.mean() == pytest.approx(result.test)


def test_a_metric_of_the_whole_set_has_no_decisions() -> None:
    task = task_of(metric="f1_macro")
    result = train_single(task, Training(parse("x*log(y)"), 0.5), TrainingConfig(steps=20), 0, test=True)
    assert result.right == ""


def test_multi_label_decisions() -> None:
    inputs, labels = points(0)
    targets = torch.eye(CLASSES)[labels]
    task = Task(
        "many", lambda: nn.Linear(4, CLASSES), (inputs, targets), (inputs, targets), (inputs, targets), link="sigmoid"
    )
    outputs = torch.randn(60, CLASSES)
    right = task.right(LINKS[task.link].predict(outputs, 1), targets)
    assert right is not None
    assert torch.equal(right.reshape(60, CLASSES), (outputs > 0) == (targets > 0.5))


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
