"""A few expressions, asked once: the last word on the finalists of another search."""

from __future__ import annotations

from collections.abc import Sequence

from glo.expr import Expr
from glo.records import Outcome


class Shortlist:
    """Asks for the given expressions, in one round."""

    def __init__(self, expressions: Sequence[Expr]) -> None:
        self._expressions = list(expressions)

    @property
    def done(self) -> bool:
        return not self._expressions

    def ask(self) -> list[Expr]:
        return list(self._expressions)

    def tell(self, outcomes: Sequence[Outcome]) -> None:  # noqa: ARG002 - nothing depends on it
        self._expressions = []
