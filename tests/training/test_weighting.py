"""Sample weights, class weights, ignored labels and label smoothing: alone, in a population, and as PyTorch has them."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glo.errors import ConfigError, TaskError
from glo.expr import parse
from glo.loss import ExpressionLoss, PopulationLoss
from glo.records import Link, Training, TrainingConfig, TrainingResult
from glo.tasks import Task, fresh_model
from glo.training import single, train_population, train_single
from glo.training.schedule import batches

SAMPLES, RATE = 60, 0.5
GENERATOR = torch.Generator().manual_seed(1)
INPUTS = torch.randn(SAMPLES, 4, generator=GENERATOR)
CLASSES = (INPUTS[:, 0] > 0).long() + (INPUTS[:, 1] > 0.5).long()
LABELS = torch.stack([INPUTS[:, 0] > 0, INPUTS[:, 2] > 0.3], 1).float()
SOFT = torch.softmax(torch.randn(SAMPLES, 3, generator=GENERATOR), 1)
WEIGHTS = torch.rand(SAMPLES, generator=GENERATOR)
HOLES = CLASSES.masked_fill(torch.rand(SAMPLES, generator=GENERATOR) < 0.3, -100)
TOKENS = (INPUTS[:, :, None] > torch.tensor([0.0, 0.5, 1.0])).long().sum(2)  # four labels a sample
GAPS = TOKENS.masked_fill(torch.rand(SAMPLES, 4, generator=GENERATOR) < 0.3, 255)
LOSSES = ["x*log(y)", "x*log(y) + (1 - x)*log(1 - y)", "x*sqrt(y) - 0.3*square(y)"]


class PerToken(nn.Module):
    """Four outputs for each of four tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 16)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs).unflatten(1, (4, 4))


def linear(outputs: int) -> Any:
    return lambda: nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, outputs))


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "class weights": ({"data": (INPUTS, CLASSES), "outputs": 3, "class_weight": [1.0, 3.0, 0.5]}, {}),
    "balanced": ({"data": (INPUTS, CLASSES), "outputs": 3, "class_weight": "balanced"}, {}),
    "class weights, soft labels": ({"data": (INPUTS, SOFT), "outputs": 3, "class_weight": [1.0, 3.0, 0.5]}, {}),
    "of a question": ({"data": (INPUTS, LABELS[:, 0]), "outputs": 1, "link": "sigmoid", "class_weight": [1.0, 4.0]}, {}),
    "of several labels": ({"data": (INPUTS, LABELS), "outputs": 2, "link": "sigmoid", "class_weight": [1.0, 4.0]}, {}),
    "sample weights": ({"data": (INPUTS, CLASSES, WEIGHTS), "outputs": 3}, {}),
    "sample and class weights": (
        {"data": (INPUTS, CLASSES, WEIGHTS), "outputs": 3, "class_weight": {0: 2.0, 2: 0.1}},
        {"class_reduction": "mean"},
    ),
    "sample weights of a question": (
        {"data": (INPUTS, LABELS[:, :1], WEIGHTS), "outputs": 1, "link": "sigmoid", "class_weight": [2.0, 1.0]},
        {},
    ),
    "sample weights of a regression": ({"data": (INPUTS, INPUTS[:, 1], WEIGHTS), "outputs": 1, "link": "identity"}, {}),
    "ignored": ({"data": (INPUTS, HOLES), "outputs": 3, "ignore_index": -100}, {}),
    "ignored, with class weights": (
        {"data": (INPUTS, HOLES), "outputs": 3, "ignore_index": -100, "class_weight": [1.0, 3.0, 0.5]},
        {"optimizer": "adam", "learning_rates": (0.01,)},
    ),
    "smoothing": ({"data": (INPUTS, CLASSES), "outputs": 3}, {"label_smoothing": 0.2}),
    "smoothing of labels": ({"data": (INPUTS, LABELS), "outputs": 2, "link": "sigmoid"}, {"label_smoothing": 0.2}),
    "smoothing, ignored, class weights": (
        {"data": (INPUTS, HOLES), "outputs": 3, "ignore_index": -100, "class_weight": [1.0, 3.0, 0.5]},
        {"label_smoothing": 0.2, "momentum": 0.9},
    ),
    "tokens": ({"data": (INPUTS, TOKENS), "model": PerToken}, {}),
    "tokens, ignored": ({"data": (INPUTS, GAPS), "model": PerToken, "ignore_index": 255}, {"clip_norm": 0.5}),
    "tokens, all kinds": (
        {"data": (INPUTS, GAPS, WEIGHTS), "model": PerToken, "ignore_index": 255, "class_weight": "balanced"},
        {"label_smoothing": 0.1},
    ),
}


