"""The history of a study: its generations in order, and the ranking of its outcomes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, takewhile
from typing import Protocol, TypeVar

from glo.expr import Expr, parse
from glo.records import Direction, FunnelCounts, PhaseKind, Stage, StageCount, Status, new_counts
from glo.store import GenerationRecord
from glo.study.config import StudyConfig

CHANGED = "the code or the configuration has changed: use the recorded version, or start a new study"


class Ranked(Protocol):
    """An outcome, or anything else with the fields that a ranking looks at."""

    @property
    def expression(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def status(self) -> Status: ...
    @property
    def fitness(self) -> float: ...


AnyRanked = TypeVar("AnyRanked", bound=Ranked)


def rank(outcomes: Sequence[AnyRanked], direction: Direction = Direction.MAXIMIZE) -> list[AnyRanked]:
    """The trained ones, each fingerprint once, best first.

    Equal fitness: the smaller expression first, then the earlier one.
    """
    distinct: dict[str, AnyRanked] = {}
    for outcome in outcomes:
        if outcome.status is Status.TRAINED:
            distinct.setdefault(outcome.fingerprint, outcome)
    return sorted(distinct.values(), key=lambda o: (-direction.sign * o.fitness, parse(o.expression).nodes))


def asked_digest(asked: Sequence[Expr]) -> str:
    """A short hash of the expressions that a search asked for."""
    return hashlib.blake2b("\n".join(map(str, asked)).encode(), digest_size=8).hexdigest()


def confirmation_rounds(history: Sequence[GenerationRecord]) -> list[GenerationRecord]:
    """The rounds of the confirmation with which a history ends; none if it ends with another phase."""
    rounds = list(takewhile(lambda record: record.phase is PhaseKind.CONFIRMATION, reversed(history)))
    return rounds[::-1]


def in_generations(config: StudyConfig, history: Sequence[GenerationRecord]) -> list[GenerationRecord]:
    """The history to show: the arrivals of a steady-state phase are grouped, `population` at a time, in their order."""
    if not config.genetic.steady_state:
        return list(history)
    size = config.genetic.population
    records: list[GenerationRecord] = []
    for kind, of_phase in groupby(history, lambda record: record.phase):
        found = list(of_phase)
        starts = range(0, len(found), size)
        records += [_grouped(found[s : s + size]) for s in starts] if kind is PhaseKind.GENETIC else found
    return [replace(record, generation=number) for number, record in enumerate(records)]


def _grouped(records: Sequence[GenerationRecord]) -> GenerationRecord:
    outcomes = [outcome for record in records for outcome in record.outcomes]
    asked = asked_digest([parse(outcome.expression) for outcome in outcomes])
    seconds = sum(record.seconds for record in records)
    origins = {text: origin for record in records for text, origin in record.origins.items()}
    return replace(
        records[0], asked=asked, outcomes=outcomes, funnel=summed_counts(records), seconds=seconds, origins=origins
    )


def summed_counts(records: Sequence[GenerationRecord]) -> FunnelCounts:
    """The counts of the funnel over several generations."""
    total = new_counts()
    for record in records:
        for stage, count in record.funnel.items():
            total[stage].add(count)
    return total


def funnel_table(funnel: FunnelCounts) -> dict[str, dict[str, float]]:
    """For each stage: candidates, rejected, seconds spent, and seconds saved.

    The stage of constraints is left out where there are none.  A stage saves what training its rejects would have cost, at
    the mean cost of the trainings that were made.
    """
    training = funnel[Stage.TRAINING]
    trained = training.candidates + funnel[Stage.EARLY_STOP].rejected
    mean = training.seconds / trained if trained else 0.0
    return {
        stage.value: {
            "candidates": count.candidates,
            "rejected": count.rejected,
            "seconds": count.seconds,
            "saved": _saved(stage, count, mean),
        }
        for stage, count in funnel.items()
        if stage is not Stage.CONSTRAINT or count.candidates
    }


def _saved(stage: Stage, count: StageCount, mean: float) -> float:
    return 0.0 if stage in (Stage.TRAINING, Stage.EARLY_STOP) else count.rejected * mean
