"""What both ways of training share: the batches, the chance level, and the form of a result."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glo.expr import Expr
from glo.loss import LINKS
from glo.records import TrainingConfig, derive_seed
from glo.tasks import Split, Task

EVALUATION_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Training:
    """One network to train: a loss and a learning rate."""

    expression: Expr
    learning_rate: float


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What came of one network.

    Attributes:
        validation: metric on the validation split; 0 if it diverged.
        diverged: whether outputs or the loss are NaN or infinite.
        stopped: whether it was given up at chance.
        curve: (step, validation metric) pairs, if asked for.
        test: metric on the test split, if asked for.
    """

    validation: float
    diverged: bool = False
    stopped: bool = False
    curve: tuple[tuple[int, float], ...] = ()
    test: float | None = None


def finished(score: float, diverged: bool, curve: tuple[tuple[int, float], ...], test: float | None) -> TrainingResult:
    """The result of a training that ran to its end; NaN or infinity in outputs or loss make it worth 0 (section III.A)."""
    if diverged:
        return TrainingResult(0.0, diverged, curve=curve, test=None if test is None else 0.0)
    return TrainingResult(score, curve=curve, test=test)


def fresh_model(task: Task, seed: int) -> nn.Module:
    """The task's model with the initial weights of this seed; global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        return task.model()


def seed_dropout(seed: int) -> None:
    """Seed what dropout draws from; to be called inside `torch.random.fork_rng`.

    PyTorch's dropout knows only the global generator, so it is seeded for a training and put back afterwards.
    """
    torch.manual_seed(derive_seed(seed, "dropout"))


def batches(samples: int, config: TrainingConfig, seed: int) -> Iterator[Tensor]:
    """Indices of each step's batch: shuffled epochs, an incomplete last batch left out."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "batches"))
    size = min(config.batch_size, samples)
    step = 0
    while True:
        order = torch.randperm(samples, generator=generator)
        for start in range(0, samples - size + 1, size):
            if step == config.steps:
                return
            yield order[start : start + size]
            step += 1


def rate_factor(config: TrainingConfig, step: int) -> float:
    """What the schedule multiplies the learning rate by at a step (0 is the first)."""
    factor = 1.0
    for start, multiplier in config.schedule:
        factor *= multiplier if step >= start else 1.0
    return factor


def early_stop_step(config: TrainingConfig) -> int | None:
    """The step before which networks at chance are given up, or None."""
    return max(1, round(config.early_stop * config.steps)) if config.early_stop else None


def as_matrix(outputs: Tensor) -> Tensor:
    """Outputs (..., N) of a network with one output as (..., N, 1)."""
    return outputs.unsqueeze(-1) if outputs.dim() == 1 else outputs


def measure(task: Task, split: Split, outputs: Tensor) -> tuple[float, bool]:
    """Metric of one network's outputs (N, C), and whether it diverged."""
    if not bool(torch.isfinite(outputs).all()):
        return 0.0, True
    score = task.score(LINKS[task.link].predict(outputs, 1), split.targets)  # pyright: ignore[reportArgumentType]
    return (score, False) if math.isfinite(score) else (0.0, True)
