"""Shows the progress of a study: generation k of n, the best so far, and the time that is left."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from glo.progress import Progress
from glo.records import PhaseKind, Status
from glo.store import GenerationRecord
from glo.study.callbacks import Callback
from glo.study.config import StudyConfig

if TYPE_CHECKING:
    from glo.study.study import Study

NAMES = {
    PhaseKind.GENETIC: "search", PhaseKind.OWN: "search", PhaseKind.ENUMERATION: "enumeration",
    PhaseKind.COEFFICIENTS: "tuning", PhaseKind.CONFIRMATION: "confirmation",
}  # fmt: skip


class ShowProgress(Callback):
    """Shows each phase of a study in a line of its own."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._config: StudyConfig | None = None  # of a study that is asked for its trials, which the caller follows himself

    def on_begin(self, study: Study) -> None:
        self._config = study.result.config
        self._generations, self._candidates = Counter[PhaseKind](), Counter[PhaseKind]()
        self._best: dict[PhaseKind, float] = {}
        self._last = self._confirmed = PhaseKind.GENETIC  # the last phase, and what a confirmation follows

    def on_replay(self, study: Study, generation: GenerationRecord) -> None:
        if self._config is not None:
            self._show(study, self._config, generation, None, milestone=False)

    def on_generation(self, study: Study, generation: GenerationRecord) -> None:
        if self._config is not None:
            milestone = generation.phase is not PhaseKind.GENETIC or not self._config.genetic.steady_state
            self._show(study, self._config, generation, study.time_left, milestone)

    def _show(
        self, study: Study, config: StudyConfig, generation: GenerationRecord, left: float | None, milestone: bool
    ) -> None:
        phase, outcomes = generation.phase, generation.outcomes
        if phase is PhaseKind.CONFIRMATION and self._last is not phase:
            self._generations[phase], self._confirmed = 0, self._last  # a study that searched on confirms again
        self._last = phase
        self._generations[phase] += 1
        self._candidates[phase] += len(outcomes)
        trained = [outcome.fitness for outcome in outcomes if outcome.status is Status.TRAINED]
        if known := [*trained, *([self._best[phase]] if phase in self._best else [])]:
            self._best[phase] = max(known, key=lambda fitness: study.task.direction.sign * fitness)
        done, total, note = self._counted(config, phase)
        if phase in self._best:
            note += f", best {self._best[phase]:.4f}"
        self._progress.show(NAMES[phase], done, total, note, left, milestone)

    def _counted(self, config: StudyConfig, phase: PhaseKind) -> tuple[int, int | None, str]:
        """How far a phase is, how far it will come, and both in words."""
        candidates = self._candidates[phase]
        if phase is PhaseKind.GENETIC and config.genetic.steady_state:
            return candidates, config.candidates, f"candidate {candidates} of {config.candidates}"
        done, total = self._generations[phase], self._planned(config, phase)
        part = "round" if phase is PhaseKind.CONFIRMATION else "generation"
        return done, total, f"{part} {done}{'' if total is None else f' of {total}'}, {candidates} candidates"

    def _planned(self, config: StudyConfig, phase: PhaseKind) -> int | None:
        """How many generations a phase has if nothing ends it before; None if only its search knows."""
        if phase is PhaseKind.GENETIC:
            return config.searched
        if phase is PhaseKind.CONFIRMATION:
            return 1 if self._confirmed is PhaseKind.COEFFICIENTS else config.confirmation.rounds
        return config.coefficients.iterations if phase is PhaseKind.COEFFICIENTS else None
