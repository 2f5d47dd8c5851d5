"""The baselines are PyTorch's own losses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from compare.scripted import task_of
from glo.compare.config import SMOOTHINGS
from glo.compare.families import baselines
from glo.expr import Expr
from glo.loss import ExpressionLoss
from glo.tasks import Task
from small import CLASSES


def loss_of(expression: Expr, link: str, outputs: Tensor, targets: Tensor) -> float:
    return ExpressionLoss(expression, link=link)(outputs, targets).item()


def test_baselines_of_classification() -> None:
    """PyTorch's cross-entropy, without and with label smoothing."""
    found = baselines(task_of())
    outputs = torch.randn(20, CLASSES, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(20) % CLASSES
    assert list(found) == ["cross_entropy", "label_smoothing"]
    assert list(found["cross_entropy"]) == [""]
    assert list(found["label_smoothing"]) == [f"{s:g}" for s in SMOOTHINGS]
    expected = nn.CrossEntropyLoss()(outputs, targets).item()
    assert loss_of(found["cross_entropy"][""], "softmax", outputs, targets) == pytest.approx(expected, rel=1e-5)
    for name, expression in found["label_smoothing"].items():
        expected = nn.CrossEntropyLoss(label_smoothing=float(name))(outputs, targets).item()
        assert loss_of(expression, "softmax", outputs, targets) == pytest.approx(expected, rel=1e-5)


def test_baselines_of_yes_no_questions() -> None:
    labels = (torch.arange(60)[:, None] % torch.tensor([2, 3]) == 0).float()
    inputs = torch.randn(60, 4, generator=torch.Generator().manual_seed(1))
    task = Task("yes-no", lambda: nn.Linear(4, 2), (inputs, labels), (inputs, labels), link="sigmoid")
    found = baselines(task, (0.3,))
    outputs = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    bce = nn.BCEWithLogitsLoss(reduction="none")
    assert list(found) == ["binary_cross_entropy", "label_smoothing"]
    assert list(found["label_smoothing"]) == ["0.3"]
    for expression, targets in [
        (found["binary_cross_entropy"][""], labels),
        (found["label_smoothing"]["0.3"], 0.7 * labels + 0.15),
    ]:
        expected = bce(outputs, targets).sum(1).mean().item()
        assert loss_of(expression, "sigmoid", outputs, labels) == pytest.approx(expected, rel=1e-5)


def test_baseline_of_regression() -> None:
    inputs = torch.randn(60, 4, generator=torch.Generator().manual_seed(1))
    task = Task("values", lambda: nn.Linear(4, 1), (inputs, inputs[:, 0]), (inputs, inputs[:, 0]), link="identity")
    found = baselines(task)
    outputs, targets = inputs[:, 1:2], inputs[:, 2:3]
    assert list(found) == ["mse"]
    expected = nn.MSELoss()(outputs, targets).item()
    assert loss_of(found["mse"][""], "identity", outputs, targets) == pytest.approx(expected, rel=1e-5)
