"""A store in a PostgreSQL database, which several users and machines can share.

Writing transactions use the isolation level READ COMMITTED: two of them that remember the same loss at the same time wait
for each other and do not fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, OperationalError

from glo.errors import StoreError
from glo.store.backend import Backend, LockHeld

# Parameters of libpq: keepalives detect a dead server within minutes, and keep a firewall from closing an idle connection.
PARAMETERS = {
    "application_name": "glo",
    "connect_timeout": "10",
    "keepalives_idle": "60",
    "keepalives_interval": "10",
    "keepalives_count": "6",
}
# The same for the server's end, so that the lock of a machine that has disappeared is soon released.
SESSION = (
    "SET tcp_keepalives_idle = 60",
    "SET tcp_keepalives_interval = 10",
    "SET tcp_keepalives_count = 6",
)
KEY = "hashtextextended(current_schema() || '.' || :name, 0)"  # advisory locks are numbers, shared by a whole database
TAKE, FREE = text(f"SELECT pg_advisory_lock({KEY})"), text(f"SELECT pg_advisory_unlock({KEY})")
LOCKS = "FROM pg_locks JOIN pg_database d ON d.oid = database AND d.datname = current_database()"
NUMBER = "(classid::bigint << 32) | objid::bigint"  # its halves are in two columns
HELD = text(f"SELECT 1 {LOCKS} WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND {NUMBER} = {KEY}")
LOCK_NOT_AVAILABLE = "55P03"
DEAD_CLIENT_SECONDS = 1.0  # the server may need as long to release the lock of a client that has just died

UNREACHABLE = "no server answers there: check that it runs, and the host and port of --storage"
ADVICE = {
    "Connection refused|No such file|timeout expired|timed out|Network is unreachable": UNREACHABLE,
    "resolve host|translate host name": "there is no such host: check --storage",
    "password authentication failed": "the user or the password is wrong: check --storage, PGPASSWORD or ~/.pgpass",
    "no password supplied": "it asks for a password: put it into ~/.pgpass or PGPASSWORD",
    "pg_hba.conf": "the server does not accept this user from this machine: ask its administrator",
    'database ".*" does not exist': "there is no such database: create it with createdb, or check --storage",
    'role ".*" does not exist': "there is no such user: check --storage",
    "permission denied": "this user may not do that: ask the database's owner to grant it, or use another --storage",
    "read-only transaction": "it is read-only: use a server and a user that can write, or another --storage",
    "No space left|could not extend": "the server's disk is full: free some space, then go on with glo resume",
    "too many (clients|connections)|connection slots": "the server has no connection left: try again later",
    "closed the connection|terminating connection|connection.* (lost|closed|broken)|shutting down|starting up": (
        "the connection is lost: check that the server runs, then go on with glo resume"
    ),
    "no schema has been selected": "the schema of its search_path does not exist: create it, or check --storage",
    "invalid .*option": "it has an option that PostgreSQL does not know: check --storage",
    "": "read the server's message, or use another --storage",
}


def _connect(url: URL) -> Engine:
    parameters = {name: value for name, value in PARAMETERS.items() if name not in url.query}
    try:
        return create_engine(url, isolation_level="READ COMMITTED", pool_pre_ping=True, connect_args=parameters)
    except ImportError as error:
        raise StoreError(f"PostgreSQL needs psycopg: pip install 'glo-torch[postgres]' ({error})") from None


@contextmanager
def _lock(engine: Engine, name: str, seconds: float) -> Iterator[None]:
    """An advisory lock in its own session: the server releases it when the session ends, however its client died."""
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")  # no transaction stays open while the lock is held
        connection.detach()  # take it out of the pool, so that it is closed in the end and not reused
        for setting in SESSION:
            connection.execute(text(setting))
        milliseconds = round(1000 * max(seconds, DEAD_CLIENT_SECONDS))
        connection.execute(text(f"SET lock_timeout = {milliseconds}"))
        try:
            connection.execute(TAKE, {"name": name})
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE:
                raise LockHeld from None
            raise
        try:
            yield
        finally:
            with suppress(DBAPIError):  # a lost connection has lost its lock too
                connection.execute(FREE, {"name": name})


def _held(engine: Engine, name: str) -> bool:
    with engine.connect() as connection:
        return connection.scalar(HELD, {"name": name}) is not None


POSTGRES = Backend(
    exists=lambda url: True,
    connect=_connect,
    prepare=lambda engine: None,
    insert=insert,
    lock=_lock,
    held=_held,
    advice=ADVICE,
    snapshot={"isolation_level": "REPEATABLE READ"},
)
