"""What every evaluator is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from glo.records import Job, Outcome

# Told the outcomes of jobs as they become known, by position: one, or several that ended together.
OnOutcomes = Callable[[Mapping[int, Outcome]], None]


class Evaluator(Protocol):
    """Judges jobs.  Evaluators wrap each other: structure(cached(derivative(descent(local))))."""

    def evaluate(self, jobs: Sequence[Job], on_outcomes: OnOutcomes = ...) -> list[Outcome]:
        """One outcome for each job, in order.  A candidate that fails is an outcome, never an exception.

        Args:
            on_outcomes: told each of them once, as soon as it is known, in any order.
        """
        ...


def unheard(outcomes: Mapping[int, Outcome]) -> None:
    """Tells nobody."""


def elsewhere(on_outcomes: OnOutcomes, positions: Sequence[int]) -> OnOutcomes:
    """For an evaluator that is given some of the jobs: their positions among all of them."""
    return lambda outcomes: on_outcomes({positions[i]: outcome for i, outcome in outcomes.items()})
