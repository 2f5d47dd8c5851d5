"""The store: runs, their generations, and what is known of each loss.  Only this package knows SQLAlchemy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
from sqlalchemy import URL, Connection, create_engine, event, func, insert, inspect, make_url, select
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, SQLAlchemyError

from glo.errors import ConfigError, RunError, StoreError
from glo.records import FunnelCounts, Outcome, Phase, Stage, StageCount, Status
from glo.store.schema import SCHEMA_VERSION, fitness_cache, generations, info, metadata, outcomes, runs, trainings

DEFAULT_STORAGE = "sqlite:///glo.db"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


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


class Store:
    """Runs in one SQLite file.

    A generation is written in one transaction: after a crash it is there or it is not.  One process works on a run
    at a time (`lock`); the lock is the operating system's, so a killed process leaves none behind.

    Args:
        url: `sqlite:///path`, or a path.
        create: whether to make the file if it is not there.

    Raises:
        StoreError: if the store cannot be opened, is not glo's, or is of another version.
    """

    def __init__(self, url: str | Path = DEFAULT_STORAGE, create: bool = True) -> None:
        self.url = _sqlite_url(url)
        self._path = Path((self.url.database or "").removeprefix("file:"))
        if not create and not self._path.exists():
            raise StoreError(f"there is no store {self._path}: give its --storage, or start with glo search")
        self._engine = create_engine(self.url, connect_args={"timeout": 30})
        event.listen(self._engine, "connect", _on_connect)
        event.listen(self._engine, "begin", _on_begin)
        if not self._tables():
            with self._file_lock("setup", timeout=30):  # of two processes that start together, one makes the tables
                if not self._tables():
                    self._create()
            # Whoever still waits for the lock, or makes it anew, finds the tables.
            Path(f"{self._path}.setup.lock").unlink(missing_ok=True)
        self._check_version()

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)

    def close(self) -> None:
        self._engine.dispose()

    def _tables(self) -> list[str]:
        with self._transaction() as connection:
            return inspect(connection).get_table_names()

    def _create(self) -> None:
        connection = self._engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA journal_mode=WAL")  # readers (`glo runs`) do not wait for the writer
        finally:
            connection.close()
        with self._transaction() as connection:
            metadata.create_all(connection)
            connection.execute(insert(info).values(key="schema", value=str(SCHEMA_VERSION)))

    def _check_version(self) -> None:
        if info.name not in self._tables():
            raise StoreError(f"{self._path} is a database of another program: use another --storage")
        with self._transaction() as connection:
            version = connection.scalar(select(info.c.value).where(info.c.key == "schema"))
        if version != str(SCHEMA_VERSION):
            raise StoreError(
                f"{self._path} was written by another version of glo (schema {version}, this is {SCHEMA_VERSION}): "
                "use that version, or another --storage"
            )

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep other processes from working on a run.

        Raises:
            RunError: if one already does.
        """
        try:
            with self._file_lock(check_name(name), timeout=0):
                yield
        except filelock.Timeout:
            raise RunError(f"run '{name}' is in use by another process: wait for it, or stop it first") from None

    @contextmanager
    def _file_lock(self, name: str, timeout: float) -> Iterator[None]:
        try:
            with filelock.FileLock(f"{self._path}.{name}.lock", timeout=timeout):
                yield
        except PermissionError as error:
            raise StoreError(
                f"{error.filename} cannot be written: make its folder writable, or use another --storage"
            ) from error

    def create_run(self, name: str, config: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        """Add a run.

        Raises:
            RunError: if there is one of this name.
        """
        values = {"name": check_name(name), "created": datetime.now(UTC).isoformat(timespec="seconds")}
        try:
            with self._transaction() as connection:
                connection.execute(insert(runs).values(**values, config=dict(config), versions=dict(versions)))
        except IntegrityError:
            raise RunError(f"there is already a run '{name}' in {self}: glo resume {name}, or use another --name") from None

    def runs(self) -> list[RunRecord]:
        """All runs, oldest first."""
        count = select(generations.c.run, func.count().label("n")).group_by(generations.c.run).subquery()
        query = select(runs, func.coalesce(count.c.n, 0)).outerjoin(count, runs.c.name == count.c.run)
        with self._transaction() as connection:
            rows = connection.execute(query.order_by(runs.c.created, runs.c.name)).all()
        return [RunRecord(*row) for row in rows]

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
        funnel = {stage.value: asdict(count) for stage, count in generation.funnel.items()}
        rows = [
            {"run": name, "generation": generation.generation, "position": position, **_outcome_row(outcome)}
            for position, outcome in enumerate(generation.outcomes)
        ]
        values = {
            "phase": generation.phase.value,
            "asked": generation.asked,
            "funnel": funnel,
            "seconds": generation.seconds,
        }
        try:
            with self._transaction() as connection:
                connection.execute(insert(generations).values(run=name, generation=generation.generation, **values))
                if rows:
                    connection.execute(insert(outcomes), rows)
                _remember(connection, known or {})
        except IntegrityError as error:
            raise RunError(
                f"generation {generation.generation} of run '{name}' cannot be recorded in {self}: {error.orig}"
            ) from None

    def generations(self, name: str) -> list[GenerationRecord]:
        """The recorded generations of a run, in order."""
        with self._transaction() as connection:
            query = select(outcomes).where(outcomes.c.run == name).order_by(outcomes.c.generation, outcomes.c.position)
            by_generation: dict[int, list[Outcome]] = {}
            for row in connection.execute(query):
                by_generation.setdefault(row.generation, []).append(_outcome(row))
            query = select(generations).where(generations.c.run == name).order_by(generations.c.generation)
            return [
                GenerationRecord(
                    row.generation,
                    Phase(row.phase),
                    row.asked,
                    by_generation.get(row.generation, []),
                    _counts(row.funnel),
                    row.seconds,
                )
                for row in connection.execute(query)
            ]

    def known(self, context: str, fingerprints: Sequence[str]) -> dict[str, Outcome]:
        """What is known of these losses in a context."""
        found: dict[str, Outcome] = {}
        with self._transaction() as connection:
            for part in _parts(fingerprints):
                query = select(fitness_cache).where(
                    fitness_cache.c.context == context, fitness_cache.c.fingerprint.in_(part)
                )
                found |= {row.fingerprint: _outcome(row) for row in connection.execute(query)}
        return found

    def remember(self, known: Mapping[str, Mapping[str, Outcome]]) -> None:
        """Write what was learned of losses, by context and fingerprint, in one transaction; what is known already stays.

        Raises:
            StoreError: if the store cannot be written; it is then as it was.
        """
        with self._transaction() as connection:
            _remember(connection, known)

    def record_trainings(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Write JSON-like results of trainings by key, in one transaction; one that is there already stays.

        Raises:
            StoreError: if the store cannot be written; it is then as it was.
        """
        rows = [{"key": key, "result": dict(result)} for key, result in results.items()]
        with self._transaction() as connection:
            if rows:
                connection.execute(insert(trainings).prefix_with("OR IGNORE"), rows)

    def trainings(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Those results that are recorded, by key."""
        found: dict[str, dict[str, Any]] = {}
        with self._transaction() as connection:
            for part in _parts(keys):
                query = select(trainings).where(trainings.c.key.in_(part))
                found |= {row.key: row.result for row in connection.execute(query)}
        return found

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """A transaction; what the database says against it becomes a `StoreError` that says what to do."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise StoreError(_explain(str(self), error)) from error


def _remember(connection: Connection, known: Mapping[str, Mapping[str, Outcome]]) -> None:
    rows = [{"context": context, **_outcome_row(outcome)} for context, marks in known.items() for outcome in marks.values()]
    if rows:  # another run may have learned the same in the meantime
        connection.execute(insert(fitness_cache).prefix_with("OR IGNORE"), rows)


def _parts(keys: Sequence[str], size: int = 500) -> Iterator[list[str]]:
    """Some at a time: SQLite limits the number of variables of a query."""
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


def _sqlite_url(url: str | Path) -> URL:
    text = str(url)
    try:
        parsed = make_url(text if "://" in text else f"sqlite:///{text}")
    except (ArgumentError, ValueError):
        raise StoreError(f"{text!r} is not a storage: give a path, or sqlite:///path") from None
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        shown = text if parsed.password is None else parsed.render_as_string(hide_password=True)
        raise StoreError(f"{shown!r} is not supported: a store is an SQLite file, e.g. sqlite:///glo.db")
    folder = Path(parsed.database.removeprefix("file:")).parent
    if not folder.is_dir():
        raise StoreError(f"the folder {folder} of the store does not exist: create it, or use another --storage")
    return parsed


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say so, reading ones too: see _on_begin
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")  # one commit a generation: durability costs nothing
    cursor.close()


def _on_begin(connection: Connection) -> None:
    """All that one transaction reads is of one moment."""
    connection.exec_driver_sql("BEGIN")


def _explain(store: str, error: SQLAlchemyError) -> str:
    reason = str(error.orig) if isinstance(error, DatabaseError) and error.orig else str(error).splitlines()[0]
    advice = {
        "readonly": "it is read-only: make the file and its folder writable, or use another --storage",
        "read-only": "it is read-only: make the file and its folder writable, or use another --storage",
        "full": "the disk is full: free some space, then go on with glo resume",
        "disk I/O": "the disk is full or failing: free some space, then go on with glo resume",
        "not a database": "it is not a glo store, or it is damaged: restore it from a copy, or use another --storage",
        "malformed": "it is damaged: restore it from a copy, or use another --storage",
        "locked": "another process is writing to it: try again",
        "unable to open": "it cannot be opened: check that the path exists and may be written",
    }
    hint = next((text for word, text in advice.items() if word in reason), "check the file, or use another --storage")
    return f"store {store}: {hint} ({reason})"


def _outcome_row(outcome: Outcome) -> dict[str, Any]:
    return asdict(outcome) | {"status": outcome.status.value, "stage": outcome.stage.value}


def _outcome(row: Any) -> Outcome:
    return Outcome(
        row.expression,
        row.fingerprint,
        Status(row.status),
        Stage(row.stage),
        row.reason,
        row.fitness,
        row.learning_rate,
    )


def _counts(funnel: Mapping[str, Mapping[str, Any]]) -> FunnelCounts:
    return {stage: StageCount(**funnel.get(stage.value, {})) for stage in Stage}
