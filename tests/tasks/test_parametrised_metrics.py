"""F-beta, the pinball loss and cost matrices are scikit-learn's and torchmetrics', and a parameter is checked and counts."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor, nn

import glo
from glo.errors import TaskError
from glo.records import Direction
from glo.tasks import METRICS, Metric, Task

SAMPLES = 60
GENERATOR = torch.Generator().manual_seed(3)
INPUTS = torch.randn(SAMPLES, 3, generator=GENERATOR)
LABELS = (INPUTS[:, 0] + 0.5 * torch.randn(SAMPLES, generator=GENERATOR) > 0.7).long()
SCORES = (INPUTS[:, 0] + 0.3 * torch.randn(SAMPLES, generator=GENERATOR)).sigmoid()
THREE = torch.rand(SAMPLES, 3, generator=GENERATOR).softmax(1), torch.randint(3, (SAMPLES,), generator=GENERATOR)
VALUES = torch.randn(SAMPLES, 2, generator=GENERATOR), torch.randn(SAMPLES, 2, generator=GENERATOR)
COSTS = [[0.0, 1.0, 2.0], [5.0, 0.0, 1.0], [9.0, 3.0, 0.0]]


def yes(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """One yes-no output."""
    return scores[:, None], labels[:, None].float()


def two(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Two classes."""
    return torch.stack([1 - scores, scores], 1), labels


def at_least(scores: Tensor, threshold: float) -> Tensor:
    return scores >= threshold


def task(metric: Any, link: str = "softmax", outputs: int = 2, targets: Tensor = LABELS) -> Task:
    data = INPUTS, targets
    return Task("mine", lambda: nn.Linear(3, outputs), data, data, data, metric=metric, link=link)


KINDS = pytest.mark.parametrize("kind", [yes, two])


@KINDS
@pytest.mark.parametrize("beta", [0.5, 1, 2])
@pytest.mark.parametrize("digits", [None, 1])  # with one digit many scores are equal
def test_f_beta_has_the_best_threshold(kind: Callable[..., tuple[Tensor, Tensor]], beta: float, digits: int | None) -> None:
    scores = SCORES if digits is None else SCORES.round(decimals=digits)
    data = kind(scores, LABELS)
    metric = glo.f_beta_metric(beta)
    every = [float(sk.fbeta_score(LABELS, scores >= threshold, beta=beta)) for threshold in scores.unique()]
    assert float(metric(*data)) == pytest.approx(max(every), abs=1e-9)
    assert metric.fit is not None
    assert metric.fit(*data) in scores.tolist()


@KINDS
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9, 2.0])
def test_f_beta_at_a_threshold(kind: Callable[..., tuple[Tensor, Tensor]], threshold: float) -> None:
    torchmetrics = pytest.importorskip("torchmetrics", reason="pip install 'glo-torch[integrations]'")
    found = float(glo.f_beta_metric(2)(*kind(SCORES, LABELS), threshold))
    assert found == pytest.approx(sk.fbeta_score(LABELS, at_least(SCORES, threshold), beta=2, zero_division=0))  # pyright: ignore
    if threshold <= 1:
        theirs = torchmetrics.functional.fbeta_score(SCORES, LABELS, task="binary", beta=2.0, threshold=threshold)
        assert found == pytest.approx(float(theirs))


@KINDS
def test_f_beta_without_a_positive_sample_is_0_at_one_half(kind: Callable[..., tuple[Tensor, Tensor]]) -> None:
    data, metric = kind(SCORES, LABELS * 0), METRICS["f_beta"]
    assert metric.fit is not None
    assert (float(metric(*data)), metric.fit(*data)) == (0.0, 0.5)


@pytest.mark.parametrize("seed", range(30))
def test_no_threshold_is_better_on_small_data(seed: int) -> None:
    generator = np.random.default_rng(seed)
    size = int(generator.integers(1, 9))
    scores, labels = generator.integers(0, 5, size) / 4, generator.integers(0, 2, size)
    every = [sk.fbeta_score(labels, scores >= threshold, beta=0.7, zero_division=0) for threshold in scores]  # pyright: ignore
    found = glo.f_beta_metric(0.7)(*yes(torch.from_numpy(scores), torch.from_numpy(labels)))
    assert float(found) == pytest.approx(max(every))


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_pinball_is_that_of_scikit_learn(q: float) -> None:
    predictions, values = VALUES
    assert float(glo.pinball_metric(q)(predictions, values)) == pytest.approx(
        float(sk.mean_pinball_loss(values.numpy(), predictions.numpy(), alpha=q)), abs=1e-6
    )
    assert float(METRICS["pinball"](predictions, values)) == pytest.approx(float(METRICS["mae"](predictions, values)) / 2)


