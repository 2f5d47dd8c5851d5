"""Guards against slowness that count work, not seconds: calls in a step, trainings that the funnel avoids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from glo.evaluation import Funnel, FunnelConfig, OnOutcomes, unheard
from glo.expr import parse
from glo.records import Job, Outcome, Stage, Status, TrainingConfig, generator
from glo.search import PAPER_WEIGHTS, Elements
from glo.tasks import load_task
from glo.training import Training
from glo.training.population import _Population

LOSSES = ["x*log(y)", "x*sqrt(y)", "log(y) - x/y", "x*y", "square(x - y)", "sqrt(y)*(x - y)", "x + y*x", "y - x/y"]
VIEWS = (
    "view",
    "transpose",
    "t.",
    "expand",
    "slice",
    "select",
    "unsqueeze",
    "squeeze",
    "split",
    "detach",
    "alias",
    "permute",
)


class Counted(TorchDispatchMode):
    """Counts calls of operators that compute."""

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
    """Of a population with each loss so many times."""
    trainings = [Training(parse(loss), 0.1 * (1 + copy)) for loss in LOSSES for copy in range(copies)]
    population = _Population(load_task("digits"), model(), trainings, TrainingConfig(steps=10), 0, "cpu")
    population._step(0, torch.arange(100))  # allocates
    with Counted() as counted:
        population._step(1, torch.arange(100))
    return counted.calls


@pytest.mark.parametrize(("model", "most"), [(chain, 65), (dropout, 85)])
def test_a_step_makes_as_many_calls_for_four_times_the_networks(model: Callable[[], nn.Module], most: int) -> None:
    """Counted from 16 on: of eight losses some operands are a single row, which needs no gathering."""
    few, many = calls_in_a_step(model, 2), calls_in_a_step(model, 8)
    assert len(many) <= len(few) <= most


def test_a_step_of_a_chain_is_five_products() -> None:
    """Forward and gradient of two layers, and the gradient between them."""
    names = ("mm", "addmm", "bmm", "baddbmm")
    assert sum(name.startswith(names) for name in calls_in_a_step(chain, 2)) == 5


class Untrained:
    """Remembers what would have been trained."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def evaluate(self, jobs: Sequence[Job], on_outcomes: OnOutcomes = unheard) -> list[Outcome]:
        self.jobs += jobs
        outcomes = [Outcome(str(job.expression), "", Status.TRAINED, Stage.TRAINING, "", 0.5, 0.1) for job in jobs]
        on_outcomes(dict(enumerate(outcomes)))
        return outcomes


@pytest.mark.parametrize(
    ("config", "most"),
    [(FunnelConfig(derivative=False, descent=False), 0.12), (FunnelConfig(derivative=True, descent=True), 0.03)],
    ids=["paper", "default"],
)
def test_the_funnel_trains_a_small_part_of_random_trees(config: FunnelConfig, most: float) -> None:
    elements, rng = Elements(PAPER_WEIGHTS), generator(0, "work")
    trees = [elements.tree(rng, 3) for _ in range(500)]
    untrained = Untrained()
    funnel = Funnel(load_task("digits"), TrainingConfig(), config, lambda counts: untrained)
    outcomes = funnel.evaluate([Job(tree, 0) for tree in trees])
    assert len(outcomes) == len(trees)
    assert 0 < len(untrained.jobs) <= most * len(trees)
