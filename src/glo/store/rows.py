"""The records of a store, and their conversion to and from rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glo.records import FunnelCounts, Origin, Outcome, PhaseKind, Stage, StageCount, Status, digest


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
        origins: how its candidates were made, by expression, as far as the search has said it.
    """

    generation: int
    phase: PhaseKind
    asked: str
    outcomes: list[Outcome]
    funnel: FunnelCounts
    seconds: float
    origins: Mapping[str, Origin] = field(default_factory=dict[str, Origin])


class DamagedRowError(Exception):
    """A row that cannot be read, or was not written by glo; its text names the row."""


def sealed(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with its seal: a digest of its values, by which damage is noticed when it is read."""
    return {**row, "seal": digest(dict(row))}


def unsealed(row: Any, name: str) -> dict[str, Any]:
    """The values of a row whose seal is right.

    Args:
        row: as the database returns it.
        name: of the row, for messages.

    Raises:
        DamagedRowError: if the seal is wrong.
    """
    values = dict(row._mapping)
    seal = values.pop("seal")
    try:
        right = digest(values) == seal
    except (TypeError, ValueError):  # SQLite stores a value of any type in any column, and a damaged file has such values
        right = False
    if not right:
        raise DamagedRowError(name)
    return values


def _fields(record: Outcome | StageCount) -> dict[str, Any]:
    """The fields by name; `dataclasses.asdict` would copy each deeply, which is slow for the many records of a search."""
    return {name: getattr(record, name) for name in record.__slots__}


def study_row(name: str, created: str, config: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, Any]:
    return sealed({"name": name, "created": created, "config": json.dumps(config), "versions": json.dumps(versions)})


def read_study(row: Any, generations: int) -> StudyRecord:
    values = unsealed(row, f"the row of study '{row.name}'")
    return StudyRecord(
        values["name"], values["created"], json.loads(values["config"]), json.loads(values["versions"]), generations
    )


def generation_rows(study: str, generation: GenerationRecord) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row of a generation, and those of its outcomes."""
    number = generation.generation
    outcomes = [
        sealed({"run": study, "generation": number, "position": position, **_outcome_values(outcome)})
        for position, outcome in enumerate(generation.outcomes)
    ]
    row = {
        "run": study,
        "generation": number,
        "phase": generation.phase.value,
        "asked": generation.asked,
        "funnel": json.dumps({stage.value: _fields(count) for stage, count in generation.funnel.items()}),
        "seconds": float(generation.seconds),
        "outcomes": digest([outcome["seal"] for outcome in outcomes]),
    }
    return sealed(row), outcomes


def origins_row(study: str, generation: GenerationRecord) -> dict[str, Any]:
    content = {expression: [origin.how, *origin.parents] for expression, origin in generation.origins.items()}
    return sealed({"run": study, "generation": generation.generation, "content": json.dumps(content)})


def read_origins(row: Any) -> dict[str, Origin]:
    values = unsealed(row, f"the origins of generation {row.generation} of study '{row.run}'")
    content: Mapping[str, Sequence[str]] = json.loads(values["content"])
    return {expression: Origin(how, tuple(parents)) for expression, (how, *parents) in content.items()}


def read_generation(
    row: Any, outcomes: Sequence[Any], number: int, origins: Mapping[str, Origin] | None = None
) -> GenerationRecord:
    """A generation from its row and those of its outcomes.

    Args:
        number: that the generation must have.

    Raises:
        DamagedRowError: if a row is damaged, missing or one too many.
    """
    where = f"generation {number} of study '{row.run}'"
    values = unsealed(row, where)
    if values["generation"] != number:
        raise DamagedRowError(f"{where} (it is missing)")
    read = [_outcome(unsealed(outcome, f"outcome {place} of {where}")) for place, outcome in enumerate(outcomes)]
    if values["outcomes"] != digest([outcome.seal for outcome in outcomes]):
        raise DamagedRowError(f"{where} (not all its outcomes are there)")
    funnel: Mapping[str, Mapping[str, Any]] = json.loads(values["funnel"])
    counts = {stage: StageCount(**funnel.get(stage.value, {})) for stage in Stage}
    phase = PhaseKind(values["phase"])
    return GenerationRecord(number, phase, values["asked"], read, counts, values["seconds"], origins or {})


def cache_row(context: str, outcome: Outcome) -> dict[str, Any]:
    return sealed({"context": context, **_outcome_values(outcome)})


def read_cached(row: Any) -> Outcome:
    return _outcome(unsealed(row, f"the remembered outcome of {row.expression!r}"))


def training_row(key: str, result: Mapping[str, Any]) -> dict[str, Any]:
    return sealed({"key": key, "result": json.dumps(dict(result))})


def read_training(row: Any) -> dict[str, Any]:
    return json.loads(unsealed(row, f"the training {row.key!r}")["result"])


def judgement_row(study: str, created: str, content: Mapping[str, Any]) -> dict[str, Any]:
    return sealed({"run": study, "created": created, "content": json.dumps(dict(content))})


def read_judgement(row: Any) -> dict[str, Any]:
    values = unsealed(row, f"the judgement of study {row.run!r}")
    return {**json.loads(values["content"]), "created": values["created"]}


def _outcome_values(outcome: Outcome) -> dict[str, Any]:
    rate = outcome.learning_rate
    return _fields(outcome) | {
        "status": outcome.status.value,
        "stage": outcome.stage.value,
        "fitness": float(outcome.fitness) + 0.0,  # SQLite has no -0.0
        "learning_rate": None if rate is None else float(rate) + 0.0,
        "reports": json.dumps(outcome.reports),
    }


def _outcome(values: Mapping[str, Any]) -> Outcome:
    return Outcome(
        values["expression"],
        values["fingerprint"],
        Status(values["status"]),
        Stage(values["stage"]),
        values["reason"],
        values["fitness"],
        values["learning_rate"],
        tuple((step, value) for step, value in json.loads(values["reports"])),
    )
