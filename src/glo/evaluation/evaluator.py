"""What every evaluator is."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol, runtime_checkable

from glo.records import Job, Outcome


class Evaluator(Protocol):
    """Judges jobs.  Evaluators wrap each other: structure(cached(derivative(descent(local))))."""

    def evaluate(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome for each job, in order.  A candidate that fails is an outcome, never an exception."""
        ...


# It yields an evaluator and jobs for it, once, is sent their outcomes, and returns the outcomes of all.
Judging = Generator[tuple[Evaluator, list[Job]], list[Outcome], list[Outcome]]


@runtime_checkable
class Wrapping(Evaluator, Protocol):
    """An evaluator that wraps another, and can stop where that one is to begin."""

    def judging(self, jobs: Sequence[Job]) -> Judging:
        """`evaluate`, with the evaluation behind all stages left to the caller."""
        ...


def judging(evaluator: Evaluator, jobs: list[Job]) -> Judging:
    """A judgement by any evaluator, stopped before the one that wraps no other."""
    if isinstance(evaluator, Wrapping):
        return (yield from evaluator.judging(jobs))
    return (yield evaluator, jobs)


def completed(judging: Judging) -> list[Outcome]:
    """A judgement to its end, in this thread."""
    evaluator, jobs = next(judging)
    return resumed(judging, evaluator.evaluate(jobs))


def resumed(judging: Judging, outcomes: list[Outcome]) -> list[Outcome]:
    """A stopped judgement, from the outcomes that it waited for to its end."""
    try:
        judging.send(outcomes)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a judgement asked twice")
