"""Every loss that a study hands out trains as its search did: for each link, class reduction and eps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from glo.cli.app import app
from glo.errors import ConfigError
from glo.expr import parse
from glo.loss import LINKS, ExpressionLoss
from glo.records import Link, Training, derive_seed
from glo.search import Shortlist
from glo.study import Study, StudyResult, load_study
from glo.tasks import Task
from glo.training import train_single
from glo.training.schedule import batches

RATE, STEPS, MOMENTUM = 0.1, 8, 0.5
LOSSES = {
    Link.SOFTMAX: ["log(y) - x/y", "x*sqrt(y)"],
    Link.SIGMOID: ["log(y) - x/y", "x*log(y) + (1 - x)*log(1 - y)"],
    Link.IDENTITY: ["-square(x - y)", "-abs(x - y)"],
}
Slope = Callable[[Tensor, Tensor], Tensor]  # from outputs and targets to the gradient of the loss in the outputs


def closeness(predictions: Tensor, targets: Tensor) -> Tensor:
    """A metric that every change of a weight changes."""
    x = targets if targets.is_floating_point() else nn.functional.one_hot(targets, 3)
    return 1 / (1 + (predictions - x).square().mean())


def task_of(link: Link) -> Task:
    inputs = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    values = inputs[:, :3] + inputs[:, 1:]
    targets = {Link.SOFTMAX: values.argmax(1), Link.SIGMOID: (values > 0).float(), Link.IDENTITY: values}[link]
    train, validation = ((inputs[part], targets[part]) for part in (slice(40), slice(40, 60)))
    return Task("three", lambda: nn.Linear(4, 3), train, validation, metric=closeness, link=link)


@dataclass(frozen=True)
class Searched:
    """A study of two losses."""

    study: Study
    task: Task
    result: StudyResult

    def oracle(self, expression: str) -> list[float]:
        """The validation metric after each step of glo's readable training."""
        config = self.result.config.training.whole.model_copy(update={"curve_every": 1})
        return [score for _, score in train_single(self.task, Training(parse(expression), RATE), config, 0).curve]

    def plain_loop(self, slope: Slope) -> list[float]:
        """The same of a user's own loop, with the same initial weights and batches."""
        train, validation = self.task.split("train"), self.task.split("validation")
        with torch.random.fork_rng():
            torch.manual_seed(derive_seed(0, "init"))
            network = self.task.model()
        optimizer = torch.optim.SGD(network.parameters(), RATE, momentum=MOMENTUM)
        scores: list[float] = []
        for batch in batches(len(train), self.result.config.training, 0):
            optimizer.zero_grad()
            outputs = network(train.inputs[batch])
            outputs.backward(slope(outputs, train.targets[batch]))
            optimizer.step()
            with torch.no_grad():
                predictions = LINKS[self.task.link].predict(network(validation.inputs), 1)
            scores.append(self.task.score(predictions, validation.targets))
        return scores

    def exported(self, language: str) -> Callable[..., Any]:
        """The function that `glo export` writes."""
        command = ["export", "--study", self.study.name, "--storage", str(self.study.storage), "--format", language]
        written = CliRunner().invoke(app, command)
        assert written.exit_code == 0, written.output
        space: dict[str, Any] = {}
        exec(written.output, space)  # noqa: S102 - that it runs is the point
        return space["loss"]


def automatic(loss: Callable[..., Tensor]) -> Slope:
    """By PyTorch."""

    def slope(outputs: Tensor, targets: Tensor) -> Tensor:
        leaf = outputs.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(leaf, targets), leaf)
        return gradient

    return slope


def numerical(loss: Callable[..., float], width: float = 1e-5) -> Slope:
    """By central differences in float64: a loss in NumPy has no gradient of its own."""

    def slope(outputs: Tensor, targets: Tensor) -> Tensor:
        z, x = outputs.detach().double().numpy(), targets.numpy()
        x = x.astype("float64") if targets.is_floating_point() else x
        gradient = np.empty_like(z)
        for place in np.ndindex(z.shape):
            step = np.zeros_like(z)
            step[place] = width
            gradient[place] = (loss(z + step, x) - loss(z - step, x)) / (2 * width)
        return torch.tensor(gradient, dtype=torch.float32)

    return slope


