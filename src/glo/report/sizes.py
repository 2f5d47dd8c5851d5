"""The candidates of a page, each parsed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glo.errors import ExpressionError
from glo.expr import Expr, parse
from glo.report.content import Candidate


@dataclass(frozen=True)
class Sized:
    """A candidate with its tree; None for a text that is no expression, which a damaged store may have."""

    candidate: Candidate
    tree: Expr | None

    @property
    def size(self) -> int:
        """Nodes of the expression; 0 if it is none."""
        return 0 if self.tree is None else self.tree.nodes


def sized(candidates: Sequence[Candidate]) -> list[Sized]:
    """The candidates with their trees."""
    return [Sized(candidate, _tree(candidate.expression)) for candidate in candidates]


def _tree(text: str) -> Expr | None:
    try:
        return parse(text)
    except ExpressionError:
        return None
