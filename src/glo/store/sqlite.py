"""A store in one SQLite file."""

from __future__ import annotations

import glob
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import filelock
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.dialects.sqlite import insert

from glo.errors import StoreError
from glo.store.backend import Backend, LockHeld
from glo.store.rows import DamagedRowError

READ_ONLY = "it is read-only: make the file and its folder writable, or use another --storage"
PROBE_SECONDS = 0.2  # `_held` and `_sweep` hold a lock for a moment, which must not refuse the study that begins just then
DISK = "free some space, then go on with glo resume"
COPY = "restore it from a copy, or use another --storage"
ADVICE = {
    "readonly|read-only": READ_ONLY,
    "full": f"the disk is full: {DISK}",
    "disk I/O.*SELECT": f"the disk is failing, or the file that ends in -wal next to the store was cut or deleted: {COPY}",
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
    cursor.execute("PRAGMA cell_size_check=ON")  # a damaged page is an error, not other rows
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


def _identity(url: URL) -> object:
    """Device and number of the file; None if it is empty or not there."""
    try:
        found = file_of(url).stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size else None


def _check(connection: Connection, tables: Sequence[str]) -> None:
    """Compare tables with their indexes: a row that an index has lost would be missing without a word."""
    for table in tables:
        (found,) = connection.exec_driver_sql(f"PRAGMA integrity_check('{table}')").first() or ("nothing",)
        if found != "ok":
            raise DamagedRowError(f"its table {table} ({' '.join(str(found).split())})")


def _checkpoint(engine: Engine) -> None:
    """Move what was committed from the WAL into the file itself, as far as readers allow."""
    with closing(engine.raw_connection()) as connection, suppress(sqlite3.Error):  # what is committed is safe in the WAL too
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def _lock(engine: Engine, name: str, seconds: float) -> Iterator[None]:
    """The operating system's lock on a file next to the store's, which is deleted at the end.

    A process that was killed leaves the file; the next one that opens a lock of the store deletes it.
    """
    store = file_of(engine.url)
    path = Path(f"{store}.{name}.lock")
    _sweep(store)
    deadline = time.monotonic() + max(seconds, PROBE_SECONDS)
    while (lock := _taken(path, max(0.0, deadline - time.monotonic()))) is None:
        pass  # its holder has deleted the file: with the lock of a deleted file, another process could have a new one
    try:
        yield
    finally:
        _delete(path, lock)


def _held(engine: Engine, name: str) -> bool:
    """Whether a process holds the lock; a file that a killed process has left is deleted, if that is allowed."""
    path = Path(f"{file_of(engine.url)}.{name}.lock")
    if not path.exists():
        return False
    try:
        if (lock := _taken(path, 0.0)) is not None:
            _delete(path, lock)
    except LockHeld:
        return True
    except StoreError:  # the folder is read-only
        return _is_locked(path)
    return False


def _is_locked(path: Path) -> bool:
    """Whether a file is locked, which this process may only read."""
    import fcntl

    with suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _taken(path: Path, seconds: float) -> filelock.FileLock | None:
    """The lock of a file; None if the file was deleted before it was locked."""
    lock = filelock.FileLock(path, timeout=seconds)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise LockHeld from None
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written ({error.strerror}): make its folder writable, or use another --storage"
        ) from error
    descriptor = lock._context.lock_file_fd
    with suppress(OSError):
        if descriptor is not None and os.path.samestat(os.fstat(descriptor), path.stat()):
            return lock
    lock.release()
    return None


def _delete(path: Path, lock: filelock.FileLock) -> None:
    """Delete the file, and then release its lock; where an open file cannot be deleted, the next process does it."""
    with suppress(OSError):
        path.unlink()
    lock.release()


def _sweep(store: Path) -> None:
    """Delete the lock files of this store that nobody holds."""
    with suppress(OSError):
        for path in store.parent.glob(f"{glob.escape(store.name)}.*.lock"):
            with suppress(LockHeld, StoreError):
                if (lock := _taken(path, 0.0)) is not None:
                    _delete(path, lock)


SQLITE = Backend(
    exists=_exists,
    connect=_connect,
    prepare=_prepare,
    insert=insert,
    lock=_lock,
    held=_held,
    advice=ADVICE,
    identity=_identity,
    check=_check,
    checkpoint=_checkpoint,
)
