"""What every evaluator is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Remaining:
    """What a stopped judgement waits for: `evaluator.evaluate(jobs, on_outcomes)`."""

    evaluator: Evaluator
    jobs: list[Job]
    on_outcomes: OnOutcomes


# It yields what remains, once, is sent the outcomes of that, and returns the outcomes of all.
Judging = Generator[Remaining, list[Outcome], list[Outcome]]


class Wrapping(Evaluator, ABC):
    """An evaluator that wraps another, and can stop where that one is to begin."""

    @abstractmethod
    def judging(self, jobs: Sequence[Job], on_outcomes: OnOutcomes = unheard) -> Judging:
        """`evaluate`, with the evaluation behind all stages left to the caller."""
        ...

    def evaluate(self, jobs: Sequence[Job], on_outcomes: OnOutcomes = unheard) -> list[Outcome]:
        return completed(self.judging(jobs, on_outcomes))


def judging(evaluator: Evaluator, jobs: list[Job], on_outcomes: OnOutcomes) -> Judging:
    """A judgement by any evaluator, stopped before the one that wraps no other."""
    if isinstance(evaluator, Wrapping):
        return (yield from evaluator.judging(jobs, on_outcomes))
    return (yield Remaining(evaluator, jobs, on_outcomes))


def completed(judging: Judging) -> list[Outcome]:
    """A judgement to its end, in this thread."""
    remaining = next(judging)
    return resumed(judging, remaining.evaluator.evaluate(remaining.jobs, remaining.on_outcomes))


def resumed(judging: Judging, outcomes: list[Outcome]) -> list[Outcome]:
    """A stopped judgement, from the outcomes that it waited for (of which its listeners know) to its end."""
    try:
        judging.send(outcomes)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a judgement asked twice")
