"""Evaluators that take the next candidate before the last ones are done, and give outcomes as they come."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from glo.evaluation.evaluator import Evaluator, Judging, resumed
from glo.evaluation.funnel import Funnel
from glo.expr import ProbePoints, fingerprint
from glo.records import FunnelCounts, Job, Outcome, Stage, Status, new_counts
from glo.training.processes import Children, Died


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


class InTurn:
    """One after the other, by an evaluator in this process."""

    slots = 1

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._waiting: deque[tuple[int, Sequence[Job]]] = deque()

    def submit(self, number: int, jobs: Sequence[Job]) -> None:
        self._waiting.append((number, jobs))

    def next(self) -> tuple[int, list[Outcome]]:
        number, jobs = self._waiting.popleft()
        return number, self._evaluator.evaluate(jobs)

    def close(self) -> None:
        self._waiting.clear()


class InChildren:
    """Each candidate in a forked child with one thread; one whose process dies has crashed.

    Args:
        evaluator: what a child does.
        counts: where the evaluator counts; what it counts in a child is added here.
        points: where fingerprints look.
        slots: how many children at once.
    """

    def __init__(self, evaluator: Evaluator, counts: FunnelCounts, points: ProbePoints, slots: int) -> None:
        self.slots = slots
        self._evaluator, self._counts, self._points = evaluator, counts, points
        self._waiting: deque[tuple[int, Sequence[Job]]] = deque()
        self._jobs: dict[int, Sequence[Job]] = {}  # of those under way
        self._children = Children()

    def submit(self, number: int, jobs: Sequence[Job]) -> None:
        self._waiting.append((number, jobs))
        self._start()

    def next(self) -> tuple[int, list[Outcome]]:
        number, found = self._children.next()
        jobs = self._jobs.pop(number)
        self._start()
        if isinstance(found, Died):
            return number, [self._crashed(job, found) for job in jobs]
        outcomes, counts = found
        for stage, count in counts.items():
            self._counts[stage].add(count)
        return number, outcomes

    def close(self) -> None:
        self._waiting.clear()
        self._children.kill()

    def _start(self) -> None:
        while self._waiting and len(self._children) < self.slots:
            number, jobs = self._waiting.popleft()
            self._jobs[number] = jobs
            self._children.start(number, partial(self._work, jobs))

    def _work(self, jobs: Sequence[Job]) -> tuple[list[Outcome], FunnelCounts]:
        """In the child: what it counts must go back with the outcomes."""
        self._counts.update(new_counts())
        return self._evaluator.evaluate(jobs), self._counts

    def _crashed(self, job: Job, died: Died) -> Outcome:
        mark = fingerprint(job.expression, self._points)
        return Outcome(str(job.expression), mark, Status.CRASHED, Stage.TRAINING, str(died))


def on_this_machine(funnel: Funnel, slots: int) -> Asynchronous:
    """The training behind a funnel, for so many candidates at once."""
    return InTurn(funnel.trains) if slots == 1 else InChildren(funnel.trains, funnel.counts, funnel.points, slots)


class Stream:
    """A funnel with asynchronous training behind its stages; it is asynchronous itself.

    Args:
        funnel: its stages are run here, when a candidate is submitted; who falls at one is next.
        trains: the rest, in place of the funnel's own.
    """

    def __init__(self, funnel: Funnel, trains: Asynchronous) -> None:
        self._funnel, self._trains = funnel, trains
        self._judged: deque[tuple[int, list[Outcome]]] = deque()
        self._stopped: dict[int, Judging] = {}  # before their training

    @property
    def slots(self) -> int:
        return self._trains.slots

    def submit(self, number: int, jobs: Sequence[Job]) -> None:
        judging = self._funnel.judging(jobs)
        _, passing = next(judging)
        if passing:
            self._stopped[number] = judging
            self._trains.submit(number, passing)
        else:
            self._judged.append((number, resumed(judging, [])))

    def next(self) -> tuple[int, list[Outcome]]:
        if self._judged:
            return self._judged.popleft()
        number, outcomes = self._trains.next()
        return number, resumed(self._stopped.pop(number), outcomes)

    def close(self) -> None:
        self._trains.close()
