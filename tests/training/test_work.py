"""Guards against slowness that count work, not seconds: operator calls in a step, trainings that the funnel avoids."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from glo.evaluation import Funnel, evaluate
from glo.execution import Batch, Key
from glo.expr import parse
from glo.records import FunnelConfig, Job, Result, Training, TrainingConfig, TrainingResult, generator
from glo.search import PAPER_WEIGHTS, Elements
from glo.tasks import load_task
from glo.training.population import _Population

LOSSES = ["x*log(y)", "x*sqrt(y)", "log(y) - x/y", "x*y", "square(x - y)", "sqrt(y)*(x - y)", "x + y*x", "y - x/y"]
VIEWS = (
    "view", "transpose", "t.", "expand", "slice", "select", "unsqueeze", "squeeze", "split", "detach", "alias", "permute",
)  # fmt: skip


class CallCounter(TorchDispatchMode):
    """Records calls of operators that compute; views cost nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).removeprefix("aten.")
        if not name.startswith(VIEWS):
            self.calls.append(name)
        return func(*args, **(kwargs or {}))


def chain() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))


def dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 8), nn.Dropout(), nn.Linear(8, 10))


def calls_in_a_step(model: Callable[[], nn.Module], copies: int) -> list[str]:
    """Operator calls in a step of a population that has several copies of each loss."""
    trainings = [Training(parse(loss), 0.1 * (1 + copy)) for loss in LOSSES for copy in range(copies)]
    population = _Population(load_task("digits"), model(), trainings, TrainingConfig(steps=10), 0, "cpu")
    population._step(0, torch.arange(100))  # the first step allocates memory
    with CallCounter() as counter:
        population._step(1, torch.arange(100))
    return counter.calls


@pytest.mark.parametrize(("model", "most"), [(chain, 32), (dropout, 38)])
def test_four_times_the_networks_need_no_more_calls(model: Callable[[], nn.Module], most: int) -> None:
    """From 16 networks on: with eight, some operands are a single row, which needs no gathering."""
    few, many = calls_in_a_step(model, 2), calls_in_a_step(model, 8)
    assert len(many) <= len(few) <= most


def test_a_step_of_a_chain_has_five_matrix_products() -> None:
    """Forward pass and weight gradient of two layers, and the gradient between the layers."""
    names = ("mm", "addmm", "bmm", "baddbmm")
    assert sum(name.startswith(names) for name in calls_in_a_step(chain, 2)) == 5


class RecordingExecutor:
    """Trains nothing: records the trainings, and returns the same result for each."""

    slots, device = 1, "cpu"

    def __init__(self) -> None:
        self.trainings: list[Training] = []
        self._batches: deque[tuple[Key, Batch]] = deque()

    def submit(self, key: Key, batch: Batch) -> None:
        self.trainings += batch.trainings
        self._batches.append((key, batch))

    def next(self) -> tuple[Key, dict[int, Result]]:
        key, batch = self._batches.popleft()
        return key, dict.fromkeys(range(len(batch)), TrainingResult(0.5))

    def close(self) -> None:
        self._batches.clear()


@pytest.mark.parametrize(
    ("config", "most"),
    [(FunnelConfig(derivative=False, descent=False), 0.12), (FunnelConfig(derivative=True, descent=True), 0.03)],
    ids=["paper", "default"],
)
def test_the_funnel_trains_a_small_part_of_random_trees(config: FunnelConfig, most: float) -> None:
    elements, rng = Elements(PAPER_WEIGHTS), generator(0, "work")
    trees = [elements.tree(rng, 3) for _ in range(500)]
    executor = RecordingExecutor()
    funnel = Funnel(load_task("digits"), TrainingConfig(), config, executor)
    outcomes = evaluate(funnel, [Job(tree, 0) for tree in trees])
    assert len(outcomes) == len(trees)
    assert 0 < len(executor.trainings) <= most * len(trees)
