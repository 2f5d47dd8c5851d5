"""A whole study at once: written, and deleted, in the transaction of the caller."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, inspect

from glo.errors import StudyError
from glo.store.rows import GenerationRecord, StudyRecord, generation_rows, judgement_row, origins_row, study_row
from glo.store.schema import generations, judgements, origins, outcomes, runs


@dataclass(frozen=True)
class WholeStudy:
    """All that a store knows of a study.

    Attributes:
        record: its name, start, configuration and versions.
        generations: in order.
        judgement: the last one with its time, `created`; None if there is none.
    """

    record: StudyRecord
    generations: Sequence[GenerationRecord]
    judgement: Mapping[str, Any] | None


def insert_study(connection: Connection, study: WholeStudy) -> None:
    """Write all rows of a study.

    Raises:
        StudyError: if a fitness is not a number.
    """
    record, name = study.record, study.record.name
    if any(math.isnan(outcome.fitness) for generation in study.generations for outcome in generation.outcomes):
        raise StudyError(f"study '{name}' cannot be recorded: a fitness is not a number")
    connection.execute(insert(runs).values(**study_row(name, record.created, record.config, record.versions)))
    keeps_origins = inspect(connection).has_table(origins.name)  # not a store of an earlier version
    for generation in study.generations:
        row, rows = generation_rows(name, generation)
        connection.execute(insert(generations), row)
        if rows:
            connection.execute(insert(outcomes), rows)
        if generation.origins and keeps_origins:
            connection.execute(insert(origins), origins_row(name, generation))
    if study.judgement is not None:
        content = {key: value for key, value in study.judgement.items() if key != "created"}
        judgements.create(connection, checkfirst=True)
        connection.execute(insert(judgements).values(**judgement_row(name, study.judgement["created"], content)))


def delete_rows(connection: Connection, name: str) -> None:
    """Delete all rows of a study; the outcomes that studies share stay."""
    there = inspect(connection).get_table_names()
    for table in (judgements, origins, outcomes, generations):
        if table.name in there:
            connection.execute(delete(table).where(table.c.run == name))
    connection.execute(delete(runs).where(runs.c.name == name))
