"""Precision, and training on a GPU: the step is captured as a CUDA graph, the results are close to those of the CPU.

Tests that need a GPU have the mark `gpu` and are skipped without one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glo.expr import parse
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Task
from glo.training import train_population, train_single
from glo.training.cuda_graph import WARM_UP, CapturedStep
from glo.training.population import _Population
from glo.training.precision import matmul_precision

gpu = pytest.mark.gpu
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
CONFIG = TrainingConfig(steps=300, batch_size=20)
TRAININGS = [Training(parse(loss), 0.1) for loss in ("x*log(y)", "log(y) - x/y", "x*sqrt(y)")]


def chain() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(16, 3)
    )


def not_a_chain() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


def clusters(model: Callable[[], nn.Module]) -> Task:
    """400 samples of three overlapping clusters, so that accuracy is neither 0 nor 1."""
    generator = torch.Generator().manual_seed(1)
    targets = torch.arange(400) % 3
    inputs = (torch.randn(400, 16, generator=generator) + 1.5 * torch.eye(3, 16)[targets]).unflatten(1, (1, 4, 4))
    return Task("clusters", model, train=(inputs, targets), validation=(inputs, targets))


def accuracies(results: list[TrainingResult]) -> list[float]:
    return [result.validation for result in results]


@pytest.mark.parametrize("model", [chain, convolutional, not_a_chain])
def test_bfloat16_is_close_to_float32_in_both_engines(model: Callable[[], nn.Module]) -> None:
    task, bfloat16 = clusters(model), CONFIG.model_copy(update={"precision": "bfloat16"})
    float32 = accuracies(train_population(task, TRAININGS, CONFIG, 0))
    population = accuracies(train_population(task, TRAININGS, bfloat16, 0))
    single = accuracies([train_single(task, training, bfloat16, 0) for training in TRAININGS])
    assert population == pytest.approx(float32, abs=0.05)
    assert population == pytest.approx(single, abs=0.03)
    assert min(float32) > 0.5


@pytest.mark.parametrize(("precision", "tf32"), [("float32", False), ("tf32", True), ("bfloat16", False)])
def test_tf32_is_on_only_if_asked_for_and_only_inside_the_context(precision: str, tf32: bool) -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with matmul_precision(TrainingConfig.model_validate({"precision": precision})):
        assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (tf32, tf32)
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


def test_nothing_is_captured_on_a_cpu() -> None:
    seen: list[Tensor] = []
    captured_step = CapturedStep("cpu")
    for number in range(2 * WARM_UP):
        captured_step(seen.append, torch.tensor([number]))
    assert captured_step.graph is None
    assert [int(batch) for batch in seen] == list(range(2 * WARM_UP))


@gpu
@needs_gpu
@pytest.mark.parametrize("model", [chain, convolutional, not_a_chain])
def test_results_on_a_gpu_are_close_to_those_on_a_cpu(model: Callable[[], nn.Module]) -> None:
    task = clusters(model)
    on_gpu = accuracies(train_population(task, TRAININGS, CONFIG, 0, "cuda"))
    assert on_gpu == pytest.approx(accuracies(train_population(task, TRAININGS, CONFIG, 0)), abs=0.02)
    single = accuracies([train_single(task, training, CONFIG, 0, "cuda") for training in TRAININGS])
    assert on_gpu == pytest.approx(single, abs=0.02)


OPTIMIZATIONS: list[dict[str, Any]] = [
    {"optimizer": "adamw", "weight_decay": 0.01, "schedule": "cosine", "warmup": 0.1, "learning_rates": (0.01,)},
    {"momentum": 0.9, "schedule": "linear", "learning_rates": (0.05,)},
    {"momentum": 0.9, "nesterov": True, "clip_norm": 0.5, "learning_rates": (0.05,)},
    {"optimizer": "rmsprop", "clip_norm": 1.0, "learning_rates": (0.003,)},
]


@gpu
@needs_gpu
@pytest.mark.parametrize("options", OPTIMIZATIONS)
@pytest.mark.parametrize("model", [chain, not_a_chain])
def test_optimizers_on_a_gpu_are_captured_once_and_close_to_those_on_a_cpu(
    model: Callable[[], nn.Module], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, config = clusters(model), TrainingConfig.model_validate({"steps": 300, "batch_size": 20, **options})
    members = [Training(training.expression, config.learning_rates[0]) for training in TRAININGS]
    captures: list[int] = []
    capture = CapturedStep._capture
    monkeypatch.setattr(CapturedStep, "_capture", lambda self, *arguments: captures.append(1) or capture(self, *arguments))
    on_gpu = accuracies(train_population(task, members, config, 0, "cuda"))
    assert len(captures) == 1
    assert on_gpu == pytest.approx(accuracies(train_population(task, members, config, 0)), abs=0.02)


@gpu
@needs_gpu
@pytest.mark.parametrize("model", [chain, convolutional, not_a_chain])
def test_a_step_on_a_gpu_is_captured(model: Callable[[], nn.Module], caplog: pytest.LogCaptureFixture) -> None:
    population = _Population(clusters(model), model(), TRAININGS, CONFIG, 0, "cuda")
    population.train(test=False)
    assert population.captured_step.graph is not None
    assert not caplog.records
