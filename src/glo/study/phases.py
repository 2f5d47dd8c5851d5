"""The phases of a study: which search asks for candidates, and over which seeds they are evaluated."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from glo.errors import ConfigError
from glo.expr import Expr, parse
from glo.records import Direction, PhaseKind, TrainingConfig, derive_seeds
from glo.search import (
    CoefficientSearch,
    EnumerationSearch,
    GeneticConfig,
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
        rates: learning rates by expression, where each has one already.
        round: number of the round, in the confirmation of a search.
    """

    kind: PhaseKind
    search: Search
    seeds: tuple[int, ...]
    training: TrainingConfig
    rates: Mapping[str, float] = field(default_factory=dict[str, float])
    round: int | None = None


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
        training = config.training
        if len(seeds) > 1:  # a mean over seeds needs whole trainings: some good losses start slowly with some seeds
            training = training.whole
        elif kind is not PhaseKind.GENETIC:  # the others rank all their candidates, also the worse ones
            training = training.model_copy(update={"rungs": ()})
        return Phase(kind, search, tuple(seeds), training)

    seeds = (config.seed, *derive_seeds(config.seed, "repeat", config.repeats - 1))
    for kind in config.phases:
        if kind is PhaseKind.GENETIC:
            genetic = as_merits(config)
            if genetic.steady_state:
                search: Search = SteadyStateSearch(genetic, config.seed, config.candidates, screen)
            else:
                search = GeneticSearch(genetic, config.seed, config.generations, screen, config.trials)
            while not search.done:  # if time ends the phase before, a later call goes on with it
                known = len(history)
                yield phase(kind, search, seeds)
                if len(history) == known:
                    return
                yield from confirmation(config, history)
        elif kind is PhaseKind.ENUMERATION:
            genetic = config.genetic
            yield phase(kind, EnumerationSearch(config.enumeration, genetic.weights, screen, genetic.forbidden), seeds)
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


def as_merits(config: StudyConfig) -> GeneticConfig:
    """The genetic options with the target as a search sees it, to which higher fitness is better."""
    target = config.genetic.target
    if target is None or config.task.direction is Direction.MAXIMIZE:
        return config.genetic
    return config.genetic.model_copy(update={"target": -target})


def confirmation(config: StudyConfig, history: Sequence[GenerationRecord]) -> Iterator[Phase]:
    """Train the best candidates again on fresh seeds, each at its own learning rate: successive halving.

    The fitness of the best of a search is the best of hundreds, so chance flatters it.  Each round keeps the better half on
    twice the seeds, so that the effort goes into telling the best apart (Karnin et al. 2013).  The seeds of a round are
    among those of the next, whose means are over all trainings so far; trainings that are known are not repeated.
    """
    wanted, direction = config.confirmation, config.task.direction
    seeds = derive_seeds(config.seed, "finalists", wanted.seeds)
    training = config.training.whole
    ranked = rank([outcome for record in history for outcome in record.outcomes], direction)[: wanted.candidates]
    rates = {outcome.expression: outcome.learning_rate for outcome in ranked if outcome.learning_rate is not None}
    for number in range(wanted.rounds):
        finalists = [parse(outcome.expression) for outcome in ranked[: wanted.candidates_of(number)]]
        if not finalists:
            return
        among = tuple(seeds[: wanted.seeds_of(number)])
        yield Phase(PhaseKind.CONFIRMATION, Shortlist(finalists), among, training, rates, number)
        ranked = rank(history[-1].outcomes, direction)


def start_of_tuning(config: StudyConfig, history: Sequence[GenerationRecord]) -> Expr | None:
    """The expression whose coefficients are tuned: that of the configuration, else the best of the history, if any."""
    if config.coefficients.expression:
        return parse(config.coefficients.expression)
    confirmed = [record for record in history if record.phase is PhaseKind.CONFIRMATION]
    outcomes = [outcome for record in confirmed[-1:] or history for outcome in record.outcomes]
    ranked = rank(outcomes, config.task.direction)
    return parse(ranked[0].expression) if ranked else None
