"""When a genetic search ends before its last generation: it has reached its target, or makes no progress."""

from __future__ import annotations

import math
from collections.abc import Sequence

from glo.records import Outcome, Status
from glo.search.config import GeneticConfig


class Ending:
    """Watches the best fitness of a search.

    Args:
        config: with a target and a patience, if any.
    """

    def __init__(self, config: GeneticConfig) -> None:
        self._target = math.inf if config.target is None else config.target
        self._patience = math.inf if config.patience is None else config.patience * config.population
        self._best, self._since = -math.inf, 0  # the best fitness, and how many candidates ago it was reached

    def tell(self, outcomes: Sequence[Outcome], candidates: int) -> None:
        """Receive outcomes, as a search does.

        Args:
            candidates: as how many they count: one, or the population of a generation.
        """
        best = max((outcome.fitness for outcome in outcomes if outcome.status is Status.TRAINED), default=-math.inf)
        self._best, self._since = (best, 0) if best > self._best else (self._best, self._since + candidates)

    @property
    def reached(self) -> bool:
        """Whether the search is to end."""
        return self._best >= self._target or self._since >= self._patience
