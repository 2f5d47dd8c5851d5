"""What the tests of runs share: a task that trains in a moment."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from torch import nn

from glo.tasks import Task

MakeTask = Callable[..., Task]


@pytest.fixture(scope="session")
def make_task() -> MakeTask:
    """Makes a task with three classes of points, told apart by a linear network; `shift` moves its data."""

    def make(shift: float = 0.0, **training: object) -> Task:
        rng = np.random.default_rng(0)
        labels = np.arange(240) % 3
        points = (rng.normal(size=(240, 4)) + 2 * np.eye(4)[labels] + shift).astype(np.float32)
        return Task(
            "points",
            model=lambda: nn.Linear(4, 3),
            train=(points[:120], labels[:120]),
            validation=(points[120:180], labels[120:180]),
            test=(points[180:], labels[180:]),
            training={"batch_size": 40, **training},
        )

    return make
