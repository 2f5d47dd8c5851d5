"""The records of a store, and their conversion to and from rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glo.records import FunnelCounts, Outcome, PhaseKind, Stage, StageCount, Status


@dataclass(frozen=True)
class StudyRecord:
    """A study: its name, the time of its start, its configuration, the versions it started with, and its length so far."""

    name: str
    created: str
    config: dict[str, Any]
    versions: dict[str, str]
    generations: int


@dataclass(frozen=True)
class GenerationRecord:
    """One generation of a study.

    Attributes:
        generation: its number, from 0.
        phase: the kind of phase that it belongs to.
        asked: digest of the expressions that the search asked for.
        outcomes: of these expressions, in their order.
        funnel: the counts of each stage.
        seconds: how long the generation took.
    """

    generation: int
    phase: PhaseKind
    asked: str
    outcomes: list[Outcome]
    funnel: FunnelCounts
    seconds: float


def _fields(record: Outcome | StageCount) -> dict[str, Any]:
    """The fields by name; `dataclasses.asdict` would copy each deeply, which is slow for the many records of a search."""
    return {name: getattr(record, name) for name in record.__slots__}


def _check_types(*values: tuple[object, type]) -> None:
    """SQLite stores a value of any type in any column, and a damaged file has such values."""
    for value, kind in values:
        if not isinstance(value, kind):
            raise TypeError(f"{value!r:.40} is no {kind.__name__}")


def read_study(row: Any) -> StudyRecord:
    _check_types((row.name, str), (row.created, str), (row.config, dict), (row.versions, dict))
    return StudyRecord(*row)


def generation_row(generation: GenerationRecord) -> dict[str, Any]:
    """The row of a generation; its outcomes have rows of their own."""
    return {
        "generation": generation.generation,
        "phase": generation.phase.value,
        "asked": generation.asked,
        "funnel": {stage.value: _fields(count) for stage, count in generation.funnel.items()},
        "seconds": generation.seconds,
    }


def read_generation(row: Any, outcomes: list[Outcome]) -> GenerationRecord:
    _check_types((row.generation, int), (row.asked, str), (row.funnel, dict), (row.seconds, float))
    funnel: Mapping[str, Mapping[str, Any]] = row.funnel
    counts = {stage: StageCount(**funnel.get(stage.value, {})) for stage in Stage}
    return GenerationRecord(row.generation, PhaseKind(row.phase), row.asked, outcomes, counts, row.seconds)


def outcome_row(outcome: Outcome) -> dict[str, Any]:
    return _fields(outcome) | {"status": outcome.status.value, "stage": outcome.stage.value}


def read_outcome(row: Any) -> Outcome:
    rate = row.learning_rate
    _check_types((row.expression, str), (row.reason, str), (row.fitness, float), (0.0 if rate is None else rate, float))
    return Outcome(
        row.expression,
        row.fingerprint,
        Status(row.status),
        Stage(row.stage),
        row.reason,
        row.fitness,
        rate,
    )
