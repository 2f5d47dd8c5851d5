"""Studies whose losses may know the class's prior and the progress of the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import glo
from glo.catalog.shelf import shelf
from glo.cli.app import app
from glo.errors import ConfigError
from glo.records import Stage, Status
from glo.tasks import Task

WEIGHTS = ["genetic.weights={prior=3, progress=3}"]
SMALL: Any = {"generations": 2, "population": 8, "steps": 20, "confirm": 2}


@pytest.fixture
def rare() -> Task:
    """Three classes with 40, 15 and 5 training labels."""
    labels = torch.tensor([0] * 40 + [1] * 15 + [2] * 5)
    inputs = torch.randn(60, 6, generator=torch.Generator().manual_seed(0)) + 2 * torch.eye(6)[labels]
    even = torch.arange(60) % 3
    others = torch.randn(60, 6, generator=torch.Generator().manual_seed(1)) + 2 * torch.eye(6)[even]
    return Task("rare", lambda: nn.Linear(6, 3), (inputs, labels), (others, even), (others, even))


def test_a_search_uses_them_and_hands_them_out(rare: Task, tmp_path: Path) -> None:
    study = glo.Study(rare, name="run", storage=tmp_path / "glo.db", settings=WEIGHTS)
    result = study.search(**SMALL)
    using = [trial for trial in result.trials if glo.parse(trial.expression).context]
    assert any(trial.status is Status.TRAINED for trial in using)
    with_prior = next(trial for trial in using if glo.parse(trial.expression).uses("prior"))
    loss = with_prior.loss()
    assert loss.prior is not None
    assert loss.prior.tolist() == pytest.approx([40 / 60, 15 / 60, 5 / 60], rel=1e-5)
    again = glo.load_study("run", tmp_path / "glo.db", task=rare).search(**SMALL)
    assert again.history_digest() == result.history_digest()


def test_the_default_search_has_neither(rare: Task, tmp_path: Path) -> None:
    result = glo.Study(rare, storage=tmp_path / "glo.db").search(**SMALL)
    assert not any(glo.parse(trial.expression).context for trial in result.trials)


def test_a_task_without_class_shares_refuses_prior(tmp_path: Path) -> None:
    inputs = torch.randn(40, 3)
    regression = Task("line", lambda: nn.Linear(3, 1), (inputs, inputs[:, :1]), (inputs, inputs[:, :1]), link="identity")
    with pytest.raises(ConfigError, match=r"genetic.weights has prior, and in regression there are no classes"):
        glo.Study(regression, storage=tmp_path / "glo.db", settings=WEIGHTS).search(**SMALL)
    missing = Task("missing", lambda: nn.Linear(3, 3), (inputs, torch.arange(40) % 2), (inputs, torch.arange(40) % 2))
    with pytest.raises(ConfigError, match="that of class 2 is not above 0: it has no training label"):
        glo.Study(missing, storage=tmp_path / "glo.db", settings=WEIGHTS).search(**SMALL)
    assert not (tmp_path / "glo.db").exists()


def test_a_candidate_that_cannot_know_its_prior_is_rejected(tmp_path: Path) -> None:
    inputs = torch.randn(40, 3)
    regression = Task("line", lambda: nn.Linear(3, 1), (inputs, inputs[:, :1]), (inputs, inputs[:, :1]), link="identity")
    study = glo.Study(regression, storage=tmp_path / "glo.db", preset="paper")  # whose candidates are not screened
    result = study.search(**SMALL, start=["-prior*square(x - y)"])
    (outcome,) = [outcome for outcome in result.history[0].outcomes if "prior" in outcome.expression]
    assert (outcome.status, outcome.stage) == (Status.REJECTED, Stage.STRUCTURE)
    assert "in regression there are no classes" in outcome.reason


def test_the_shelf_has_class_balanced_losses_where_classes_differ(rare: Task) -> None:
    assert "class_balanced" in shelf("softmax", 3, prior=rare.prior)
    assert "class_balanced" not in shelf("softmax", 3, prior=(0.4, 0.3, 0.3))
    assert "class_balanced" not in shelf("softmax", 3)


def test_an_objective_gives_the_prior_itself(tmp_path: Path) -> None:
    seen: list[bool] = []

    def judge(trial: glo.Trial) -> float:
        loss = trial.loss(prior=[0.5, 0.3, 0.2])
        loss.progress = 0.5
        seen.append(loss.prior is not None)
        z = torch.zeros(4, 3, requires_grad=True)
        loss(z, torch.tensor([0, 1, 2, 0])).backward()
        assert z.grad is not None
        return float(z.grad.abs().sum().clamp(max=1.0))

    study = glo.Study(judge, classes=3, storage=tmp_path / "glo.db", settings=WEIGHTS)
    study.search(trials=30, population=8)
    assert True in seen
    assert False in seen


def test_export_writes_the_priors_of_the_study(rare: Task, tmp_path: Path) -> None:
    study = glo.Study(rare, name="run", storage=tmp_path / "glo.db", settings=[*WEIGHTS, "genetic.start=['x*log(y)/prior']"])
    study.search(**{**SMALL, "generations": 1, "population": 2})
    shown = CliRunner().invoke(app, ["show", "x*log(y)/prior", "--json"])
    assert shown.exit_code == 0, shown.output
    best = next(trial for trial in study.trials if trial.expression == "x*log(y)/prior")
    z, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    from glo.loss import source

    namespace: dict[str, Any] = {}
    exec(source(best.trained, prior=best.prior), namespace)  # noqa: S102 - running the exported code is the test
    assert float(namespace["loss"](z, target)) == pytest.approx(float(best.loss()(z, target)), rel=1e-5)
