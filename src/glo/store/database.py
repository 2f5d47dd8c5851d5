"""The store: runs, their generations, and what is known of each loss.  Only this package knows SQLAlchemy."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, inspect, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from glo.errors import ConfigError, RunError, StoreError
from glo.records import Outcome
from glo.store.backend import SETUP, Taken
from glo.store.interrupts import undisturbed
from glo.store.rows import GenerationRecord, RunRecord, generation_row, outcome_row, read_generation, read_outcome
from glo.store.schema import SCHEMA_VERSION, fitness_cache, generations, info, metadata, outcomes, runs, trainings
from glo.store.url import DEFAULT_STORAGE, read_url, without_password

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Made once: a steady-state search uses them for each candidate.
NEW_GENERATION, NEW_OUTCOMES = insert(generations), insert(outcomes)
KNOWN = select(fitness_cache).where(
    fitness_cache.c.context == bindparam("context"),
    fitness_cache.c.fingerprint.in_(bindparam("fingerprints", expanding=True)),
)
PATIENCE = 30.0  # seconds to wait for another process that makes the tables


class Store:
    """Runs in one SQLite file or in a PostgreSQL database.

    A generation is written in one transaction: after a crash it is there or it is not.  One process works on a run
    at a time (`lock`); the lock is the operating system's or the server's, so a killed process leaves none behind.

    Args:
        url: `sqlite:///path`, or a path; or `postgresql://user@host/database`.
        create: whether to make it if it is not there (a file, or the tables of a database that exists).

    Raises:
        StoreError: if the store cannot be opened, is not glo's, or is of another version.
    """

    def __init__(self, url: str | Path = DEFAULT_STORAGE, create: bool = True) -> None:
        self.url, self._backend = read_url(url)
        if not create and not self._backend.exists(self.url):
            raise self._missing()
        self._engine = self._backend.connect(self.url)
        self._reader = self._engine.execution_options(**self._backend.one_moment)
        self._learned = self._backend.insert(fitness_cache).on_conflict_do_nothing()
        try:
            self._open(create)
        except StoreError:
            self.close()
            raise

    def __str__(self) -> str:
        return without_password(self.url.render_as_string(hide_password=False))

    def close(self) -> None:
        self._engine.dispose()

    def _open(self, create: bool) -> None:
        if not self._tables():
            if not create:
                raise self._missing()
            with self._locked(SETUP, PATIENCE):  # of two processes that start together, one makes the tables
                if not self._tables():
                    self._create()
        self._check_version()

    def _missing(self) -> StoreError:
        return StoreError(f"there is no store {self}: give its --storage, or start with glo search")

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
        """Keep other processes from working on a run.

        Raises:
            RunError: if one already does.
        """
        try:
            with self._locked(check_name(name), 0.0):
                yield
        except Taken:
            raise RunError(f"run '{name}' is in use by another process: wait for it, or stop it first") from None

    @contextmanager
    def _locked(self, name: str, seconds: float) -> Iterator[None]:
        with self._explained(), self._backend.lock(self._engine, name, seconds):
            yield

    def create_run(self, name: str, config: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        """Add a run.

        Raises:
            RunError: if there is one of this name.
        """
        values = {"name": check_name(name), "created": datetime.now(UTC).isoformat(timespec="seconds")}
        try:
            with self._writing() as connection:
                connection.execute(insert(runs).values(**values, config=dict(config), versions=dict(versions)))
        except IntegrityError:
            raise RunError(f"there is already a run '{name}' in {self}: glo resume {name}, or use another --name") from None

    def runs(self) -> list[RunRecord]:
        """All runs, oldest first."""
        count = select(generations.c.run, func.count().label("n")).group_by(generations.c.run).subquery()
        query = select(runs, func.coalesce(count.c.n, 0)).outerjoin(count, runs.c.name == count.c.run)
        with self._reading() as connection:
            records = [RunRecord(*row) for row in connection.execute(query)]
        return sorted(records, key=lambda record: (record.created, record.name))

    def run(self, name: str) -> RunRecord:
        """One run.

        Raises:
            RunError: if there is none of this name; the message lists those there are.
        """
        everything = self.runs()
        for record in everything:
            if record.name == name:
                return record
        known = ", ".join(record.name for record in everything) or "none yet"
        raise RunError(f"there is no run '{name}' in {self}; its runs: {known}")

    def record(
        self, name: str, generation: GenerationRecord, known: Mapping[str, Mapping[str, Outcome]] | None = None
    ) -> None:
        """Write a generation, and what was learned of each loss (by context and fingerprint), in one transaction.

        Raises:
            RunError: if there is no such run, or the generation is recorded already.
            StoreError: if the store cannot be written; it is then as it was.
        """
        for outcome in generation.outcomes:
            if math.isnan(outcome.fitness):
                raise RunError(f"{self._refused(name, generation)}: the fitness of {outcome.expression} is not a number")
        rows = [
            {"run": name, "generation": generation.generation, "position": position, **outcome_row(outcome)}
            for position, outcome in enumerate(generation.outcomes)
        ]
        try:
            with self._writing() as connection:
                connection.execute(NEW_GENERATION, {"run": name, **generation_row(generation)})
                if rows:
                    connection.execute(NEW_OUTCOMES, rows)
                self._remember(connection, known or {})
        except IntegrityError as error:
            raise RunError(f"{self._refused(name, generation)}: {' '.join(str(error.orig).split())}") from None

    def _refused(self, name: str, generation: GenerationRecord) -> str:
        return f"generation {generation.generation} of run '{name}' cannot be recorded in {self}"

    def generations(self, name: str) -> list[GenerationRecord]:
        """The recorded generations of a run, in order."""
        of_run = select(outcomes).where(outcomes.c.run == name).order_by(outcomes.c.generation, outcomes.c.position)
        query = select(generations).where(generations.c.run == name).order_by(generations.c.generation)
        with self._reading() as connection:
            by_generation: dict[int, list[Outcome]] = {}
            for row in connection.execute(of_run):
                by_generation.setdefault(row.generation, []).append(read_outcome(row))
            return [read_generation(row, by_generation.get(row.generation, [])) for row in connection.execute(query)]

    def known(self, context: str, fingerprints: Sequence[str]) -> dict[str, Outcome]:
        """What is known of these losses in a context."""
        found: dict[str, Outcome] = {}
        with self._reading() as connection:
            for part in _parts(fingerprints):
                rows = connection.execute(KNOWN, {"context": context, "fingerprints": part})
                found |= {row.fingerprint: read_outcome(row) for row in rows}
        return found

    def remember(self, known: Mapping[str, Mapping[str, Outcome]]) -> None:
        """Write what was learned of losses, by context and fingerprint, in one transaction; what is known already stays.

        Raises:
            StoreError: if the store cannot be written; it is then as it was.
        """
        with self._writing() as connection:
            self._remember(connection, known)

    def _remember(self, connection: Connection, known: Mapping[str, Mapping[str, Outcome]]) -> None:
        # In one order for all: two transactions that write the same then never wait for each other in a circle.
        rows = [
            {"context": context, **outcome_row(outcome)}
            for context, learned in sorted(known.items())
            for _, outcome in sorted(learned.items())
        ]
        if rows:  # another run may have learned the same in the meantime
            connection.execute(self._learned, rows)

    def record_trainings(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Write JSON-like results of trainings by key, in one transaction; one that is there already stays.

        Raises:
            StoreError: if the store cannot be written; it is then as it was.
        """
        rows = [{"key": key, "result": dict(result)} for key, result in sorted(results.items())]
        with self._writing() as connection:
            if rows:
                connection.execute(self._backend.insert(trainings).on_conflict_do_nothing(), rows)

    def trainings(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Those results that are recorded, by key."""
        found: dict[str, dict[str, Any]] = {}
        with self._reading() as connection:
            for part in _parts(keys):
                query = select(trainings).where(trainings.c.key.in_(part))
                found |= {row.key: row.result for row in connection.execute(query)}
        return found

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A transaction that only reads; all that it reads is of one moment."""
        with undisturbed(), self._explained(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that is there as a whole in the end, or not at all."""
        with undisturbed(), self._explained(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What the database says against it becomes a `StoreError` that says what to do."""
        try:
            yield
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise StoreError(f"store {self}: {self._backend.explain(error)}") from error


def _parts(keys: Sequence[str], size: int = 500) -> Iterator[list[str]]:
    """Some at a time: databases limit the number of variables of a query."""
    for start in range(0, len(keys), size):
        yield list(keys[start : start + size])


def check_name(name: str) -> str:
    """A run's name may hold letters, digits, dots, dashes and underscores.

    Raises:
        ConfigError: for any other.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"a run's name has letters, digits, '.', '-' and '_' only, at most 100: not {name!r}")
    return name
