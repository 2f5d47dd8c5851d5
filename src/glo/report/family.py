"""The family tree of a candidate: from which parents it was bred, and how these were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glo.records import Origin, Status
from glo.report.content import Candidate

DEEPEST = 6  # generations of ancestors that are shown


@dataclass(frozen=True)
class Ancestor:
    """A loss in a family tree.

    Attributes:
        expression: of it.
        candidate: the first candidate with this expression; None for one that was never evaluated.
        how: it was made, in words; empty if that is not known.
        parents: from which it was made; empty where they are shown elsewhere in the tree, or too far back.
        more: why its parents are not shown; empty if they are, or it has none.
    """

    expression: str
    candidate: Candidate | None
    how: str
    parents: Sequence[Ancestor]
    more: str = ""

    @property
    def fitness(self) -> float | None:
        """Its fitness, if it was trained."""
        trained = self.candidate is not None and self.candidate.status is Status.TRAINED
        return self.candidate.fitness if trained and self.candidate is not None else None


def family(root: str, origins: Mapping[str, Origin], candidates: Sequence[Candidate]) -> Ancestor | None:
    """The family tree of an expression; None if its origin is not known.

    Args:
        root: text of the expression.
        origins: how candidates were made, by expression.
        candidates: all of them, in order.
    """
    if root not in origins:
        return None
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        first.setdefault(candidate.expression, candidate)
    return _ancestor(root, origins, first, set(), 0)


def _ancestor(
    text: str, origins: Mapping[str, Origin], first: Mapping[str, Candidate], shown: set[str], depth: int
) -> Ancestor:
    origin = origins.get(text)
    if origin is None:
        return Ancestor(text, first.get(text), "", ())
    if not origin.parents:
        return Ancestor(text, first.get(text), origin.how, ())
    if text in shown:
        return Ancestor(text, first.get(text), origin.how, (), "its parents are above")
    if depth == DEEPEST:
        return Ancestor(text, first.get(text), origin.how, (), "its parents are left out")
    shown.add(text)
    parents = [_ancestor(each, origins, first, shown, depth + 1) for each in dict.fromkeys(origin.parents)]
    return Ancestor(text, first.get(text), origin.how, parents)
