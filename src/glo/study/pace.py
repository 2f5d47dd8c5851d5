"""How long the rest of a search takes, by what its trainings have taken so far (docs/decisions/0026-budgets.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from glo.records import Outcome, PhaseKind, Stage, Status
from glo.store import GenerationRecord
from glo.study.config import StudyConfig
from glo.study.history import confirmation_rounds

RECENT = 3  # generations by which the pace is measured


@dataclass(frozen=True)
class Engine:
    """What of the machinery matters to the time that trainings take.

    Attributes:
        slots: how many trainings, or populations of one seed, run at once.
        together: whether networks of one seed are trained as a population.
    """

    slots: int = 1
    together: bool = False


@dataclass(frozen=True)
class Pace:
    """How fast a study trains.

    Attributes:
        engine: on which it trains.
        training: seconds for one training that runs to its end, if all slots are busy.
        together: seconds for the trainings of one seed in one slot; 0 where networks are trained one by one.
        largest: whether these are the largest populations of the study, not those of single candidates.
    """

    engine: Engine
    training: float
    together: float = 0.0
    largest: bool = True

    def round_seconds(self, trainings: int, seeds: int) -> float:
        """Expected seconds of so many trainings, of so many seeds, that are waited for together.

        One by one, they take as long as all slots need for them, and at least as long as one training.  Together, each seed
        is a population.  Compared with the measured ones, its time lies between that of its share of their networks and the
        same time: the geometric mean is expected.
        """
        slots = self.engine.slots
        if not trainings or not self.engine.together:
            return max(trainings, slots) * self.training if trainings else 0.0
        expected = math.sqrt(trainings / seeds * slots * self.training * self.together)
        return math.ceil(seeds / slots) * (min(expected, self.together) if self.largest else expected)


def pace_of(config: StudyConfig, history: Sequence[GenerationRecord], engine: Engine) -> Pace | None:
    """The pace of the last generations, or of the confirmation if that has begun; None if too little was trained in them."""
    if rounds := confirmation_rounds(history):
        record, jobs = rounds[-1], _trained(rounds[-1])
        in_turn = math.ceil(_new_seeds(config, len(rounds) - 1) / engine.slots)
        if jobs and in_turn:
            return Pace(engine, record.seconds / max(jobs, engine.slots), record.seconds / in_turn)
    recent = _recent(config, history)
    seconds = sum(record.seconds for record in recent)
    whole = [_whole_trainings(config, record) for record in recent]
    if not sum(whole):
        return None
    if config.genetic.steady_state:  # arrivals overlap
        return Pace(engine, seconds / sum(whole), seconds / len(recent) * engine.slots, largest=False)
    return Pace(engine, seconds / sum(max(each, engine.slots) for each in whole), seconds / len(recent))


def confirmation_seconds(config: StudyConfig, history: Sequence[GenerationRecord], engine: Engine) -> float:
    """Expected seconds of the rounds of the confirmation that are not made yet; 0 if nothing is measured yet."""
    made = len(confirmation_rounds(history))
    return sum(round_seconds(config, history, engine, number) for number in range(made, config.confirmation.rounds))


def round_seconds(config: StudyConfig, history: Sequence[GenerationRecord], engine: Engine, number: int) -> float:
    """Expected seconds of a round of the confirmation; 0 if nothing is measured yet."""
    pace, seeds = pace_of(config, history, engine), _new_seeds(config, number)
    return 0.0 if pace is None else pace.round_seconds(config.confirmation.candidates_of(number) * seeds, seeds)


def generation_seconds(history: Sequence[GenerationRecord], kind: PhaseKind) -> float:
    """Expected seconds of the next generation or arrival of a phase, the longest of the last; 0 if nothing is measured."""
    return max((record.seconds for record in history[-RECENT:] if record.phase is kind), default=0.0)


def seconds_left(config: StudyConfig, history: Sequence[GenerationRecord], engine: Engine) -> float | None:
    """Expected seconds until the end of the phase that is under way, with its confirmation; None if nobody knows.

    A target or patience may end a search before.
    """
    if not history or history[-1].phase in (PhaseKind.ENUMERATION, PhaseKind.OWN):
        return None
    if history[-1].phase is PhaseKind.COEFFICIENTS:
        return _tuning_seconds(config, history)
    if history[-1].phase is PhaseKind.CONFIRMATION:
        return confirmation_seconds(config, history, engine)
    asked = sum(len(record.outcomes) for record in history if record.phase is PhaseKind.GENETIC)
    if not (recent := _recent(config, history)):
        return None
    each = sum(record.seconds for record in recent) / sum(len(record.outcomes) for record in recent)
    return max(0, config.candidates - asked) * each + confirmation_seconds(config, history, engine)


def _tuning_seconds(config: StudyConfig, history: Sequence[GenerationRecord]) -> float:
    """Of the iterations that are to come, and of the confirmation: its start, best sample and mean on fresh seeds."""
    done = sum(record.phase is PhaseKind.COEFFICIENTS for record in history)
    recent = [record for record in history[-RECENT:] if record.phase is PhaseKind.COEFFICIENTS]
    each = sum(record.seconds for record in recent) / len(recent)
    options = config.coefficients
    confirmation = 3 * options.confirmations / (len(recent[-1].outcomes) * config.repeats)  # in iterations
    return (max(0, options.iterations - done) + confirmation) * each


def _recent(config: StudyConfig, history: Sequence[GenerationRecord]) -> list[GenerationRecord]:
    """The last generations of the search, or as many arrivals without the first, which waits for the first population."""
    searched = (record for record in reversed(history) if record.phase is PhaseKind.GENETIC)
    if config.genetic.steady_state:
        return [record for record in islice(searched, RECENT * config.genetic.population) if record.generation > 0]
    return list(islice(searched, RECENT))


def _new_seeds(config: StudyConfig, number: int) -> int:
    """How many seeds a round of the confirmation adds to those of the round before."""
    return config.confirmation.seeds_of(number) - (config.confirmation.seeds_of(number - 1) if number else 0)


def _trained(record: GenerationRecord) -> int:
    """How many candidates were trained, each with one seed; the others were rejected or known."""
    return record.funnel[Stage.EARLY_STOP].candidates


def _whole_trainings(config: StudyConfig, record: GenerationRecord) -> float:
    """As many trainings to the end have the steps of a generation.

    The best rate of each candidate shows how far it came.  Where trainings are given up at rungs, the other rates of its
    ladder are taken to have come half as far.
    """
    shares = [_share(config, outcome) for outcome in record.outcomes if outcome.status is not Status.REJECTED]
    rates = len(config.training.learning_rates)
    ladder = (1 + rates) / 2 if config.training.rungs else rates
    return _trained(record) * ladder * sum(shares) / len(shares) if shares else 0.0


def _share(config: StudyConfig, outcome: Outcome) -> float:
    if outcome.status is not Status.STOPPED or config.task.objective:
        return 1.0
    return outcome.reports[-1][0] / config.training.steps if outcome.reports else config.training.early_stop
