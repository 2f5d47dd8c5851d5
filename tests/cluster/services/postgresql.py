"""A private PostgreSQL server on loopback, with a password, in a temporary folder."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from cluster.services.process import LOOPBACK, free_port, install, running, succeeds, wait_until

USER = "glo"
# No data needs to survive a power failure.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Postgresql:
    """Everything that a client needs.

    Attributes:
        host: address of the server.
        port: of the server.
        user: a superuser.
        password: of this user.
    """

    host: str
    port: int
    user: str
    password: str

    def url(self, database: str) -> str:
        """The URL of a database, for SQLAlchemy."""
        return f"postgresql+psycopg://{self.user}:{self.password}@{self.host}:{self.port}/{database}"

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{secrets.token_hex(4)}"
        address = f"host={self.host} port={self.port} user={self.user} password={self.password} dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Postgresql]:
    """Serve until the end of the block; the log is in a folder, the data in a temporary one of the server's user."""
    path = _programs()
    port, password = free_port(), secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix="glo-postgresql-") as data:
        as_user = _as_user(Path(data))
        (Path(data) / "password").write_text(password)
        subprocess.run(
            [
                *as_user, path["initdb"], f"--pgdata={data}/data", f"--username={USER}", f"--pwfile={data}/password",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
            ],
            check=True, capture_output=True, cwd=data,
        )  # fmt: skip
        settings = {"listen_addresses": LOOPBACK, "port": str(port), "unix_socket_directories": "", **FAST}
        options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        log = folder / "postgresql.log"
        with running([*as_user, path["postgres"], "-D", f"{data}/data", *options], log, signal.SIGINT) as alive:
            ready = [path["pg_isready"], f"--host={LOOPBACK}", f"--port={port}", f"--username={USER}"]
            wait_until(lambda: succeeds(ready), alive, log)
            yield Postgresql(LOOPBACK, port, USER, password)


def _programs() -> dict[str, str]:
    """The programs of the newest server; Debian keeps them by version, outside the search path."""
    if not _folders():
        install(["postgresql"])
    where = str(_folders()[-1])
    return {name: f"{where}/{name}" for name in ("initdb", "postgres", "pg_isready")}


def _folders() -> list[Path]:
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return [path.parent for path in sorted(found, key=lambda path: float(path.parts[-3]))]


def _as_user(folder: Path) -> list[str]:
    """A prefix to run a command as the Debian package's user; PostgreSQL refuses root.  The folder is given to that user."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "postgres", "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
