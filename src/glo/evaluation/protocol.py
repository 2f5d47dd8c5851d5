"""The evaluator: it takes jobs under keys, and returns their outcomes as they become known."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol

from glo.records import Job, Outcome

Key = Hashable


class Evaluator(Protocol):
    """Evaluates jobs.  A candidate that fails is an outcome, never an exception."""

    @property
    def slots(self) -> int:
        """How many candidates are worth having under way at once; on a cluster it changes."""
        ...

    def submit(self, jobs: Mapping[Key, Job]) -> None:
        """Start jobs; the cheap checks are made at once, and no training is waited for."""
        ...

    def next(self) -> dict[Key, Outcome]:
        """Wait for outcomes, by the keys of their jobs; each job's outcome is returned once.

        Raises:
            RuntimeError: if nothing is under way.
            ClusterError: if a cluster is lost.
        """
        ...

    def close(self) -> None:
        """Give up what is under way."""
        ...


def evaluate(evaluator: Evaluator, jobs: Sequence[Job]) -> list[Outcome]:
    """Submit jobs and wait for all outcomes, in order.

    Args:
        evaluator: with nothing under way.
    """
    evaluator.submit(dict(enumerate(jobs)))
    outcomes: dict[Key, Outcome] = {}
    while len(outcomes) < len(jobs):
        outcomes |= evaluator.next()
    return [outcomes[position] for position in range(len(jobs))]
