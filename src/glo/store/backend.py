"""What differs between databases, as data."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import URL, Engine
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

SETUP = ".setup"  # the lock under which tables are made; no run has this name


class Taken(Exception):  # noqa: N818 - it is not an error before the store says so
    """A lock that another process holds."""


@dataclass(frozen=True)
class Backend:
    """A database that a store can be in.

    Attributes:
        exists: whether there is anything to connect to.
        connect: makes the engine.  A commit is on the disk when it returns, and foreign keys are kept.
        prepare: is done once, before the tables are made.
        insert: the dialect's own, which knows `on_conflict_do_nothing`.
        lock: one of a name, for one process at a time; it waits for so many seconds, then raises `Taken`.  It is free again
            when its process dies, however that came.
        one_moment: execution options under which all that a transaction reads is of one moment.
        advice: what to do about an error, by a pattern in the database's words; the first that matches counts.
    """

    exists: Callable[[URL], bool]
    connect: Callable[[URL], Engine]
    prepare: Callable[[Engine], None]
    insert: Callable[..., Any]
    lock: Callable[[Engine, str, float], AbstractContextManager[None]]
    advice: Mapping[str, str]
    one_moment: Mapping[str, Any] = field(default_factory=dict)

    def explain(self, error: SQLAlchemyError) -> str:
        """What to do about an error, and what the database said."""
        said = str(error.orig) if isinstance(error, DatabaseError) and error.orig else str(error).split("\n[SQL", 1)[0]
        reason = " ".join(said.split())
        hint = next(hint for pattern, hint in self.advice.items() if re.search(pattern, reason))
        return f"{hint} ({reason})"
