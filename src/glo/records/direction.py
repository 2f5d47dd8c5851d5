"""Which scores are better."""

from __future__ import annotations

from enum import StrEnum


class Direction(StrEnum):
    """Whether the higher or the lower of two scores is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"

    @property
    def sign(self) -> int:
        """1 or -1: times this, the higher score is always better."""
        return 1 if self is Direction.MAXIMIZE else -1