def made(options: dict[str, Any]) -> Task:
    options = dict(options)
    data, outputs = options.pop("data"), options.pop("outputs", 0)
    return Task("case", options.pop("model", linear(outputs)), data, data[:2], **options)


def losses(task: Task) -> list[str]:
    return ["-square(x - y)", "-abs(x - y)"] if task.link is Link.IDENTITY else LOSSES


def plain(task: Task, text: str, config: TrainingConfig, rate: float) -> float:
    """The mean square of the outputs after a loop that a user would write, with `ExpressionLoss` as it is handed out."""
    model = fresh_model(task, 5)
    made_loss = ExpressionLoss(
        text, reduction="none", link=task.link, class_reduction=config.class_reduction, **task.loss_options,
        label_smoothing=config.label_smoothing,
    )  # fmt: skip
    kinds: dict[str, Any] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    options = {"momentum": config.momentum} if config.optimizer == "sgd" else {}
    optimizer = kinds[config.optimizer](model.parameters(), lr=rate, **options)
    for index in batches(SAMPLES, config, 5):
        part: Any = task.train
        outputs, targets = model(part.inputs[index]), part.targets[index]
        found = made_loss(outputs, targets)
        weights = torch.ones(len(index)) if part.weights is None else part.weights[index]
        weights = weights.reshape(-1, *[1] * (found.dim() - 1)).expand_as(found).clone()
        divisors = weights.clone()
        if not targets.is_floating_point():
            weights[targets == task.ignore_index] = 0
            factors = torch.tensor(task.class_weight or [1.0] * outputs.shape[1])
            divisors = weights * factors[targets.clamp(0, outputs.shape[1] - 1)]
        loss = (found * weights).sum() / divisors.sum()
        optimizer.zero_grad()
        loss.backward()
        if config.clip_norm:
            nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        optimizer.step()
    with torch.no_grad():
        outputs = model(task.train.first.inputs)
    return float(outputs.double().square().mean())


@pytest.mark.parametrize("name", CASES)
def test_alone_and_in_a_population(name: str) -> None:
    options, training = CASES[name]
    task = made(options)
    config = TrainingConfig(**{"steps": 12, "batch_size": 16, "learning_rates": (RATE,), **training})
    rate = config.learning_rates[0]
    trainings = [Training(parse(text), rate) for text in losses(task)]
    together = train_population(task, trainings, config, seed=5)
    for one, found in zip(trainings, together, strict=True):
        alone = train_single(task, one, config, seed=5)
        assert isinstance(alone, TrainingResult)
        assert found.validation == pytest.approx(alone.validation, abs=1e-4)
        assert found.diverged == alone.diverged


@pytest.mark.parametrize("name", CASES)
def test_the_outputs_are_those_of_a_plain_loop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options, training = CASES[name]
    task = made(options)
    config = TrainingConfig(**{"steps": 12, "batch_size": 16, "learning_rates": (RATE,), **training})
    rate = config.learning_rates[0]
    found: list[float] = []
    original = single.measure

    def measured(task: Task, targets: Tensor, outputs: Tensor, *further: Any) -> Any:
        found.append(float(outputs.double().square().mean()))
        return original(task, targets, outputs, *further)

    monkeypatch.setattr(single, "measure", measured)
    for text in losses(task):
        found.clear()
        train_single(task, Training(parse(text), rate), config, seed=5)
        assert found[-1] == pytest.approx(plain(task, text, config, rate), rel=1e-4)


