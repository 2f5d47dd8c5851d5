"""What every search is: it asks for expressions to be judged, and is told what came of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from glo.expr import Expr
from glo.records import Outcome

# For each expression, its fingerprint if it passes the cheap stages of the funnel, else None.
Screen = Callable[[Sequence[Expr]], list[str | None]]


class Search(Protocol):
    """A search knows nothing of networks, data or machines.

    `ask` depends only on the search's own configuration and seed and on what it was told before; this is what makes
    resuming a run a replay.  `ask` and `tell` alternate until `done`.
    """

    @property
    def done(self) -> bool:
        """Whether there is nothing more to ask."""
        ...

    def ask(self) -> list[Expr]:
        """The next expressions to judge."""
        ...

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """The outcomes of what was asked last, in the same order."""
        ...