def mean_cost(confusion: np.ndarray, costs: Any) -> float:
    return float((confusion * np.array(costs)).sum() / confusion.sum())


def test_the_cost_of_decisions() -> None:
    torchmetrics = pytest.importorskip("torchmetrics", reason="pip install 'glo-torch[integrations]'")
    predictions, labels = THREE
    found = float(glo.cost_metric(COSTS)(predictions, labels))
    assert found == pytest.approx(mean_cost(sk.confusion_matrix(labels, predictions.argmax(1)), COSTS))
    theirs = torchmetrics.functional.confusion_matrix(predictions, labels, task="multiclass", num_classes=3)
    assert found == pytest.approx(mean_cost(theirs.numpy(), COSTS))
    cheapest = (predictions.numpy() @ np.array(COSTS)).argmin(1)
    expected = float(glo.cost_metric(COSTS, decide="expected")(predictions, labels))
    assert expected == pytest.approx(mean_cost(sk.confusion_matrix(labels, cheapest, labels=[0, 1, 2]), COSTS))
    assert expected != found


@KINDS
@pytest.mark.parametrize("decide", ["argmax", "expected"])
def test_the_cost_of_yes_and_no(kind: Callable[..., tuple[Tensor, Tensor]], decide: Any) -> None:
    costs = [[0, 1], [4, 0]]  # yes has the lower expected cost from 1/5 on
    decided = at_least(SCORES, 0.5 if decide == "argmax" else 0.2)
    expected = mean_cost(sk.confusion_matrix(LABELS, decided), costs)
    for matrix in (costs, np.array(costs), torch.tensor(costs)):
        assert float(glo.cost_metric(matrix, decide)(*kind(SCORES, LABELS))) == pytest.approx(expected)


