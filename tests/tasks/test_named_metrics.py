"""The named metrics are scikit-learn's and torchmetrics', and each has its direction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor, nn

import glo
from glo.errors import TaskError
from glo.records import Direction, Status
from glo.tasks import METRICS, Task

torchmetrics = pytest.importorskip("torchmetrics", reason="pip install 'glo-torch[integrations]'")
GENERATOR = torch.Generator().manual_seed(3)
CLASSES = torch.rand(60, 4, generator=GENERATOR).softmax(1), torch.randint(4, (60,), generator=GENERATOR)
MISSING = (CLASSES[0] * torch.tensor([1.0, 1.0, 0.0, 1.0]), CLASSES[1].where(CLASSES[1] != 2, 1))  # class 2 never occurs
TWO = torch.rand(60, 2, generator=GENERATOR).softmax(1), torch.randint(2, (60,), generator=GENERATOR)
YES = torch.rand(60, 1, generator=GENERATOR), torch.randint(2, (60, 1), generator=GENERATOR).float()
LABELS = torch.rand(60, 3, generator=GENERATOR), torch.randint(2, (60, 3), generator=GENERATOR).float()
VALUES = torch.randn(60, 2, generator=GENERATOR), torch.randn(60, 2, generator=GENERATOR)


def value(name: str, data: tuple[Tensor, Tensor]) -> float:
    return float(METRICS[name](*data))


def one_hot(data: tuple[Tensor, Tensor]) -> np.ndarray:
    return nn.functional.one_hot(data[1], data[0].shape[1]).numpy()


def jaccard(true: Tensor, decided: Tensor) -> float:
    return float(sk.jaccard_score(true, decided, average="macro"))


EXPECTED = {
    "log_loss of classes": (value("log_loss", CLASSES), sk.log_loss(CLASSES[1], CLASSES[0].numpy())),
    "log_loss of yes": (value("log_loss", YES), sk.log_loss(YES[1].flatten(), YES[0].flatten().numpy())),
    "average_precision of classes": (
        value("average_precision", CLASSES), sk.average_precision_score(one_hot(CLASSES), CLASSES[0].numpy()),
    ),
    "average_precision of two": (value("average_precision", TWO), sk.average_precision_score(TWO[1], TWO[0][:, 1].numpy())),
    "average_precision of yes": (value("average_precision", YES), sk.average_precision_score(YES[1], YES[0].numpy())),
    "average_precision of labels": (
        value("average_precision", LABELS), sk.average_precision_score(LABELS[1].numpy(), LABELS[0].numpy()),
    ),
    "roc_auc of classes": (
        value("roc_auc", CLASSES), sk.roc_auc_score(CLASSES[1], CLASSES[0].numpy(), multi_class="ovr"),
    ),
    "roc_auc of two": (value("roc_auc", TWO), sk.roc_auc_score(TWO[1], TWO[0][:, 1].numpy())),
    "mcc of classes": (value("mcc", CLASSES), sk.matthews_corrcoef(CLASSES[1], CLASSES[0].argmax(1))),
    "mcc of yes": (value("mcc", YES), sk.matthews_corrcoef(YES[1], YES[0] > 0.5)),
    "cohen_kappa of classes": (
        value("cohen_kappa", CLASSES), sk.cohen_kappa_score(CLASSES[1], CLASSES[0].argmax(1), weights="quadratic"),
    ),
    "iou of classes": (value("iou", CLASSES), jaccard(CLASSES[1], CLASSES[0].argmax(1))),
    "iou of classes of which one is missing": (value("iou", MISSING), jaccard(MISSING[1], MISSING[0].argmax(1))),
    "iou of classes, torchmetrics": (
        value("iou", MISSING), float(torchmetrics.functional.jaccard_index(*MISSING, task="multiclass", num_classes=4)),
    ),
    "iou of yes": (value("iou", YES), float(sk.jaccard_score(YES[1].flatten(), YES[0].flatten() > 0.5))),
    "iou of yes, torchmetrics": (
        value("iou", YES), float(torchmetrics.functional.jaccard_index(YES[0], YES[1].int(), task="binary")),
    ),
    "iou of labels": (value("iou", LABELS), jaccard(LABELS[1], LABELS[0] > 0.5)),
    "iou of no label": (value("iou", (LABELS[0] / 2, LABELS[1] * 0)), 0.0),
    "dice of classes": (value("dice", MISSING), sk.f1_score(MISSING[1], MISSING[0].argmax(1), average="macro")),
    "dice of classes, torchmetrics": (
        value("dice", CLASSES),
        float(torchmetrics.functional.f1_score(*CLASSES, task="multiclass", num_classes=4, average="macro")),
    ),
    "dice of yes": (value("dice", YES), sk.f1_score(YES[1].flatten(), YES[0].flatten() > 0.5)),
    "dice of labels": (value("dice", LABELS), sk.f1_score(LABELS[1], LABELS[0] > 0.5, average="macro")),
    "rmse": (value("rmse", VALUES), sk.mean_squared_error(VALUES[1], VALUES[0]) ** 0.5),
    "mae": (value("mae", VALUES), sk.mean_absolute_error(VALUES[1], VALUES[0])),
    "brier of yes": (value("brier", YES), sk.brier_score_loss(YES[1].flatten(), YES[0].flatten().numpy())),
    "brier of classes": (value("brier", CLASSES), ((CLASSES[0].numpy() - one_hot(CLASSES)) ** 2).sum(1).mean()),
    "ece of classes": (
        value("ece", CLASSES),
        float(torchmetrics.functional.calibration_error(*CLASSES, task="multiclass", num_classes=4, n_bins=15)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", EXPECTED)
def test_a_metric_is_that_of_the_libraries(case: str) -> None:
    ours, theirs = EXPECTED[case]
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_directions() -> None:
    falling = {name for name, metric in METRICS.items() if metric.direction is Direction.MINIMIZE}
    assert falling == {"brier", "ece", "log_loss", "mae", "pinball", "rmse"}


def data(seed: int, regression: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(80, 3, generator=generator)
    values = inputs @ torch.tensor([1.0, -2.0, 0.5]) + 0.3 * torch.randn(80, generator=generator)
    return inputs, values if regression else (values > 0).long()


def task(metric: object, link: str = "softmax") -> Task:
    outputs = 1 if link == "identity" else 2
    splits = [data(seed, link == "identity") for seed in (0, 1, 2)]
    return Task("small", lambda: nn.Linear(3, outputs), *splits, metric=metric, link=link)  # pyright: ignore[reportArgumentType]


def worst_case(predictions: Tensor, targets: Tensor) -> Tensor:
    return (predictions - targets).abs().max() * 100


@pytest.mark.parametrize(
    ("metric", "link", "low"),
    [
        ("log_loss", "softmax", True),
        ("rmse", "identity", True),
        ("average_precision", "softmax", False),
        (glo.Metric(worst_case, "minimize", name="worst"), "identity", True),  # pyright: ignore[reportArgumentType]
    ],
    ids=["log_loss", "rmse", "average_precision", "own"],
)
def test_a_search_follows_the_direction(metric: object, link: str, low: bool, tmp_path: Path) -> None:
    study = glo.Study(task(metric, link), name="a", storage=tmp_path / "glo.db", device="cpu")
    result = study.search(generations=3, population=8, steps=40, confirm=0)
    scores = [trial.fitness for trial in result.trials if trial.status is Status.TRAINED]
    assert result.best.fitness == (min(scores) if low else max(scores))
    assert result.config.task.direction == ("minimize" if low else "maximize")
    # the best of the ladder: no rate is better
    found = study.compare(config=glo.ComparisonConfig(repeats=2, tuning_seeds=1, smoothings=(0.1,)))
    assert ("lower is better" in str(found)) is low
    assert found.direction == result.config.task.direction


def test_misuse() -> None:
    with pytest.raises(TaskError, match="is its direction not minimize"):
        task(glo.Metric(lambda y, t: (y.argmax(1) == t).float().mean(), "minimize"))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TaskError, match="direction of a metric is one of maximize, minimize, not 'down'"):
        glo.Metric(worst_case, "down")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TaskError, match="'rmse' does not fit the softmax link"):
        task("rmse")
    with pytest.raises(TaskError, match="'log_loss' does not fit the identity link"):
        task("log_loss", "identity")


def test_the_direction_is_part_of_the_identity() -> None:
    def constant(predictions: Tensor, targets: Tensor) -> float:
        return 1.0

    low = task(glo.Metric(constant, "minimize"), "identity")  # pyright: ignore[reportArgumentType]
    high = task(glo.Metric(constant, "maximize"), "identity")  # pyright: ignore[reportArgumentType]
    assert low.digest() != high.digest()
