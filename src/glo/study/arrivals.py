"""The candidates of a steady-state phase that are under way, and what its record says of each arrival.

An arrival is recorded as a generation of one, with the digest of the expressions that were asked for since the arrival
before.  So the record has the order of the arrivals, and what was asked before each: all that a replay needs.  Candidates
that were under way when a study was killed are evaluated from their start.
"""

from __future__ import annotations

from glo.errors import ReplayError
from glo.expr import Expr
from glo.search import SteadyStateSearch
from glo.store import GenerationRecord
from glo.study.history import CHANGED, asked_digest


class Arrivals:
    """The candidates under way, by their number in the study.

    Args:
        study: its name, for messages.
        search: asks for candidates; the caller tells it each outcome.
        first: number of the first candidate.
    """

    def __init__(self, study: str, search: SteadyStateSearch, first: int) -> None:
        self.search, self.under_way = search, dict[int, Expr]()
        self._study, self._count = study, first
        self._new: list[Expr] = []  # asked for since the last arrival

    def ask(self) -> dict[int, Expr]:
        """Ask for one more candidate; returns it by its number."""
        (expression,) = self.search.ask()
        self._new.append(expression)
        return self._start([expression])

    def arrive(self, number: int) -> str:
        """A candidate has arrived; returns the digest of what was asked for since the arrival before."""
        del self.under_way[number]
        digest = asked_digest(self._new)
        self._new.clear()
        return digest

    def replay(self, record: GenerationRecord) -> None:
        """Ask for what was asked for before a recorded arrival, and take the arrived candidate out.

        Raises:
            ReplayError: if the search asks for other candidates now.
        """
        asked: list[Expr] = []
        while asked_digest(asked) != record.asked:
            if self.search.exhausted:
                raise self._other(record)
            asked += self.search.ask()
        self._start(asked)
        (outcome,) = record.outcomes
        arrived = (number for number, expression in self.under_way.items() if str(expression) == outcome.expression)
        if (number := next(arrived, None)) is None:  # of two equal candidates, the first arrives
            raise self._other(record)
        del self.under_way[number]

    def _start(self, expressions: list[Expr]) -> dict[int, Expr]:
        started = dict(enumerate(expressions, self._count))
        self.under_way |= started
        self._count += len(started)
        return started

    def _other(self, record: GenerationRecord) -> ReplayError:
        return ReplayError(
            f"study '{self._study}' cannot go on: before arrival {record.generation}, other candidates were asked for than "
            f"are asked for now (in the record, {record.outcomes[0].expression} arrives); {CHANGED}"
        )