def test_equal_costs_are_the_error_rate() -> None:
    unit = [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    for decide in ("argmax", "expected"):
        assert float(glo.cost_metric(unit, decide)(*THREE)) == pytest.approx(1 - float(METRICS["accuracy"](*THREE)))


FACTORIES: dict[str, tuple[Callable[[], Metric], Callable[[], Metric], dict[str, Any]]] = {
    "f_beta": (lambda: glo.f_beta_metric(2), lambda: glo.f_beta_metric(3), {}),
    "pinball": (
        lambda: glo.pinball_metric(0.9), lambda: glo.pinball_metric(0.8),
        {"link": "identity", "outputs": 1, "targets": INPUTS[:, :1]},
    ),
    "cost": (lambda: glo.cost_metric([[0, 1], [4, 0]]), lambda: glo.cost_metric([[0, 1], [5, 0]]), {}),
    "decide": (
        lambda: glo.cost_metric(np.array([[0, 1], [4, 0]])), lambda: glo.cost_metric([[0, 1], [4, 0]], "expected"), {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FACTORIES)
def test_equal_metrics_have_one_identity_also_after_pickling(name: str) -> None:
    one, other, options = FACTORIES[name]
    sent = pickle.loads(pickle.dumps(one()))  # noqa: S301 - pickled here
    digests = [task(metric, **options).digest() for metric in (one(), one(), sent, other())]
    assert len(set(digests[:3])) == 1
    assert digests[3] != digests[0]


def test_a_name_with_a_number_is_the_identity() -> None:
    assert task("f_beta:2").digest() == task("f_beta:2").digest() != task("f_beta:3").digest()
    assert len({task(name).digest() for name in ("f_beta", "f_beta:2", "accuracy")}) == 3


def test_a_name_with_a_number_is_that_metric() -> None:
    named = task("f_beta:2")
    assert (named.metric_name, named.direction, named.fits_metric, named.free_scores) == (
        "f_beta:2",
        "maximize",
        True,
        False,
    )
    data = two(SCORES, LABELS)
    assert named.score(*data) == float(glo.f_beta_metric(2)(*data))
    assert named.score(*data, fitted=0.9) == float(glo.f_beta_metric(2)(*data, 0.9)) < named.score(*data)
    values = INPUTS[:, :1]
    regression = task("pinball:0.9", "identity", 1, values)
    assert (regression.metric_name, regression.direction, regression.fits_metric) == ("pinball:0.9", "minimize", False)
    assert regression.score(values - 1, values) == pytest.approx(0.9)
    assert regression.score(values + 1, values) == pytest.approx(0.1)
    assert glo.pinball_metric(0.9).direction is Direction.MINIMIZE
    assert [metric.name for metric in (glo.pinball_metric(0.9), glo.f_beta_metric(2))] == ["pinball:0.9", "f_beta:2"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pinball:2", r"^task 'mine': metric 'pinball:2': q of pinball is a number between 0 and 1, such as 0.9, not 2.0$"),
        ("f_beta:-1", r"^task 'mine': metric 'f_beta:-1': beta of f_beta is a number above 0, such as 2, not -1.0$"),
        ("f_beta:nan", "metric 'f_beta:nan': beta of f_beta is a number above 0"),
        ("f_beta:1e200", "metric 'f_beta:1e200': beta of f_beta is a number above 0"),
        ("f_beta:two", r"^task 'mine': metric 'f_beta:two': 'two' is not a number$"),
        ("f_beta:", "metric 'f_beta:': '' is not a number"),
        ("accuracy:3", r"metric 'accuracy:3': only f_beta and pinball take a number, so 'accuracy' is the whole name$"),
        ("iuo", r"metric must be a function or one of accuracy, .* pinball:0.9, not 'iuo': did you mean 'iou'\?$"),
        ("IoU", r"not 'IoU': did you mean 'iou'\?$"),
        ("fbeta:2", r"not 'fbeta:2': did you mean 'f_beta:2'\?$"),
        ("acuracy:2", r"not 'acuracy:2': did you mean 'accuracy'\?$"),
        ("zzz", r"not 'zzz'$"),
    ],
)
def test_a_wrong_name_says_what_is_possible(name: str, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        task(name)


LABELS_OF_TWO = torch.stack([LABELS, 1 - LABELS], 1).float()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pinball:0.9",), "'pinball:0.9' does not fit the softmax link: use accuracy"),
        (("pinball", "sigmoid", 1, LABELS.float()), "'pinball' does not fit the sigmoid link: use accuracy"),
        (("iou", "identity", 1, INPUTS[:, :1]), "'iou' does not fit the identity link"),
        (("dice", "identity", 1, INPUTS[:, :1]), "'dice' does not fit the identity link"),
        (("f_beta:2", "identity", 1, INPUTS[:, :1]), "'f_beta:2' does not fit the identity link"),
        (("f_beta", "softmax", 3, THREE[1]), "'f_beta' is for two classes or one yes-no output, not for 3: use f1_macro"),
        (("f_beta:2", "sigmoid", 2, LABELS_OF_TWO), "'f_beta:2' is for two classes or one yes-no output, not for 2"),
        (
            (glo.f_beta_metric(2), "softmax", 3, THREE[1]),
            "f_beta is for two classes or one yes-no output, not for 3 classes",
        ),
        (
            (glo.f_beta_metric(2), "sigmoid", 2, LABELS_OF_TWO),
            "f_beta is for classes or one yes-no output, not for 2 outputs",
        ),
        ((glo.pinball_metric(0.9),), "pinball is for regression, not for classes"),
        ((glo.cost_metric(COSTS),), "the cost matrix is for 3 classes, but the task has 2"),
        ((glo.cost_metric([[1, 0], [0, 1]]),), "worse than 0.* for constant ones: is its direction not minimize"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        task(*arguments)


@pytest.mark.parametrize("name", ["iou", "dice", "f_beta:2"])
def test_metrics_that_fit(name: str) -> None:
    assert task(name).metric_name == name
    assert task(name, "sigmoid", 1, LABELS.float()).metric_name == name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: glo.f_beta_metric(0), "beta of f_beta is a number above 0, such as 2, not 0"),
        (lambda: glo.f_beta_metric("two"), "not 'two'"),  # pyright: ignore[reportArgumentType]
        (lambda: glo.pinball_metric(1), "q of pinball is a number between 0 and 1, such as 0.9, not 1"),
        (lambda: glo.cost_metric([[0, 1]]), r"square, of two classes or more, not of shape \(1, 2\)"),
        (lambda: glo.cost_metric([0, 1]), r"not of shape \(2,\)"),
        (lambda: glo.cost_metric([[0, 1], [1]]), "a cost matrix has a number for each true and each decided class"),
        (lambda: glo.cost_metric([[0, float("nan")], [1, 0]]), "finite numbers"),
        (lambda: glo.cost_metric([[0, 1], [1, 0]], decide="best"), "decide is one of argmax, expected, not 'best'"),  # pyright: ignore
    ],
)
def test_misuse_of_a_factory(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        make()
