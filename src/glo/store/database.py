"""The store: studies, their generations, and the outcomes that all share.  Only this package knows SQLAlchemy."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, inspect, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from glo.errors import ConfigError, LostStoreError, MissingStoreError, StoreError, StudyError
from glo.records import Outcome
from glo.store.backend import SETUP, LockHeld
from glo.store.interrupts import interrupts_deferred
from glo.store.rows import (
    DamagedRowError,
    GenerationRecord,
    StudyRecord,
    cache_row,
    generation_rows,
    judgement_row,
    origins_row,
    read_cached,
    read_generation,
    read_judgement,
    read_origins,
    read_study,
    read_training,
    study_row,
    training_row,
)
from glo.store.schema import (
    SCHEMA_VERSION,
    fitness_cache,
    generations,
    info,
    judgements,
    metadata,
    origins,
    outcomes,
    runs,
    trainings,
)
from glo.store.url import DEFAULT_STORAGE, printed, read_url
from glo.store.whole import WholeStudy, delete_rows, insert_study

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Built once: a steady-state search executes them for each candidate.
NEW_GENERATION, NEW_OUTCOMES, NEW_ORIGINS = insert(generations), insert(outcomes), insert(origins)
LOOKUP = select(fitness_cache).where(
    fitness_cache.c.context == bindparam("context"),
    fitness_cache.c.fingerprint.in_(bindparam("fingerprints", expanding=True)),
)
SETUP_SECONDS = 30.0  # how long to wait for another process that creates the tables


class Store:
    """A store in one SQLite file or in a PostgreSQL database.

    It holds the records of studies, and is the cache that studies share: `lookup` and `remember`.

    Each method is one transaction: after a crash, a generation is there as a whole or not at all.  Only one process at a
    time works on a study (`lock`).  The operating system or the server keeps the lock, and releases it when the process
    dies.

    Args:
        url: `sqlite:///path`, or a path; or `postgresql://user@host/database`.
        create: whether to create a missing store (a file, or the tables in a database that exists).

    Raises:
        StoreError: if the store cannot be opened, belongs to another program, or has another schema version.
    """

    def __init__(self, url: str | Path = DEFAULT_STORAGE, create: bool = True) -> None:
        self.url, self._backend = read_url(url)
        self._printed = printed(url, self.url)
        if not create and not self._backend.exists(self.url):
            raise self._missing()
        self._engine = self._backend.connect(self.url)
        self._reader = self._engine.execution_options(**self._backend.snapshot)
        self._new_entries = self._backend.insert(fitness_cache).on_conflict_do_nothing()
        self._identity: object = None  # once it is open
        self._keeps_origins = True
        try:
            self._open(create)
        except StoreError:
            self.close()
            raise
        self._identity = self._backend.identity(self.url)

    def __str__(self) -> str:
        return self._printed

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def check_there(self) -> None:
        """Check that this is still the database that was opened: a file may be deleted while it is in use.

        Raises:
            LostStoreError: if it is not.
        """
        if self._identity is not None and self._backend.identity(self.url) != self._identity:
            raise LostStoreError(f"the file of store {self} was deleted, replaced or emptied while it was in use")

    def _open(self, create: bool) -> None:
        if not self._tables():
            if not create:
                raise self._missing()
            with self._locked(SETUP, SETUP_SECONDS):  # if two processes start together, only one creates the tables
                if not self._tables():
                    self._create()
        self._check_version()
        self._keeps_origins = origins.name in self._tables()

    def _missing(self) -> MissingStoreError:
        return MissingStoreError(f"there is no store {self}: give its --storage, or start with glo search")

    def _tables(self) -> list[str]:
        with self._reading() as connection:
            return inspect(connection).get_table_names()

    def _create(self) -> None:
        with self._explained():
            self._backend.prepare(self._engine)
        with self._writing() as connection:
            metadata.create_all(connection)
            connection.execute(insert(info).values(key="schema", value=str(SCHEMA_VERSION)))

    def _check_version(self) -> None:
        if info.name not in self._tables():
            raise StoreError(f"{self} is a database of another program: use another --storage")
        with self._reading() as connection:
            version = connection.scalar(select(info.c.value).where(info.c.key == "schema"))
        if version != str(SCHEMA_VERSION):
            raise StoreError(
                f"{self} was written by another version of glo (schema {version}, this is {SCHEMA_VERSION}): "
                "use that version, or another --storage"
            )

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock of a study, so that no other process works on it.

        Raises:
            StudyError: if another process holds it.
        """
        try:
            with self._locked(check_name(name), 0.0):
                yield
        except LockHeld:
            raise StudyError(f"study '{name}' is in use by another process: wait for it, or stop it first") from None

    def is_running(self, name: str) -> bool:
        """Whether a process works on a study: whether it holds the lock."""
        with self._explained():
            return self._backend.held(self._engine, check_name(name))

    @contextmanager
    def _locked(self, name: str, seconds: float) -> Iterator[None]:
        with self._explained(), self._backend.lock(self._engine, name, seconds):
            yield

    def create_study(
        self, name: str, config: Mapping[str, Any], versions: Mapping[str, str], replace_empty: bool = False
    ) -> None:
        """Add a study without generations.

        Args:
            replace_empty: whether it replaces a study of this name for which no generation is recorded.

        Raises:
            StudyError: if there is already a study of this name.
        """
        row = study_row(check_name(name), datetime.now(UTC).isoformat(timespec="seconds"), config, versions)
        try:
            with self._writing() as connection:
                if replace_empty:
                    begun = select(generations.c.run).where(generations.c.run == name).exists()
                    connection.execute(delete(runs).where(runs.c.name == name, ~begun))
                connection.execute(insert(runs).values(**row))
        except IntegrityError:
            raise StudyError(
                f"there is already a study '{name}' in {self}: glo resume {name}, or use another --name"
            ) from None

    def extend_study(self, name: str, config: Mapping[str, Any]) -> None:
        """Replace the configuration of a study that gets a further phase.

        Raises:
            StudyError: if there is no study of this name; the message lists the existing ones.
        """
        before = self.study(name)
        row = study_row(name, before.created, config, before.versions)
        with self._writing() as connection:
            connection.execute(update(runs).where(runs.c.name == name).values(config=row["config"], seal=row["seal"]))

    def studies(self) -> list[StudyRecord]:
        """All studies, oldest first."""
        count = select(generations.c.run, func.count().label("n")).group_by(generations.c.run).subquery()
        with self._reading() as connection:
            lengths = {row.run: row.n for row in connection.execute(select(count))}
            records = [read_study(row, lengths.get(row.name, 0)) for row in connection.execute(select(runs))]
            return sorted(records, key=lambda record: (record.created, record.name))

    def versions(self) -> dict[str, str]:
        """For each study a text that changes when something is recorded, and when a process begins or ends to work on it.

        Much cheaper than to read the study.
        """
        count = select(generations.c.run, func.count().label("n")).group_by(generations.c.run)
        with self._reading() as connection:
            lengths = {row.run: row.n for row in connection.execute(count)}
            known = inspect(connection).has_table(judgements.name)
            judged = connection.execute(select(judgements.c.run, judgements.c.seal)) if known else ()
            seals = {row.run: row.seal for row in judged}
            rows = list(connection.execute(select(runs.c.name, runs.c.seal)))
        return {
            row.name: f"{row.seal} {lengths.get(row.name, 0)} {seals.get(row.name, '')} {self.is_running(row.name)}"
            for row in rows
        }

    def study(self, name: str) -> StudyRecord:
        """One study.

        Raises:
            StudyError: if there is no study of this name; the message lists the existing ones.
        """
        existing = self.studies()
        for record in existing:
            if record.name == name:
                return record
        raise self._unknown(name, existing)

    def _unknown(self, name: str, existing: Sequence[StudyRecord]) -> StudyError:
        names = ", ".join(record.name for record in existing) or "none yet"
        return StudyError(f"there is no study '{name}' in {self}; its studies: {names}")

    def record(self, name: str, generation: GenerationRecord) -> None:
        """Write a generation of a study.

        Raises:
            StudyError: if there is no such study, the generation is already recorded, or a fitness is NaN.
            LostStoreError: if its file is not there any more.
            StoreError: if the store cannot be written; it is then unchanged.
        """
        for outcome in generation.outcomes:
            if math.isnan(outcome.fitness):
                reason = f"the fitness of {outcome.expression} is not a number"
                raise StudyError(f"{_not_recorded(name, generation, self)}: {reason}")
        row, rows = generation_rows(name, generation)
        try:
            with self._writing() as connection:
                connection.execute(NEW_GENERATION, row)
                if rows:
                    connection.execute(NEW_OUTCOMES, rows)
                if generation.origins and self._keeps_origins:
                    connection.execute(NEW_ORIGINS, origins_row(name, generation))
            with self._explained():
                self._backend.checkpoint(self._engine)
        except IntegrityError as error:
            raise StudyError(f"{_not_recorded(name, generation, self)}: {' '.join(str(error.orig).split())}") from None

    def generations(self, name: str) -> list[GenerationRecord]:
        """The recorded generations of a study, in order."""
        of_study = select(outcomes).where(outcomes.c.run == name).order_by(outcomes.c.generation, outcomes.c.position)
        query = select(generations).where(generations.c.run == name).order_by(generations.c.generation)
        with self._reading() as connection:
            self._backend.check(connection, (generations.name, outcomes.name))
            by_generation: dict[int, list[Any]] = {}
            for row in connection.execute(of_study):
                by_generation.setdefault(row.generation, []).append(row)
            made: dict[int, Any] = {}
            if self._keeps_origins:
                rows = connection.execute(select(origins).where(origins.c.run == name))
                made = {row.generation: read_origins(row) for row in rows}
            return [
                read_generation(row, by_generation.get(row.generation, []), number, made.get(row.generation))
                for number, row in enumerate(connection.execute(query))
            ]

    def record_judgement(self, name: str, content: Mapping[str, Any]) -> None:
        """Write the judgement of a study, in place of an earlier one.

        Args:
            content: JSON-like data.

        Raises:
            StudyError: if there is no such study.
            StoreError: if the store cannot be written; it is then unchanged.
        """
        self.study(name)
        row = judgement_row(name, datetime.now(UTC).isoformat(timespec="seconds"), content)
        with self._locked(SETUP, SETUP_SECONDS), self._writing() as connection:
            judgements.create(connection, checkfirst=True)
            connection.execute(delete(judgements).where(judgements.c.run == name))
            connection.execute(insert(judgements).values(**row))

    def judgement(self, name: str) -> dict[str, Any] | None:
        """The judgement of a study, with the time at which it was `created`; None if there is none."""
        with self._reading() as connection:
            if not inspect(connection).has_table(judgements.name):  # a store of an earlier version
                return None
            row = connection.execute(select(judgements).where(judgements.c.run == name)).first()
            return None if row is None else read_judgement(row)

    def whole(self, name: str) -> WholeStudy:
        """All that there is of a study.

        Raises:
            StudyError: if there is no study of this name; the message lists the existing ones.
        """
        return WholeStudy(self.study(name), self.generations(name), self.judgement(name))

    def add(self, study: WholeStudy) -> None:
        """Write a study with all its generations and its judgement, in one transaction.

        Raises:
            StudyError: if there is already a study of this name, or it is in use.
            StoreError: if the store cannot be written; it is then unchanged.
        """
        name = study.record.name
        with self.lock(name), self._new(name), self._writing() as connection:
            insert_study(connection, study)

    def delete(self, name: str) -> None:
        """Delete a study.  The outcomes that studies share (`lookup`) stay.

        Raises:
            StudyError: if there is no such study, or a process works on it.
            StoreError: if the store cannot be written; it is then unchanged.
        """
        with self.lock(name):
            self.study(name)
            with self._writing() as connection:
                delete_rows(connection, name)

    def rename(self, name: str, new: str) -> None:
        """Give a study another name; its history and the time of its start stay.

        Raises:
            StudyError: if there is no such study, a process works on it, or there is one of the new name.
            StoreError: if the store cannot be written; it is then unchanged.
        """
        with self.lock(name), self.lock(new):
            study = self.whole(name)
            renamed = replace(study, record=replace(study.record, name=new))
            with self._new(new), self._writing() as connection:
                insert_study(connection, renamed)  # the names are part of the seals
                delete_rows(connection, name)

    @contextmanager
    def _new(self, name: str) -> Iterator[None]:
        """Turn the database's refusal of a name that exists into a `StudyError`."""
        try:
            yield
        except IntegrityError:
            raise StudyError(f"there is already a study '{name}' in {self}: use another name") from None

    def lookup(self, context: str, fingerprints: Sequence[str]) -> dict[str, Outcome]:
        """The remembered outcomes of these losses in a context, by fingerprint; unknown ones are left out."""
        found: dict[str, Outcome] = {}
        with self._reading() as connection:
            for part in _parts(fingerprints):
                rows = connection.execute(LOOKUP, {"context": context, "fingerprints": part})
                found |= {row.fingerprint: read_cached(row) for row in rows}
        return found

    def remember(self, outcomes_by_context: Mapping[str, Mapping[str, Outcome]]) -> None:
        """Write outcomes by context and fingerprint; an outcome that is already there stays.

        Raises:
            StoreError: if the store cannot be written; it is then unchanged.
        """
        # All transactions write in the same order, so that two with the same entries cannot deadlock.
        rows = [
            cache_row(context, outcome)
            for context, entries in sorted(outcomes_by_context.items())
            for _, outcome in sorted(entries.items())
        ]
        with self._writing() as connection:
            if rows:
                connection.execute(self._new_entries, rows)

    def record_trainings(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Write JSON-like results of trainings by key; a result that is already there stays.

        Raises:
            StoreError: if the store cannot be written; it is then unchanged.
        """
        rows = [training_row(key, result) for key, result in sorted(results.items())]
        with self._writing() as connection:
            if rows:
                connection.execute(self._backend.insert(trainings).on_conflict_do_nothing(), rows)

    def trainings(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The recorded results of trainings, by key; unknown ones are left out."""
        found: dict[str, dict[str, Any]] = {}
        with self._reading() as connection:
            for part in _parts(keys):
                query = select(trainings).where(trainings.c.key.in_(part))
                found |= {row.key: read_training(row) for row in connection.execute(query)}
        return found

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A transaction that only reads, from one snapshot."""
        with interrupts_deferred(), self._explained():
            try:
                with self._reader.begin() as connection:
                    yield connection
            except DamagedRowError as error:
                raise StoreError(
                    f"store {self}: {error} is damaged, or was not written by glo: restore the store from a copy, "
                    "or use another --storage"
                ) from None

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that writes; an exception rolls it back."""
        with interrupts_deferred(), self._explained(), self._engine.begin() as connection:
            yield connection
        self.check_there()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error of the database into a `StoreError` that says what to do."""
        try:
            yield
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            self.check_there()
            raise StoreError(f"store {self}: {self._backend.explain(error)}") from error
        except UnicodeDecodeError as error:  # the driver cannot read the database's own message
            raise StoreError(f"store {self} is damaged: restore it from a copy, or use another --storage") from error


def _not_recorded(name: str, generation: GenerationRecord, store: Store) -> str:
    return f"generation {generation.generation} of study '{name}' cannot be recorded in {store}"


def _parts(keys: Sequence[str], size: int = 500) -> Iterator[list[str]]:
    """Split the keys: databases limit the number of variables of a query."""
    for start in range(0, len(keys), size):
        yield list(keys[start : start + size])


def check_name(name: str) -> str:
    """Return the name of a study if it is valid: letters, digits, dots, dashes and underscores, at most 100.

    Raises:
        ConfigError: if it is not.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"a study's name has letters, digits, '.', '-' and '_' only, at most 100: not {name!r}")
    return name
