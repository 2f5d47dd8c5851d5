"""A store in one SQLite file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

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
    "unable to open": "it cannot be opened: check that the path exists and that its folder can be written",
    "": "check the file, or use another --storage",
}


def file_of(url: URL) -> Path:
    """The path of the file; SQLite also accepts a URI such as file:glo.db."""
    database = url.database or ""
    return Path(unquote(database.removeprefix("file:")) if database.startswith("file:") and "uri" in url.query else database)


def _exists(url: URL) -> bool:
    try:
        return file_of(url).exists()
    except OSError:
        return True  # `_connect` says what is wrong


def _connect(url: URL) -> Engine:
    file = file_of(url)
    try:
        if not file.parent.is_dir():
            raise StoreError(f"the folder {file.parent} of the store does not exist: create it, or use another --storage")
        if file.is_dir():
            raise StoreError(f"{file} is a folder: a store is a file, e.g. {file / 'glo.db'}")
        if file.exists() and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
            url = _for_reading(file)
    except OSError as error:
        raise StoreError(f"{file} cannot be opened ({error.strerror}): use another --storage") from error
    engine = create_engine(url, connect_args={"timeout": 30})
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _for_reading(file: Path) -> URL:
    """A URL that opens the file without writing anything.

    Even to read from a database in WAL mode, SQLite creates two files next to it, unless they exist, or it is told that the
    database does not change.

    Raises:
        StoreError: if what was written last is not in the file yet, and cannot be read.
    """
    wal, shared_memory = (Path(f"{file}-{ending}") for ending in ("wal", "shm"))
    ahead = wal.exists() and wal.stat().st_size > 0
    if ahead and not shared_memory.exists():
        raise StoreError(
            f"{file} is read-only, and {wal.name} has a part of it: copy both to a folder that can be written, "
            "and give that --storage"
        )
    option = {"mode": "ro"} if ahead else {"immutable": "1"}
    return URL.create("sqlite", database=f"file:{quote(str(file.absolute()))}", query={**option, "uri": "true"})


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
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror}): make its folder writable, or use another --storage"
        ) from error
    try:
        yield
    finally:
        lock.release()
        if name == SETUP:  # needed once: a process that takes this lock later finds the tables
            path.unlink(missing_ok=True)


SQLITE = Backend(exists=_exists, connect=_connect, prepare=_prepare, insert=insert, lock=_lock, advice=ADVICE)
