"""The URL of a store, and the kind of database that it names."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from glo.errors import StoreError
from glo.store.backend import Backend
from glo.store.postgres import POSTGRES
from glo.store.sqlite import SQLITE

DEFAULT_STORAGE = "sqlite:///glo.db"
KINDS = "an SQLite file, e.g. sqlite:///glo.db, or postgresql://user@host/database"
POSTGRES_DRIVERS = ("postgresql+psycopg", "postgresql", "postgres")


def without_password(url: str | Path) -> str:
    """A URL that may be printed: without the password, whether that is before the host or among the options."""
    hidden = re.sub(r"(://[^:/?]*):.*@", r"\1:***@", str(url))
    return re.sub(r"((?:^|[?&])(?:ssl)?password=)[^&]*", r"\1***", hidden)


def read_url(url: str | Path) -> tuple[URL, Backend]:
    """Parse a URL, or the path of an SQLite file, and choose the backend.

    Raises:
        StoreError: if it is neither, or the database is not supported.
    """
    text = str(url)
    try:
        parsed = make_url(text if "://" in text else f"sqlite:///{text}")
    except (ArgumentError, ValueError):
        raise StoreError(f"{without_password(text)!r} is not a storage URL: a store is {KINDS}") from None
    if parsed.drivername in POSTGRES_DRIVERS and parsed.database:
        return parsed.set(drivername=POSTGRES_DRIVERS[0]), POSTGRES
    if parsed.drivername in POSTGRES_DRIVERS:
        raise StoreError(f"{without_password(text)!r} names no database: give postgresql://user@host/database")
    if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed, SQLITE
    raise StoreError(f"{without_password(text)!r} is not supported: a store is {KINDS}")
