"""Counts of predictions agree with scikit-learn and with the metrics; a comparison adds them over its seeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix
from torch import nn

from glo.compare import ComparisonConfig
from glo.records import CONFUSED, RESIDUALS, Link, Predicted, together
from glo.study import Study
from glo.tasks import Task
from glo.training.predicted import predicted
from small import CLASSES, points


def task_of(link: Link, targets: torch.Tensor, outputs: int) -> Task:
    inputs = torch.randn(len(targets), 4, generator=torch.Generator().manual_seed(0))
    metric = "r2" if link is Link.IDENTITY else "accuracy"
    return Task("counted", lambda: nn.Linear(4, outputs), (inputs, targets), (inputs, targets), link=link, metric=metric)


def test_classes() -> None:
    torch.manual_seed(0)
    labels, y = torch.arange(50) % 5, torch.randn(50, 5).softmax(1)
    found = predicted(task_of(Link.SOFTMAX, labels, 5), y, labels)
    assert np.array_equal(found.confusion, confusion_matrix(labels, y.argmax(1)))
    assert sum(count for count, _, _ in found.calibration) == 50
    assert sum(right for _, _, right in found.calibration) == int((y.argmax(1) == labels).sum())
    assert sum(total for _, total, _ in found.calibration) == pytest.approx(float(y.max(1).values.sum()))
    for part, (count, total, _) in enumerate(found.calibration):
        assert count == 0 or part / 10 <= total / count <= (part + 1) / 10


def test_ignored_labels_do_not_count_and_soft_ones_count_as_the_likeliest() -> None:
    labels, y = torch.tensor([0, -100, 1, 1]), torch.eye(2)[[0, 0, 1, 0]]
    inputs = torch.randn(4, 3)
    task = Task("counted", lambda: nn.Linear(3, 2), (inputs, labels), (inputs, labels), ignore_index=-100)
    assert predicted(task, y, labels).confusion == ((1, 0), (1, 1))
    soft = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    assert predicted(task, torch.eye(2), soft).confusion == ((1, 0), (0, 1))


def test_yes_and_no() -> None:
    labels, y = torch.tensor([[1.0], [0.0], [0.0]]), torch.tensor([[0.85], [0.72], [0.05]])
    found = predicted(task_of(Link.SIGMOID, labels, 1), y, labels)
    assert found.confusion == ((1, 1), (0, 1))
    assert [count for count, _, _ in found.calibration] == [0, 0, 0, 0, 0, 0, 0, 1, 1, 1]


def test_residuals_beyond_the_range_count_at_its_ends() -> None:
    labels = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    found = predicted(task_of(Link.IDENTITY, labels, 1), labels + torch.tensor([[0.0], [0.01], [99.0], [-99.0]]), labels)
    assert len(found.residuals) == RESIDUALS
    assert (sum(found.residuals), found.residuals[0], found.residuals[-1]) == (4, 1, 1)
    assert sum(found.residuals[RESIDUALS // 2 - 1 : RESIDUALS // 2 + 1]) == 2
    assert predicted(task_of(Link.IDENTITY, labels, 1), labels, torch.ones(4, 1)).residuals == ()


def test_many_classes_have_no_confusions() -> None:
    labels = torch.arange(CONFUSED + 1)
    found = predicted(task_of(Link.SOFTMAX, labels, CONFUSED + 1), torch.eye(CONFUSED + 1), labels)
    assert (found.confusion, found.calibration[9]) == ((), (CONFUSED + 1, CONFUSED + 1, CONFUSED + 1))


def test_counts_are_added() -> None:
    one = Predicted(((1, 2), (3, 4)), ((1, 0.5, 1),), (1, 0))
    assert together([one, one]) == Predicted(((2, 4), (6, 8)), ((2, 1.0, 2),), (2, 0))
    assert together([Predicted()]) == Predicted()


def test_a_judgement_has_the_predictions_of_all_seeds(tmp_path_factory: pytest.TempPathFactory) -> None:
    task = Task("points", lambda: nn.Linear(4, CLASSES), points(0), points(1), points(2))
    study = Study(task, storage=tmp_path_factory.mktemp("judged") / "glo.db")
    study.search(generations=1, population=6, steps=20, confirm=0)
    judgement = study.judge(ComparisonConfig(baselines="standard", tuning_seeds=1, repeats=3))
    found = judgement.to_dict()["predictions"]
    assert list(found) == ["discovered", "cross_entropy", "label_smoothing"]
    for name, counts in found.items():
        assert np.sum(counts["confusion"]) == sum(count for count, _, _ in counts["calibration"]) == 3 * 60
        assert sum(counts["histogram"]) == 3 * 60 * CLASSES
        right = np.trace(np.array(counts["confusion"])) / (3 * 60)
        assert right == pytest.approx(judgement.comparison.row(name).mean)