@pytest.mark.parametrize("link", [Link.SOFTMAX, Link.SIGMOID])
def test_class_weights_are_those_of_pytorch(link: Link) -> None:
    """Of the log-likelihood; for other losses, `ExpressionLoss` says what a weight means."""
    weight = torch.tensor([1.0, 3.0, 0.5])
    z = torch.randn(2, 20, 3, generator=GENERATOR, requires_grad=True)
    if link is Link.SOFTMAX:
        targets = torch.randint(0, 3, (20,), generator=GENERATOR)
        expected = sum((nn.functional.cross_entropy(each, targets, weight=weight) for each in z), start=torch.zeros(()))
        shares: Tensor | None = 1 / weight[targets].sum() * torch.ones(20)
        text = "x*log(y)"
    else:
        targets = torch.randint(0, 2, (20, 3), generator=GENERATOR).float()
        expected = 3 * sum((nn.functional.binary_cross_entropy_with_logits(e, targets, weight) for e in z), torch.zeros(()))
        shares, text = None, "x*log(y) + (1 - x)*log(1 - y)"
    (gradient,) = torch.autograd.grad(expected, z)
    loss = PopulationLoss([parse(text)] * 2, link, weight=weight.tolist())
    with torch.no_grad():
        assert torch.allclose(loss.gradient(z, targets, shares=shares), gradient, atol=1e-6)
        assert float(loss.value(z, targets, shares).sum()) == pytest.approx(float(expected), rel=1e-5)


def test_a_batch_without_a_label_that_counts_changes_nothing() -> None:
    targets = torch.full((SAMPLES,), -100)
    targets[0] = 1
    targets[1] = 0
    task = Task("few", linear(3), (INPUTS, targets), (INPUTS, CLASSES), ignore_index=-100)
    config = TrainingConfig(steps=20, batch_size=2, learning_rates=(0.1,))
    trainings = [Training(parse(text), 0.1) for text in LOSSES]
    for one, found in zip(trainings, train_population(task, trainings, config, seed=0), strict=True):
        alone = train_single(task, one, config, seed=0)
        assert not found.diverged
        assert not alone.diverged
        assert found.validation == alone.validation


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], "class_weight has 2 numbers for 3 classes"),
        ([1.0, 2.0, -1.0], "class_weight needs positive numbers"),
        (["a", "b", "c"], "class_weight is 'balanced', numbers or a dictionary"),
        ("even", "class_weight is 'balanced', numbers or a dictionary, not 'even'"),
        ({5: 1.0}, "class_weight names the class 5"),
    ],
)
def test_bad_class_weights_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        Task("bad", linear(3), (INPUTS, CLASSES), (INPUTS, CLASSES), class_weight=weights)
    with pytest.raises(TaskError, match="class_weight is for classification"):
        Task("bad", linear(1), (INPUTS, INPUTS[:, 0]), (INPUTS, INPUTS[:, 0]), link="identity", class_weight=[1.0])


def test_class_weights_are_for_all_outputs() -> None:
    """Those of a class without a sample, or of one that is ignored, are 1 by default."""
    targets = CLASSES.masked_fill(CLASSES == 2, 3)
    balanced = Task("gap", linear(4), (INPUTS, targets), (INPUTS, targets), class_weight="balanced", ignore_index=3)
    assert balanced.class_weight is not None
    assert balanced.class_weight[2:] == (1.0, 1.0)
    config = TrainingConfig(steps=4, batch_size=16, learning_rates=(RATE,))
    train_population(balanced, [Training(parse("x*log(y)"), RATE)], config, seed=0)
    named = Task(
        "void",
        linear(2),
        (INPUTS, CLASSES.clamp_max(1)),
        (INPUTS, CLASSES.clamp_max(1)),
        class_weight=cast("Any", {1: np.float32(2)}),
    )
    assert named.class_weight == (1.0, 2.0)


def test_label_smoothing_and_the_weights_of_a_question_are_one_too_many() -> None:
    data = (INPUTS, LABELS[:, 0])
    task = Task("question", linear(1), data, data, link="sigmoid", class_weight=[1.0, 4.0])
    config = TrainingConfig(steps=4, batch_size=16, label_smoothing=0.1)
    training = Training(parse("x*log(y)"), 0.1)
    with pytest.raises(ConfigError, match="label_smoothing does not go with the class_weight"):
        train_population(task, [training], config, seed=0)
    with pytest.raises(ConfigError, match="label_smoothing does not go with the class_weight"):
        train_single(task, training, config, seed=0)


def test_each_option_counts_in_the_digest_and_none_of_them_changes_old_ones() -> None:
    data = (INPUTS, CLASSES)
    variants = [
        Task("case", linear(3), data, data),
        Task("case", linear(3), data, data, class_weight=[1.0, 2.0, 1.0]),
        Task("case", linear(3), data, data, ignore_index=0),
        Task("case", linear(3), (*data, WEIGHTS), data),
    ]
    assert len({task.digest() for task in variants}) == len(variants)
