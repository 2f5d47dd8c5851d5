"""The protocol of a search.

    while not search.done:
        expressions = search.ask()
        search.tell([evaluate(expression) for expression in expressions])

The genetic algorithm, CMA-ES and enumeration are all searches, so the same loop runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from glo.expr import Expr
from glo.records import Origin, Outcome

# For each expression: its fingerprint if it passes the cheap checks of the funnel, else None.
Screen = Callable[[Sequence[Expr]], list[str | None]]


class Search(Protocol):
    """Suggests expressions, and learns from their outcomes.  A search never sees a network, data or a machine.

    `ask` and `tell` are called in turns until `done`.  `ask` may depend only on the configuration and seed of the search and
    on the outcomes told so far; all random numbers come from generators derived from the seed.  So a study is resumed by
    telling a new search the recorded outcomes.

    Every search must pass `glo.testing.SearchContract`.
    """

    @property
    def done(self) -> bool:
        """Whether the search has ended: all outcomes are told, and `ask` is not called again."""
        ...

    def ask(self) -> list[Expr]:
        """Return the next expressions to evaluate, at least one; the list belongs to the caller."""
        ...

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Receive the outcomes of the expressions that `ask` returned last.

        Args:
            outcomes: one for each expression, in the same order, whatever its status.  Higher fitness is
                better: one that is minimised arrives with its sign changed.  A failed candidate has fitness 0, or minus
                infinity where fitness may be any number.
        """
        ...


@runtime_checkable
class KnowsOrigins(Protocol):
    """A search that can say how it has made its candidates, for the family tree of a report."""

    def origin(self, expression: Expr) -> Origin | None:
        """How a candidate was made when it was first asked for; None if that is not known."""
        ...
