"""A private PostgreSQL server for the tests, on a Unix socket in its own folder; stopped after the tests."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

PASSWORD = "s3cret/p@ss:word"  # noqa: S105 - of the user "locked" of a private server
SETTINGS = ("listen_addresses=", "fsync=off", "log_min_messages=log", "log_checkpoints=off")


@dataclass(frozen=True)
class PostgresServer:
    """A running server, with its socket in its own folder.

    The user "glo" may do everything, without a password; "locked" needs `PASSWORD`.
    """

    folder: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def url(self, schema: str = "public", user: str = "glo", database: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={self.folder}&options=-csearch_path%3D{schema}"

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def new_schema(self) -> str:
        """Create a schema without tables, which is much cheaper than a database; return its name."""
        name = f"glo{next(self._numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        return name


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server; skip the test where PostgreSQL is not installed."""
    found = [shutil.which("initdb"), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True))]
    programs = next((Path(path).parent for path in found if path), None)
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="glo-postgres-"))
    as_user = ["setpriv", "--pdeathsig=QUIT"]  # the server dies with the tests
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    data = folder / "data"
    initdb = [programs / "initdb", "-D", data, "-U", "glo", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run([*as_user, *initdb], check=True, capture_output=True, cwd=folder)
    (data / "pg_hba.conf").write_text("local all locked scram-sha-256\nlocal all all trust\n")
    options = [part for setting in (*SETTINGS, f"unix_socket_directories={folder}") for part in ("-c", setting)]
    command = [*as_user, programs / "postgres", "-D", data, *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder) as server:
        try:
            assert server.stderr is not None
            said = list(itertools.takewhile(lambda line: "ready to accept connections" not in line, server.stderr))
            assert server.poll() is None, "".join(said)
            running = PostgresServer(folder)
            running.execute(f"CREATE ROLE locked LOGIN PASSWORD '{PASSWORD}'")
            yield running
        finally:
            server.send_signal(signal.SIGQUIT)  # the fast way: its data are not needed any more
    shutil.rmtree(folder)
