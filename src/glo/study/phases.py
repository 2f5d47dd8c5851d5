"""The phases of a study: which search asks for candidates, and over which seeds they are evaluated."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from glo.errors import ConfigError
from glo.expr import Expr, parse
from glo.records import PhaseKind, TrainingConfig, derive_seeds
from glo.search import (
    CoefficientSearch,
    EnumerationSearch,
    GeneticSearch,
    Screen,
    Search,
    Shortlist,
    SteadyStateSearch,
    tuned_positions,
)
from glo.store import GenerationRecord
from glo.study.config import StudyConfig
from glo.study.history import rank

logger = logging.getLogger("glo")


@dataclass(frozen=True)
class Phase:
    """One phase: its search, and how its candidates are evaluated.

    Attributes:
        kind: what the phase does.
        search: asks for candidates.
        seeds: over which each candidate's fitness is averaged.
        training: how each is trained.
    """

    kind: PhaseKind
    search: Search
    seeds: tuple[int, ...]
    training: TrainingConfig


def phases(
    config: StudyConfig, screen: Screen, history: Sequence[GenerationRecord], own: Search | None = None
) -> Iterator[Phase]:
    """The phases of a study, in order; each starts from the history of those before it.

    Args:
        config: of the study.
        screen: of its funnel.
        history: the study's generations; the caller appends to it while a phase runs.
        own: the user's search, for a phase of this kind.

    Raises:
        ConfigError: if the study has a phase with a search of the user's, and it is not given.
    """

    def phase(kind: PhaseKind, search: Search, seeds: Sequence[int]) -> Phase:
        # A mean over seeds needs whole trainings: some good losses start slowly with some seeds.
        patient = config.training.model_copy(update={"early_stop": 0.0})
        return Phase(kind, search, tuple(seeds), config.training if len(seeds) == 1 else patient)

    seeds = (config.seed, *derive_seeds(config.seed, "repeat", config.repeats - 1))
    for kind in config.phases:
        if kind is PhaseKind.GENETIC:
            if config.genetic.steady_state:
                search: Search = SteadyStateSearch(config.genetic, config.seed, config.candidates, screen)
            else:
                search = GeneticSearch(config.genetic, config.seed, config.generations, screen)
            yield phase(kind, search, seeds)
        elif kind is PhaseKind.ENUMERATION:
            yield phase(kind, EnumerationSearch(config.enumeration, config.genetic.weights, screen), seeds)
        elif kind is PhaseKind.OWN:
            if own is None:
                raise ConfigError("a phase of this study has a search of your own: go on with study.run(search)")
            yield phase(kind, own, seeds)
        elif start := start_of_tuning(config, history):
            positions = tuned_positions(start, config.coefficients.which, config.on_ladder)
            if positions == [0]:
                logger.warning("no coefficient changes the shape of %s: only its overall scale is tuned", start)
            tuning = CoefficientSearch(config.coefficients, start, positions, config.seed)
            yield phase(kind, tuning, seeds)
            fresh = derive_seeds(config.seed, "confirmation", config.coefficients.confirmations)
            yield phase(PhaseKind.CONFIRMATION, Shortlist([start, tuning.best, tuning.mean]), fresh)


def start_of_tuning(config: StudyConfig, history: Sequence[GenerationRecord]) -> Expr | None:
    """The expression whose coefficients are tuned: that of the configuration, else the best of the history, if any."""
    if config.coefficients.expression:
        return parse(config.coefficients.expression)
    ranked = rank([outcome for record in history for outcome in record.outcomes], config.task.direction)
    return parse(ranked[0].expression) if ranked else None
