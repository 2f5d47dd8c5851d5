"""Good and bad losses as jobs for the digits task, shared by the whole suite."""

from __future__ import annotations

import functools

from glo.expr import parse
from glo.records import Job, TrainingConfig
from glo.tasks import Task, load_task

SHORT = TrainingConfig(steps=40, learning_rates=(0.03, 0.3))
GOOD = ("x*log(y)", "log(y) - x/y", "-square(x - y)")
# NaN at every prediction; NaN at some; no derivative; a gradient that overflows; no label; no prediction; neither.
BAD = ("x*sqrt(-1 - y)", "x*sqrt(y - 0.5)", "x + y/y", "x*exp(1e9*y)", "log(y)", "log(x)", "1")


@functools.cache
def digits() -> Task:
    """The digits task, loaded once for all tests."""
    return load_task("digits")


def jobs(*texts: str, seed: int = 0) -> list[Job]:
    """A job for each loss."""
    return [Job(parse(text), seed) for text in texts]
