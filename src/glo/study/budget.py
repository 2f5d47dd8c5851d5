"""The time that one call of a study may take (docs/decisions/0026-budgets.md)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from glo.records import PhaseKind
from glo.store import GenerationRecord
from glo.study.config import StudyConfig
from glo.study.pace import Engine, confirmation_seconds, generation_seconds, round_seconds, seconds_left
from glo.study.phases import Phase

MARGIN = 1.25  # of the expected time of a confirmation, kept free for it


@dataclass
class Budget:
    """Ends the phases of a study in time: the genetic phase so early that its confirmation ends in time too.

    Attributes:
        seconds: how long the study may take from `begin` on.
        clock: seconds, by which they are measured.
        spent: whether time has ended a phase.
    """

    seconds: float = math.inf
    clock: Callable[[], float] = time.perf_counter
    spent: bool = False

    def __post_init__(self) -> None:
        self._end, self._engine = math.inf, Engine

    def begin(self, engine: Callable[[], Engine]) -> None:
        """Time runs from now on.

        Args:
            engine: asked whenever it matters, because workers of a cluster come and go.
        """
        self._end, self._engine = self.clock() + self.seconds, engine

    def is_up(self, phase: Phase, config: StudyConfig, history: Sequence[GenerationRecord]) -> bool:
        """Whether the phase ends: its next generation, arrival or round is not expected to end in time.

        The first generation of a study, of which nothing is known, is begun if there is any time.
        """
        if self._end == math.inf:
            return False
        if phase.round is not None:
            needed = round_seconds(config, history, self._engine(), phase.round)
        else:
            needed = generation_seconds(history, phase.kind)
            needed += self._reserve(config, history) * (phase.kind is PhaseKind.GENETIC)
        return self._is_spent(needed)

    def breaks_off(self, phase: Phase, config: StudyConfig, history: Sequence[GenerationRecord]) -> bool:
        """Whether a generation is given up while it runs, because only the time of the confirmation is left.

        That of a population is not: its results come all at once, or nearly so.
        """
        if self._end == math.inf or self._engine().together or phase.kind is not PhaseKind.GENETIC:
            return False
        return self._is_spent(self._reserve(config, history))

    def _reserve(self, config: StudyConfig, history: Sequence[GenerationRecord]) -> float:
        return MARGIN * confirmation_seconds(config, history, self._engine())

    def left(self, config: StudyConfig, history: Sequence[GenerationRecord]) -> float | None:
        """Expected seconds until the end of the phase that is under way, with its confirmation; None if nobody knows."""
        expected, allowed = seconds_left(config, history, self._engine()), max(0.0, self._end - self.clock())
        if expected is None:
            return allowed if allowed < math.inf else None
        return min(expected, allowed)

    def _is_spent(self, needed: float) -> bool:
        left = self._end - self.clock()
        up = left <= 0 or left < needed
        self.spent = self.spent or up
        return up
