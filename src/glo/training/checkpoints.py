"""Checkpoints: the steps of a training at which it is measured on validation, and given up if it is behind.

There are two kinds.  At the step of early stopping, a network at chance is given up.  At a rung, one that is behind a share
of what earlier candidates of the study had there (docs/decisions/0022-racing.md); so the result of a training depends on the
record of the study, and on nothing that is trained at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glo.records import Direction, TrainingConfig
from glo.tasks import Task
from glo.training.measurement import Measurement
from glo.training.schedule import early_stop_step

Earlier = Mapping[int, Sequence[float]]  # the scores of earlier candidates, by step
FEWEST = 8  # earlier candidates at a rung, before one is given up there


@dataclass(frozen=True)
class Checkpoint:
    """What a network must have reached at a step.

    Attributes:
        progress: of the training, the step as a fraction.
        direction: of the metric.
        recorded: whether the score is recorded, because it is that of a rung.
        chance: the score that a network must exceed; None where early stopping is off.
        bound: the score that a network must reach; None if too few candidates have been at this rung.
        share: the share of earlier candidates that are behind the bound.
    """

    progress: float
    direction: Direction
    recorded: bool = False
    chance: float | None = None
    bound: float | None = None
    share: float = 0.0

    def why_given_up(self, measured: Measurement) -> str | None:
        """Why a network is given up; None if it goes on.

        One whose outputs are not finite will never be; a metric that has no value may have one later.
        """
        if measured.diverged:
            return None if measured.reason and self.chance is None else "diverged"
        return self.reason(measured.score)

    def reason(self, score: float) -> str | None:
        """Why a network with this score is given up; None if it goes on."""
        if self.chance is not None and score <= self.chance:
            return f"at chance after {self.progress:.0%} of the steps"
        if self.bound is not None and self.direction.sign * (score - self.bound) < 0:
            return f"after {self.progress:.0%} of the steps, among the worst {self.share:.0%} of earlier candidates"
        return None


def checkpoints(task: Task, config: TrainingConfig, earlier: Earlier | None = None) -> dict[int, Checkpoint]:
    """The checkpoints of a training, by the number of steps after which they come.

    Args:
        earlier: what earlier candidates had at the rungs.
    """
    found: dict[int, Checkpoint] = {}
    direction, early = task.direction, early_stop_step(task, config)
    for progress, share in config.rungs:
        step = rung_step(config, progress)
        scores = sorted(direction.sign * score for score in (earlier or {}).get(step, ()))
        bound = direction.sign * float(np.quantile(scores, share)) if len(scores) >= FEWEST else None
        found[step] = Checkpoint(progress, direction, recorded=True, bound=bound, share=share)
    if early is not None:
        rung = found.get(early, Checkpoint(config.early_stop, direction))
        found[early] = Checkpoint(config.early_stop, direction, rung.recorded, task.chance(), rung.bound, rung.share)
    return found


def rung_step(config: TrainingConfig, progress: float) -> int:
    """The number of steps after which a rung comes."""
    return max(1, round(progress * config.steps))
