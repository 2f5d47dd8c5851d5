"""The schedule of a training: the batch and the learning rate of each step, and the step of early stopping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from glo.records import TrainingConfig, derive_seed
from glo.tasks import Task

# The factor of a schedule by the progress of the training, from 0 to 1.
SHAPES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    "linear": lambda progress: 1 - progress,
}


def batches(samples: int, config: TrainingConfig, seed: int, device: torch.device | str = "cpu") -> Iterator[Tensor]:
    """Indices of each step's batch: shuffled epochs, each without its incomplete last batch.

    They are drawn on the CPU, so that all devices see the same batches, and sent to the device an epoch at a time.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "batches"))
    size = min(config.batch_size, samples)
    step = 0
    while True:
        order = torch.randperm(samples, generator=generator).to(device)
        for start in range(0, samples - size + 1, size):
            if step == config.steps:
                return
            yield order[start : start + size]
            step += 1


def progress_at(config: TrainingConfig, step: int) -> float:
    """The share of a training that is done at a step, as losses with `progress` see it: 0 at the first, 1 at the last."""
    return step / max(1, config.steps - 1)


def rate_factor(config: TrainingConfig, step: int) -> float:
    """The factor that the schedule multiplies the learning rate by at a step (0 is the first).

    In the W steps of a warm-up it is 1/W, 2/W, ..., 1.  Cosine and linear schedules begin after that, at 1, as PyTorch's
    `CosineAnnealingLR` and `LinearLR` do; they would be 0 at the step after the last.
    """
    rising = round(config.warmup * config.steps)
    factor = min(1.0, (step + 1) / rising) if rising else 1.0
    if isinstance(config.schedule, str):
        progress = max(0, step - rising) / max(1, config.steps - rising)
        return factor * SHAPES[config.schedule](progress)
    for start, multiplier in config.schedule:
        factor *= multiplier if step >= start else 1.0
    return factor


def depends_on_length(config: TrainingConfig) -> bool:
    """Whether a training of fewer steps would have other learning rates from the first step on."""
    return isinstance(config.schedule, str) or config.warmup > 0


def early_stop_step(task: Task, config: TrainingConfig) -> int | None:
    """The step before which networks at chance are stopped; None if early stopping is off.

    It is off for other metrics than the accuracy, since `Task.chance` takes the metric for a proportion.
    """
    return max(1, round(config.early_stop * config.steps)) if config.early_stop and task.metric == "accuracy" else None
