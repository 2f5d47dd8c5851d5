"""A store in one SQLite file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.dialects.sqlite import insert

from glo.errors import StoreError
from glo.store.backend import SETUP, Backend, Taken

READ_ONLY = "it is read-only: make the file and its folder writable, or use another --storage"
DISK = "free some space, then go on with glo resume"
ADVICE = {
    "readonly|read-only": READ_ONLY,
    "full": f"the disk is full: {DISK}",
    "disk I/O": f"the disk is full or failing: {DISK}",
    "not a database": "it is not a glo store, or it is damaged: restore it from a copy, or use another --storage",
    "malformed": "it is damaged: restore it from a copy, or use another --storage",
    "locked": "another process is writing to it: try again",
    "unable to open": "it cannot be opened: check that the path exists and may be written",
    "": "check the file, or use another --storage",
}


def file_of(url: URL) -> Path:
    return Path((url.database or "").removeprefix("file:"))


def _connect(url: URL) -> Engine:
    folder = file_of(url).parent
    if not folder.is_dir():
        raise StoreError(f"the folder {folder} of the store does not exist: create it, or use another --storage")
    engine = create_engine(url, connect_args={"timeout": 30})
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say so, reading ones too: see _on_begin
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")  # one commit a generation: durability costs nothing
    cursor.close()


def _on_begin(connection: Connection) -> None:
    """All that one transaction reads is of one moment."""
    connection.exec_driver_sql("BEGIN")


def _prepare(engine: Engine) -> None:
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode=WAL")  # readers (`glo runs`) do not wait for the writer
    finally:
        connection.close()


@contextmanager
def _lock(engine: Engine, name: str, seconds: float) -> Iterator[None]:
    """The operating system's lock of a file beside the store's."""
    path = Path(f"{file_of(engine.url)}.{name}.lock")
    lock = filelock.FileLock(path, timeout=seconds)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise Taken from None
    except PermissionError as error:
        raise StoreError(
            f"{error.filename} cannot be written: make its folder writable, or use another --storage"
        ) from error
    try:
        yield
    finally:
        lock.release()
        if name == SETUP:  # whoever still waits for it, or makes it anew, finds the tables
            path.unlink(missing_ok=True)


SQLITE = Backend(
    exists=lambda url: file_of(url).exists(), connect=_connect, prepare=_prepare, insert=insert, lock=_lock, advice=ADVICE
)
