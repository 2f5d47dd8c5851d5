"""A store in a PostgreSQL database, which people and machines can share.

Everybody may write to it: transactions that write read what is committed, so that two that learn the same loss at once
wait for each other rather than fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, OperationalError

from glo.errors import StoreError
from glo.store.backend import Backend, Taken

# Of libpq: a connection whose other end is gone is noticed within minutes, and does not look idle to a firewall.
PARAMETERS = {
    "application_name": "glo",
    "connect_timeout": "10",
    "keepalives_idle": "60",
    "keepalives_interval": "10",
    "keepalives_count": "6",
}
# The same for the server, so that the lock of a machine that has vanished is soon free.
SESSION = (
    "SET tcp_keepalives_idle = 60",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 6",
)
KEY = "hashtextextended(current_schema() || '.' || :name, 0)"  # locks have numbers, the same for all of a database
TAKE, FREE = text(f"SELECT pg_advisory_lock({KEY})"), text(f"SELECT pg_advisory_unlock({KEY})")
LOCK_NOT_AVAILABLE = "55P03"
NOTICED = 1.0  # seconds in which the server finds out that the client who had a lock is dead

UNREACHABLE = "no server answers there: check that it runs, and the host and port of --storage"
ADVICE = {
    "Connection refused|No such file|timeout expired|timed out|Network is unreachable": UNREACHABLE,
    "resolve host|translate host name": "there is no such host: check --storage",
    "password authentication failed": "the user or the password is wrong: check --storage, PGPASSWORD or ~/.pgpass",
    "no password supplied": "it asks for a password: put it into ~/.pgpass or PGPASSWORD",
    "pg_hba.conf": "the server does not let this user in from here: ask who runs it",
    'database ".*" does not exist': "there is no such database: make it with createdb, or check --storage",
    'role ".*" does not exist': "there is no such user: check --storage",
    "permission denied": "this user may not do that: ask the database's owner to grant it, or use another --storage",
    "read-only transaction": "it is read-only: use a server and a user that may write, or another --storage",
    "No space left|could not extend": "the server's disk is full: free some space, then go on with glo resume",
    "too many (clients|connections)|connection slots": "the server has no connection left: try again later",
    "closed the connection|terminating connection|connection.* (lost|closed|broken)|shutting down|starting up": (
        "the connection is lost: see that the server runs, then go on with glo resume"
    ),
    "no schema has been selected": "the schema of its search_path does not exist: make it, or check --storage",
    "invalid .*option": "it has an option that PostgreSQL does not know: check --storage",
    "": "see what the server says, or use another --storage",
}


def _connect(url: URL) -> Engine:
    parameters = {name: value for name, value in PARAMETERS.items() if name not in url.query}
    try:
        return create_engine(url, isolation_level="READ COMMITTED", pool_pre_ping=True, connect_args=parameters)
    except ImportError as error:
        raise StoreError(f"PostgreSQL needs psycopg: pip install 'glo[postgres]' ({error})") from None


@contextmanager
def _lock(engine: Engine, name: str, seconds: float) -> Iterator[None]:
    """An advisory lock of a session of its own: the server frees it when the session ends, however its client died."""
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")  # no transaction stays open while the lock is held
        connection.detach()  # it is closed in the end, and not used for anything else
        for setting in SESSION:
            connection.execute(text(setting))
        milliseconds = round(1000 * max(seconds, NOTICED))
        connection.execute(text(f"SET lock_timeout = {milliseconds}"))
        try:
            connection.execute(TAKE, {"name": name})
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE:
                raise Taken from None
            raise
        try:
            yield
        finally:
            with suppress(DBAPIError):  # a lost connection has no lock left
                connection.execute(FREE, {"name": name})


POSTGRES = Backend(
    exists=lambda url: True,
    connect=_connect,
    prepare=lambda engine: None,
    insert=insert,
    lock=_lock,
    advice=ADVICE,
    one_moment={"isolation_level": "REPEATABLE READ"},
)
