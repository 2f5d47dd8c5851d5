"""How far a study is: it runs, it has stopped before its end, or it is finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from glo.records import PhaseKind, Status
from glo.search.ending import Ending
from glo.store import GenerationRecord
from glo.study.config import StudyConfig
from glo.study.phases import as_merits, start_of_tuning


class State(StrEnum):
    """Of a study."""

    RUNNING = "running"  # a process works on it
    STOPPED = "stopped"  # glo resume goes on with it
    FINISHED = "finished"  # all its phases have ended


def state_of(config: StudyConfig, history: Sequence[GenerationRecord], running: bool) -> State:
    """The state of a study.

    Args:
        history: as recorded.
        running: whether a process works on it (`glo.store.Store.is_running`).
    """
    if running:
        return State.RUNNING
    return State.FINISHED if is_finished(config, history) else State.STOPPED


def is_finished(config: StudyConfig, history: Sequence[GenerationRecord]) -> bool:
    """Whether all phases of a study have ended; its task is not needed.

    Of a search that the user gave, nobody but that search knows: such a study counts as stopped.  So does an enumeration of
    a single batch that is full, and one with batches of one loss.

    Args:
        history: as recorded; of a steady-state search, the arrivals.
    """
    last = config.phases[-1]
    confirmed = len(history)
    while confirmed and history[confirmed - 1].phase is PhaseKind.CONFIRMATION:
        confirmed -= 1
    searched, rounds = history[:confirmed], history[confirmed:]
    if last is PhaseKind.COEFFICIENTS:
        if start_of_tuning(config, history) is None:  # nothing could be trained, so there is nothing to tune
            return len(config.phases) > 1 and is_finished(config.model_copy(update={"phases": config.phases[:-1]}), history)
        return bool(rounds) and searched[-1:] != [] and searched[-1].phase is last
    records = [record for record in searched if record.phase is last]
    if last is PhaseKind.ENUMERATION:  # only the last batch is smaller
        return bool(records) and len(records[-1].outcomes) < config.enumeration.batch
    if last is PhaseKind.GENETIC:
        return _search_ended(config, records) and _confirmation_ended(config, searched, rounds)
    return False


def _search_ended(config: StudyConfig, records: Sequence[GenerationRecord]) -> bool:
    """Whether a genetic search has asked for all its candidates, reached its target or lost its patience."""
    candidates, steady = sum(len(record.outcomes) for record in records), config.genetic.steady_state
    if candidates >= config.candidates if steady else len(records) >= config.generations:
        return True
    if config.trials is not None and candidates >= config.trials:
        return True
    ending, sign = Ending(as_merits(config)), config.task.direction.sign
    for record in records:
        ending.tell(
            [replace(outcome, fitness=sign * outcome.fitness) for outcome in record.outcomes],
            len(record.outcomes) if steady else config.genetic.population,
        )
        if ending.reached:
            return True
    return False


def _confirmation_ended(
    config: StudyConfig, searched: Sequence[GenerationRecord], rounds: Sequence[GenerationRecord]
) -> bool:
    """Whether there were all rounds, or none of the candidates could be trained any more."""
    if len(rounds) >= (config.confirmation.rounds if config.confirmation.candidates else 0):
        return True
    before = [outcome for record in (rounds[-1:] or searched) for outcome in record.outcomes]
    return not any(outcome.status is Status.TRAINED for outcome in before)
