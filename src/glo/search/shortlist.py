"""A given list of expressions as a `Search`, to confirm the finalists of another search."""

from __future__ import annotations

from collections.abc import Sequence

from glo.expr import Expr
from glo.records import Outcome


class Shortlist:
    """Asks for the given expressions once."""

    def __init__(self, expressions: Sequence[Expr]) -> None:
        self._expressions = list(expressions)

    @property
    def done(self) -> bool:
        return not self._expressions

    def ask(self) -> list[Expr]:
        return list(self._expressions)

    def tell(self, outcomes: Sequence[Outcome]) -> None:  # noqa: ARG002 - outcomes change nothing
        self._expressions = []
