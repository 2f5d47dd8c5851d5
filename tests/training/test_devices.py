"""Precision, and the same training on a GPU: its step is a CUDA graph, its results are close to the CPU's.

What needs a GPU is marked `gpu` and says when it is left out.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from glo.expr import parse
from glo.records import TrainingConfig
from glo.tasks import Task
from glo.training import Training, TrainingResult, train_population, train_single
from glo.training.cuda_graph import WARM_UP, Replayed
from glo.training.population import _Population
from glo.training.steps import products

gpu = pytest.mark.gpu
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")
CONFIG = TrainingConfig(steps=300, batch_size=20)
TRAININGS = [Training(parse(loss), 0.1) for loss in ("x*log(y)", "log(y) - x/y", "x*sqrt(y)")]


def chain() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(16, 3)
    )


def vectorised() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


def task_of(model: Callable[[], nn.Module]) -> Task:
    """Three clusters that overlap, so that accuracy is neither 0 nor 1; 400 samples."""
    generator = torch.Generator().manual_seed(1)
    targets = torch.arange(400) % 3
    inputs = (torch.randn(400, 16, generator=generator) + 1.5 * torch.eye(3, 16)[targets]).unflatten(1, (1, 4, 4))
    return Task("clusters", model, train=(inputs, targets), validation=(inputs, targets))


def accuracies(results: list[TrainingResult]) -> list[float]:
    return [result.validation for result in results]


@pytest.mark.parametrize("model", [chain, convolutional, vectorised])
def test_bfloat16_is_close_to_float32_together_and_alone(model: Callable[[], nn.Module]) -> None:
    task, narrow = task_of(model), CONFIG.model_copy(update={"precision": "bfloat16"})
    wide = accuracies(train_population(task, TRAININGS, CONFIG, 0))
    together = accuracies(train_population(task, TRAININGS, narrow, 0))
    alone = accuracies([train_single(task, training, narrow, 0) for training in TRAININGS])
    assert together == pytest.approx(wide, abs=0.05)
    assert together == pytest.approx(alone, abs=0.03)
    assert min(wide) > 0.5


@pytest.mark.parametrize(("precision", "narrow"), [("float32", False), ("tf32", True), ("bfloat16", False)])
def test_products_are_narrow_only_where_asked_and_only_meanwhile(precision: str, narrow: bool) -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with products(TrainingConfig.model_validate({"precision": precision})):
        assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (narrow, narrow)
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


def test_on_a_cpu_every_step_is_made_as_it_is() -> None:
    seen: list[Tensor] = []
    replayed = Replayed("cpu")
    for number in range(2 * WARM_UP):
        replayed(seen.append, torch.tensor([number]))
    assert [int(batch) for batch in seen] == list(range(2 * WARM_UP))


@gpu
@needs_gpu
@pytest.mark.parametrize("model", [chain, convolutional, vectorised])
def test_a_population_on_a_gpu_is_that_on_a_cpu(model: Callable[[], nn.Module]) -> None:
    task = task_of(model)
    on_gpu = accuracies(train_population(task, TRAININGS, CONFIG, 0, "cuda"))
    assert on_gpu == pytest.approx(accuracies(train_population(task, TRAININGS, CONFIG, 0)), abs=0.02)
    alone = accuracies([train_single(task, training, CONFIG, 0, "cuda") for training in TRAININGS])
    assert on_gpu == pytest.approx(alone, abs=0.02)


@gpu
@needs_gpu
@pytest.mark.parametrize("model", [chain, convolutional, vectorised])
def test_a_step_on_a_gpu_is_a_graph(model: Callable[[], nn.Module], caplog: pytest.LogCaptureFixture) -> None:
    population = _Population(task_of(model), model(), TRAININGS, CONFIG, 0, "cuda")
    population.train(test=False)
    assert population.replayed.graph is not None
    assert not caplog.records
