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
from glo.store.backend import SETUP, Backend, LockHeld

READ_ONLY = "it is read-only: make the file and its folder writable, or use another --storage"
DISK = "free some space, then go on with glo resume"
ADVICE = {
    "readonly|read-only": READ_ONLY,
    "full": f"the disk is full: {DISK}",
    "disk I/O": f"the disk is full or failing: {DISK}",
    "not a database": "it is not a glo store, or it is damaged: restore it from a copy, or use another --storage",
    "malformed": "it is damaged: restore it from a copy, or use another --storage",
    "locked": "another process is writing to it: try again",
    "unable to open": "it cannot be opened: check that the path exists and is writable",
    "": "check the file, or use another --storage",
}


def file_of(url: URL) -> Path:
    """The path of the file; SQLite also accepts a URI such as file:glo.db."""
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
    connection.isolation_level = None  # the driver must not begin transactions by itself: see _on_begin
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")  # commits are rare, so durability costs next to nothing
    cursor.close()


def _on_begin(connection: Connection) -> None:
    """Begin a transaction for reading as well, so that it reads from one snapshot."""
    connection.exec_driver_sql("BEGIN")


def _prepare(engine: Engine) -> None:
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode=WAL")  # readers (`glo runs`) do not wait for the writer
    finally:
        connection.close()


@contextmanager
def _lock(engine: Engine, name: str, seconds: float) -> Iterator[None]:
    """The operating system's lock on a file next to the store's."""
    path = Path(f"{file_of(engine.url)}.{name}.lock")
    lock = filelock.FileLock(path, timeout=seconds)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise LockHeld from None
    except PermissionError as error:
        raise StoreError(
            f"{error.filename} cannot be written: make its folder writable, or use another --storage"
        ) from error
    try:
        yield
    finally:
        lock.release()
        if name == SETUP:  # needed once: a process that takes this lock later finds the tables
            path.unlink(missing_ok=True)


SQLITE = Backend(
    exists=lambda url: file_of(url).exists(), connect=_connect, prepare=_prepare, insert=insert, lock=_lock, advice=ADVICE
)
