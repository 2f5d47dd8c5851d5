"""Where a candidate comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """How a search has made a candidate, when it made it first.

    Attributes:
        how: "given", "random", "crossover", "mutation", or "crossover and mutation".
        parents: their expressions; of a crossover first the one whose subtree was replaced.
    """

    how: str
    parents: tuple[str, ...] = ()
