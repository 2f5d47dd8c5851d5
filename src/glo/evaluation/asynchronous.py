"""Judging that takes the next candidate before the last ones are done, and gives outcomes as they come."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from glo.evaluation.evaluator import Judging, Remaining, resumed
from glo.evaluation.funnel import Funnel
from glo.evaluation.training import LocalEvaluator
from glo.execution import Flow
from glo.records import Job, Outcome


class Asynchronous(Protocol):
    """Judges candidates, several at a time.  A candidate has a number and some jobs: one for each seed."""

    @property
    def slots(self) -> int:
        """How many candidates are worth having under way now; it may change."""
        ...

    def submit(self, number: int, jobs: Sequence[Job]) -> None:
        """Begin with a candidate; never waits, however many are under way."""
        ...

    def next(self) -> tuple[int, list[Outcome]]:
        """Wait for whichever ends first: its number, and the outcomes of its jobs in order."""
        ...

    def close(self) -> None:
        """Give up what is under way."""
        ...


class Flowing:
    """What a `LocalEvaluator` is, asynchronously.

    Args:
        evaluator: says what is to be trained for a job, and what comes of it.
        flow: trains, of the evaluator's task and configuration.
    """

    def __init__(self, evaluator: LocalEvaluator, flow: Flow) -> None:
        self._evaluator, self._flow = evaluator, flow
        self._under_way: dict[int, tuple[Sequence[Job], float]] = {}  # and since when

    @property
    def slots(self) -> int:
        return self._flow.slots

    def submit(self, number: int, jobs: Sequence[Job]) -> None:
        self._under_way[number] = jobs, time.perf_counter()
        self._flow.begin(number, *self._evaluator.trainings(jobs))

    def next(self) -> tuple[int, list[Outcome]]:
        number, results = self._flow.next()
        jobs, begun = self._under_way.pop(number)
        outcomes = self._evaluator.outcomes(jobs, results)
        self._evaluator.count(outcomes, time.perf_counter() - begun)
        return number, outcomes

    def close(self) -> None:
        self._under_way.clear()
        self._flow.close()


class Stream:
    """A funnel with asynchronous judging behind its stages; it is asynchronous itself.

    Args:
        funnel: its stages are run here, when a candidate is submitted; who falls at one is next.
        trains: the rest, in place of the funnel's own.
    """

    def __init__(self, funnel: Funnel, trains: Asynchronous) -> None:
        self._funnel, self._trains = funnel, trains
        self._judged: deque[tuple[int, list[Outcome]]] = deque()
        self._stopped: dict[int, tuple[Judging, Remaining]] = {}  # before their training

    @property
    def slots(self) -> int:
        return self._trains.slots

    def submit(self, number: int, jobs: Sequence[Job]) -> None:
        judging = self._funnel.judging(jobs)
        remaining = next(judging)
        if remaining.jobs:
            self._stopped[number] = judging, remaining
            self._trains.submit(number, remaining.jobs)
        else:
            self._judged.append((number, resumed(judging, [])))

    def next(self) -> tuple[int, list[Outcome]]:
        if self._judged:
            return self._judged.popleft()
        number, outcomes = self._trains.next()
        judging, remaining = self._stopped.pop(number)
        remaining.on_outcomes(dict(enumerate(outcomes)))
        return number, resumed(judging, outcomes)

    def close(self) -> None:
        self._trains.close()
