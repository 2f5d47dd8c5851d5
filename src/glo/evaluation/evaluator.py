"""What every evaluator is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from glo.records import Job, Outcome


class Evaluator(Protocol):
    """Judges jobs.  Evaluators wrap each other: structure(cached(derivative(descent(local))))."""

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome for each job, in order.  A candidate that fails is an outcome, never an exception."""
        ...
