"""What a part of a batch comes down to, wherever it is done: networks to train, or a user's function to call."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from glo.execution.trial import Reports, judge, trial_of
from glo.records import Result, Training, TrainingConfig
from glo.tasks import Objective, Problem
from glo.training import train_networks, trains_together


def train_part(
    problem: Problem,
    trainings: Sequence[Training],
    config: TrainingConfig,
    seed: int,
    device: torch.device | str,
    test: bool,
    together: bool,
    earlier: Reports | None = None,
) -> list[Result]:
    """The results of trainings of one seed.

    Args:
        problem: a task, or an objective, which is called for one training after the other.
        together: whether networks are trained as one population.
        earlier: what earlier candidates have reported, or had at the rungs, by step.
    """
    if isinstance(problem, Objective):
        return [judge(problem, trial_of(problem, training, config, seed, earlier)) for training in trainings]
    return train_networks(problem, trainings, config, seed, device, test, together, earlier)


def is_population(problem: Problem, device: torch.device | str, config: TrainingConfig) -> bool:
    """Whether trainings are done together; see `trains_together`."""
    return not isinstance(problem, Objective) and trains_together(problem, device, config.batch_size)
