"""The differences between databases, as data."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

SETUP = ".setup"  # name of the lock under which the tables are created; no study can have this name


class LockHeld(Exception):  # noqa: N818 - a signal to the store, which decides whether it is an error
    """Another process holds the lock."""


@dataclass(frozen=True)
class Backend:
    """A kind of database that can hold a store.

    Attributes:
        exists: `exists(url)`: whether there is a database to connect to.
        connect: `connect(url)` creates the engine.  A commit must be on the disk when it returns, and foreign keys must be
            enforced.
        prepare: `prepare(engine)` is called once, before the tables are created.
        insert: the dialect's own `insert`, which supports `on_conflict_do_nothing`.
        lock: `lock(engine, name, seconds)` holds a lock that only one process at a time can hold.  It waits for up to
            `seconds`, then raises `LockHeld`.  The death of a process releases its locks, whatever killed it.
        held: `held(engine, name)`: whether a process holds the lock of this name.
        advice: what to do about an error, by a regular expression for the database's message and the statement; the first
            match counts.
        identity: `identity(url)` changes if another database takes the place of this one; None if there is none any more.
        check: `check(connection, tables)` raises `DamagedRowError` if these tables are damaged, where a database can tell.
        checkpoint: `checkpoint(engine)` is called after each generation, for a database that keeps recent commits elsewhere.
        snapshot: execution options under which a transaction reads from one snapshot.
    """

    exists: Callable[[URL], bool]
    connect: Callable[[URL], Engine]
    prepare: Callable[[Engine], None]
    insert: Callable[..., Any]
    lock: Callable[[Engine, str, float], AbstractContextManager[None]]
    held: Callable[[Engine, str], bool]
    advice: Mapping[str, str]
    identity: Callable[[URL], object] = lambda url: ""
    check: Callable[[Connection, Sequence[str]], None] = lambda connection, tables: None
    checkpoint: Callable[[Engine], None] = lambda engine: None
    snapshot: Mapping[str, Any] = field(default_factory=dict)

    def explain(self, error: SQLAlchemyError) -> str:
        """Say what to do about an error, and quote the database's message."""
        message = str(error.orig) if isinstance(error, DatabaseError) and error.orig else str(error).split("\n[SQL", 1)[0]
        reason = " ".join(message.split())
        statement = (error.statement or "") if isinstance(error, DatabaseError) else ""
        hint = next(hint for pattern, hint in self.advice.items() if re.search(pattern, f"{reason} {statement}"))
        return f"{hint} ({reason})"