@pytest.fixture(params=[(link, r, eps) for link in Link for r in ("sum", "mean") for eps in (1e-7, 0.2)], ids=str)
def searched(request: pytest.FixtureRequest, tmp_path: Path) -> Searched:
    link, reduction, eps = request.param
    unit = str((reduction, eps) == ("sum", 0.2)).lower()  # one of the four has the unit gradient
    settings = [
        f"training.unit_gradient={unit}",
        f"training.class_reduction={reduction}", f"training.eps={eps}", f"training.momentum={MOMENTUM}",
        "training.batch_size=10", "training.early_stop=0", "funnel.derivative=false",
        "funnel.descent=false",
    ]  # fmt: skip
    task = task_of(link)
    study = Study(task, name="searched", storage=tmp_path / "glo.db", settings=settings)
    result = study.run(Shortlist([parse(text) for text in LOSSES[link]]), steps=STEPS, learning_rates=[RATE])
    assert {trial.expression for trial in result.finalists(2)} == {str(parse(text)) for text in LOSSES[link]}
    return Searched(study, task, result)


def test_hand_outs_train_as_the_search_did(searched: Searched) -> None:
    """The module of the study and of its result, and the source in PyTorch and NumPy: the same scores after every step."""
    best = searched.result.best
    expected = searched.oracle(best.expression)
    assert len(expected) == STEPS
    assert expected[-1] == pytest.approx(best.fitness, abs=1e-5)
    for slope in (
        automatic(searched.study.loss()),
        automatic(searched.result.loss()),
        automatic(searched.exported("torch")),
        numerical(searched.exported("numpy")),
    ):
        assert searched.plain_loop(slope) == pytest.approx(expected, abs=2e-5)


def test_finalists_train_as_the_search_did(searched: Searched) -> None:
    for trial in searched.result.finalists(2):
        for loss in (searched.study.loss(trial=trial), searched.result.loss(trial=trial)):
            scores = searched.plain_loop(automatic(loss))
            assert scores == pytest.approx(searched.oracle(trial.expression), abs=2e-5)
            assert scores[-1] == pytest.approx(trial.fitness, abs=2e-5)


def test_a_loss_without_the_options_of_the_search_trains_otherwise(searched: Searched) -> None:
    """So the tests above see each option."""
    training, link = searched.result.config.training, searched.task.link
    defaults = (link, training.class_reduction, training.eps) == (Link.SOFTMAX, "sum", 1e-7)
    scores = searched.plain_loop(automatic(ExpressionLoss(searched.result.expression)))
    assert (scores == pytest.approx(searched.oracle(searched.result.expression), abs=1e-3)) is defaults


@pytest.mark.parametrize("binary", [False, True])
def test_a_handed_out_loss_has_the_weights_of_the_task(binary: bool, tmp_path: Path) -> None:
    """Also where only the record of the study is known, and other options than the task's may be given."""
    inputs = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    labels = (inputs[:, 0] > 0).long()
    options: dict[str, Any] = {"class_weight": [1.0, 3.0]}
    if binary:
        options["link"] = "sigmoid"
    else:
        labels[::7] = -100
        options["ignore_index"] = -100
    task = Task("weighted", lambda: nn.Linear(4, 2 - binary), (inputs, labels), (inputs, labels), **options)
    smoothing = 0.0 if binary else 0.2  # smoothing does not go with the weights of a question
    settings = ["training.early_stop=0", f"training.label_smoothing={smoothing}"]
    study = Study(task, name="weighted", storage=tmp_path / "glo.db", settings=settings)
    study.search(generations=1, population=4, steps=20)
    for loss in (study.loss(), study.best.loss(), load_study("weighted", tmp_path / "glo.db", task=task).loss()):
        assert loss.label_smoothing == smoothing
        if binary:
            assert loss.pos_weight is not None
            assert loss.pos_weight.tolist() == [3.0]
        else:
            assert loss.weight is not None
            assert (loss.weight.tolist(), loss.ignore_index) == ([1.0, 3.0], -100)
    if not binary:
        other = study.loss(weight=torch.tensor([2.0, 1.0])).weight
        assert other is not None
        assert other.tolist() == [2.0, 1.0]
    refused = CliRunner().invoke(app, ["export", "--study", "weighted", "--storage", str(tmp_path / "glo.db")])
    assert isinstance(refused.exception, ConfigError)
    assert "which exported source does not have: use glo.load_study(...).loss()" in str(refused.exception)
