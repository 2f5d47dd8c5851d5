"""What a store is given and gives back, and how that is written in rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glo.records import FunnelCounts, Outcome, Phase, Stage, StageCount, Status


@dataclass(frozen=True)
class RunRecord:
    """A run as it was started, and how far it has come."""

    name: str
    created: str
    config: dict[str, Any]
    versions: dict[str, str]
    generations: int


@dataclass(frozen=True)
class GenerationRecord:
    """One generation: its phase, the digest of what was asked, and what came of it."""

    generation: int
    phase: Phase
    asked: str
    outcomes: list[Outcome]
    funnel: FunnelCounts
    seconds: float


def _fields(record: Outcome | StageCount) -> dict[str, Any]:
    """Its fields by name; `dataclasses.asdict` copies each deeply, and a search writes many."""
    return {name: getattr(record, name) for name in record.__slots__}


def generation_row(generation: GenerationRecord) -> dict[str, Any]:
    """All of a generation but its outcomes."""
    return {
        "generation": generation.generation,
        "phase": generation.phase.value,
        "asked": generation.asked,
        "funnel": {stage.value: _fields(count) for stage, count in generation.funnel.items()},
        "seconds": generation.seconds,
    }


def read_generation(row: Any, outcomes: list[Outcome]) -> GenerationRecord:
    funnel: Mapping[str, Mapping[str, Any]] = row.funnel
    counts = {stage: StageCount(**funnel.get(stage.value, {})) for stage in Stage}
    return GenerationRecord(row.generation, Phase(row.phase), row.asked, outcomes, counts, row.seconds)


def outcome_row(outcome: Outcome) -> dict[str, Any]:
    return _fields(outcome) | {"status": outcome.status.value, "stage": outcome.stage.value}


def read_outcome(row: Any) -> Outcome:
    return Outcome(
        row.expression,
        row.fingerprint,
        Status(row.status),
        Stage(row.stage),
        row.reason,
        row.fitness,
        row.learning_rate,
    )
