"""Ask and tell: a study whose trials the caller judges in a loop of their own."""

from __future__ import annotations

import time
from collections import deque
from contextlib import ExitStack

from glo.errors import StudyError
from glo.evaluation import SeedAverage
from glo.execution import Batch, Key, Trial
from glo.execution.trial import trial_of
from glo.records import Failure, Result, Status
from glo.search import SteadyStateSearch
from glo.study.loop import Loop
from glo.study.phases import phases
from glo.tasks import Objective


class _NothingToldError(Exception):
    """No trial was told since the last call."""


class TellingExecutor:
    """An executor that hands its trainings out as trials, and is told their results."""

    slots, device = 1, "cpu"

    def __init__(self) -> None:
        self._waiting: deque[Trial] = deque()
        self._places: dict[Trial, tuple[Key, int]] = {}  # of the trials that were handed out or wait
        self._told: deque[tuple[Key, dict[int, Result]]] = deque()

    def submit(self, key: Key, batch: Batch) -> None:
        assert isinstance(batch.task, Objective)  # noqa: S101 - the caller checks it
        for position, (training, seed) in enumerate(zip(batch.trainings, batch.seeds, strict=True)):
            trial = trial_of(batch.task, training, batch.config, seed, batch.earlier)
            self._waiting.append(trial)
            self._places[trial] = key, position

    def next(self) -> tuple[Key, dict[int, Result]]:
        if not self._told:
            raise _NothingToldError
        return self._told.popleft()

    def close(self) -> None:
        self._waiting.clear()
        self._places.clear()
        self._told.clear()

    def take(self) -> Trial | None:
        """The next trial, if one waits."""
        return self._waiting.popleft() if self._waiting else None

    def tell(self, trial: Trial, result: Result) -> None:
        """The result of a trial.

        Raises:
            StudyError: if it was not asked for, or was told already.
        """
        if trial in self._waiting or (place := self._places.pop(trial, None)) is None:
            raise StudyError(f"trial {trial.number} was told already, or was not asked for in this process")
        key, position = place
        self._told.append((key, {position: result}))


class Asking:
    """Hands out the trials of a steady-state phase one by one, and records what it is told.

    Trials that were asked for and never told, because the process died, are handed out again, in the same order.

    Args:
        loop: of a study with an objective, on a `TellingExecutor`.

    Attributes:
        cleanup: closed with it: the store and its lock.
    """

    def __init__(self, loop: Loop, executor: TellingExecutor) -> None:
        self._loop, self._executor, self.cleanup = loop, executor, ExitStack()
        self._phase = next(phases(loop.config, loop.funnel(loop.config.training).screen, loop.history))
        if not isinstance(self._phase.search, SteadyStateSearch):
            raise StudyError(f"study '{loop.name}' is searched by generations: ask and tell need a steady-state search")
        self._arrivals = loop.arrivals_of(self._phase)
        for record in loop.replayed(self._phase, self._arrivals):
            loop.keep(record, self._phase)
        self._evaluator = SeedAverage(loop.funnel(self._phase.training), self._phase.seeds)
        for number, expression in self._arrivals.under_way.items():
            self._evaluator.submit({number: expression})
        self._started = time.perf_counter()
        self._settle()

    def ask(self) -> Trial:
        """The next trial.  Candidates that the funnel rejects or knows are recorded on the way.

        Raises:
            StudyError: if all candidates have been asked for.
        """
        while (trial := self._executor.take()) is None:
            if self._arrivals.search.exhausted:
                raise StudyError(
                    f"study '{self._loop.name}' has no further trial: all {self._loop.config.candidates} are asked"
                )
            self._evaluator.submit(self._arrivals.ask())
            self._settle()
        return trial

    def tell(self, trial: Trial, score: object = None, failed: str | None = None) -> None:
        """The score of a trial, or why there is none; it is recorded at once.

        Raises:
            StudyError: if the trial was told already.
        """
        result = trial.result(score) if failed is None else Failure(Status.CRASHED, failed)
        self._executor.tell(trial, result)
        self._settle()

    def close(self) -> None:
        """Give up the trials that were not told, and the lock of the study."""
        self._evaluator.close()
        self.cleanup.close()

    def _settle(self) -> None:
        """Record all outcomes that are known."""
        loop = self._loop
        while True:
            try:
                outcomes = self._evaluator.next()
            except _NothingToldError:
                return
            for number, outcome in outcomes.items():
                loop.listener.on_outcome(outcome)
                now = time.perf_counter()
                record = loop.arrival(self._phase, self._arrivals.arrive(number), outcome, now - self._started)
                self._started = now
                loop.keep(record, self._phase)
                self._arrivals.search.tell(loop.as_merits([outcome]))
