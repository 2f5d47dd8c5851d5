"""The phases of a run: which search asks, and over which seeds its candidates are judged."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from glo.expr import Expr, parse
from glo.records import Outcome, Phase, Status, TrainingConfig, derive_seeds
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
from glo.study.config import RunConfig

logger = logging.getLogger("glo")


@dataclass(frozen=True)
class Leg:
    """One phase: its search, and how its candidates are judged.

    Attributes:
        seeds: over which each candidate's fitness is averaged.
        training: how each is trained.
    """

    phase: Phase
    search: Search
    seeds: tuple[int, ...]
    training: TrainingConfig


def legs(config: RunConfig, screen: Screen, history: Sequence[GenerationRecord]) -> Iterator[Leg]:
    """The phases of a run, in order; a later one begins where the history that came before it ends.

    Args:
        config: of the run.
        screen: of its funnel.
        history: the run's generations; it grows between one phase and the next.
    """

    def leg(phase: Phase, search: Search, seeds: Sequence[int]) -> Leg:
        # A mean over seeds is to be of whole trainings: some good losses start slowly with some seeds.
        patient = config.training.model_copy(update={"early_stop": 0.0})
        return Leg(phase, search, tuple(seeds), config.training if len(seeds) == 1 else patient)

    seeds = (config.seed, *derive_seeds(config.seed, "repeat", config.repeats - 1))
    for phase in config.phases:
        if phase is Phase.GENETIC:
            search = SteadyStateSearch if config.genetic.steady_state else GeneticSearch
            yield leg(phase, search(config.genetic, config.seed, config.generations, screen), seeds)
        elif phase is Phase.ENUMERATION:
            yield leg(phase, EnumerationSearch(config.enumeration, config.genetic.weights, screen), seeds)
        elif start := start_of_tuning(config, history):
            positions = tuned_positions(start, config.coefficients.which, config.on_ladder)
            if positions == [0]:
                logger.warning("no coefficient changes the shape of %s: only its overall scale is tuned", start)
            tuning = CoefficientSearch(config.coefficients, start, positions, config.seed)
            yield leg(phase, tuning, seeds)
            fresh = derive_seeds(config.seed, "confirmation", config.coefficients.confirmations)
            yield leg(Phase.CONFIRMATION, Shortlist([start, tuning.best, tuning.mean]), fresh)


def start_of_tuning(config: RunConfig, history: Sequence[GenerationRecord]) -> Expr | None:
    """What is tuned: the expression of the configuration, else the best of the history, if anything could be trained."""
    if config.coefficients.expression:
        return parse(config.coefficients.expression)
    ranked = rank([outcome for record in history for outcome in record.outcomes])
    return parse(ranked[0].expression) if ranked else None


def rank(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that were trained, each fingerprint once: the fittest first, of equals the smallest, then the earliest."""
    distinct: dict[str, Outcome] = {}
    for outcome in outcomes:
        if outcome.status is Status.TRAINED:
            distinct.setdefault(outcome.fingerprint, outcome)
    return sorted(distinct.values(), key=lambda o: (-o.fitness, parse(o.expression).nodes))
