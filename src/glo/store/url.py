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


def printed(given: str | Path, url: URL) -> str:
    """A store in messages: a file as the user gave it, a server by its URL in one form, without the password."""
    return without_password(given if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=False))


def read_url(url: str | Path) -> tuple[URL, Backend]:
    """Parse a URL, or the path of an SQLite file, and choose the backend.

    A text with `://` is a URL; any other is a path, in which no character has a special meaning but a leading `~`.

    Raises:
        StoreError: if it is neither, or the database is not supported.
    """
    text = str(url)
    try:
        parsed = make_url(text) if "://" in text else URL.create("sqlite", database=text)
    except (ArgumentError, ValueError):
        raise StoreError(f"{without_password(text)!r} is not a storage URL: a store is {KINDS}") from None
    if parsed.drivername in POSTGRES_DRIVERS and parsed.database:
        return parsed.set(drivername=POSTGRES_DRIVERS[0]), POSTGRES
    if parsed.drivername in POSTGRES_DRIVERS:
        raise StoreError(f"{without_password(text)!r} names no database: give postgresql://user@host/database")
    if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(database=_expanded(parsed.database)), SQLITE
    raise StoreError(f"{without_password(text)!r} is not supported: a store is {KINDS}")


def _expanded(path: str) -> str:
    """The path with the home folder in place of a leading ~."""
    try:
        return str(Path(path).expanduser()) if path.startswith("~") else path
    except RuntimeError:  # of a user who does not exist
        return path
