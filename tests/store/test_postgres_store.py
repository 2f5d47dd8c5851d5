"""The PostgreSQL store: the contract on a real server, and errors that only a server can cause."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from glo.cli.app import main
from glo.errors import StoreError
from glo.store import Store
from glo.testing.store import StoreContract
from glo.testing.store_base import NewUrl, generation, trained
from store.interrupts import InterruptTests
from store.postgres import PASSWORD, PostgresServer

Open = Callable[[str], Store]
ENCODED = urllib.parse.quote(PASSWORD, safe="")

# The driver cannot be imported, as after an installation without the extra "postgres".
WITHOUT_DRIVER = """
import sys
sys.modules["psycopg"] = None
from glo.cli.app import main
from glo.errors import StoreError
from glo.store import Store
try:
    Store("postgresql://me@host/glo")
except StoreError as error:
    print(error)
"""


class TestPostgresStore(StoreContract, InterruptTests):
    """The contract of every store, and Ctrl-C."""

    @pytest.fixture
    def new_url(self, postgres: PostgresServer) -> NewUrl:
        return lambda: postgres.url(postgres.new_schema())


@pytest.fixture
def opened() -> Iterator[Open]:
    """A function that opens stores; all are closed after the test."""
    stores: list[Store] = []

    def open_it(url: str) -> Store:
        stores.append(Store(url))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


@pytest.fixture
def schema(postgres: PostgresServer) -> str:
    """A schema without tables."""
    return postgres.new_schema()


@pytest.fixture
def url(postgres: PostgresServer, schema: str) -> str:
    """The URL of a store with one study of one generation."""
    store = Store(postgres.url(schema))
    store.create_study("run", {}, {})
    store.record("run", generation(0, [trained("x*y", "f")]))
    store.close()
    return postgres.url(schema)


def role(postgres: PostgresServer, schema: str) -> str:
    """Create a user who may use the schema and nothing else; return the name."""
    name = f"{schema}_user"
    postgres.execute(f"CREATE ROLE {name} LOGIN")
    postgres.execute(f"GRANT USAGE ON SCHEMA {schema} TO {name}")
    return name


def refusal(url: str) -> str:
    """The message of the error when a store is opened."""
    with pytest.raises(StoreError) as caught:
        Store(url)
    return str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "postgres"])
def test_schemes(opened: Open, url: str, scheme: str) -> None:
    same = opened(url.replace("postgresql", scheme, 1))
    assert [record.name for record in same.studies()] == ["run"]
    assert str(same).startswith("postgresql+psycopg://glo@/postgres?host=")


def test_missing_driver() -> None:
    child = subprocess.run([sys.executable, "-c", WITHOUT_DRIVER], capture_output=True, text=True, check=True)
    assert re.search(r"PostgreSQL needs psycopg: pip install 'glo-torch\[postgres\]'", child.stdout)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://me:hunter2@127.0.0.1:1/glo", r"no server answers there: check that it runs.*Connection refused"),
        ("postgresql://me:hunter2@/glo?host=/nowhere", r"no server answers there"),
        ("postgresql://me:hunter2@nowhere.invalid/glo", r"there is no such host: check --storage"),
        ("postgresql://me:hunter2@127.0.0.1/glo?colour=red", r"an option that PostgreSQL does not know"),
        ("postgresql://127.0.0.1:1/glo?user=me&password=hunter2", r"no server answers there"),
        ("postgresql://me:hunter2@127.0.0.1:port/glo", r"is not a storage"),
        ("postgresql://me:hunter2@127.0.0.1", r"names no database: give postgresql://user@host/database"),
    ],
)
def test_unreachable_server(url: str, message: str) -> None:
    said = refusal(url)
    assert re.search(message, said)
    assert "hunter2" not in said
    assert "\n" not in said


def test_password(opened: Open, postgres: PostgresServer, schema: str, url: str) -> None:
    postgres.execute(f"GRANT USAGE ON SCHEMA {schema} TO locked")
    postgres.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {schema} TO locked")
    store = opened(postgres.url(schema, f"locked:{ENCODED}"))
    store.create_study("second", {}, {})
    assert [record.name for record in store.studies()] == ["run", "second"]
    assert "locked:***@" in str(store)
    with pytest.raises(StoreError) as caught:
        store.create_study("run", {}, {})
    assert ENCODED not in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("password", [f":{ENCODED}x", ":p%40ss"])
def test_wrong_password(postgres: PostgresServer, password: str) -> None:
    said = refusal(postgres.url(user=f"locked{password}"))
    assert re.search(r"the user or the password is wrong: check --storage, PGPASSWORD or ~/\.pgpass", said)
    assert password[1:] not in said
    assert urllib.parse.unquote(password[1:]) not in said


def test_missing_password(postgres: PostgresServer) -> None:
    assert re.search("it asks for a password: put it into", refusal(postgres.url(user="locked")))


def test_missing_database_user_and_schema(postgres: PostgresServer) -> None:
    assert re.search(r"there is no such database: create it with createdb", refusal(postgres.url(database="nowhere")))
    assert re.search(r"there is no such user: check --storage", refusal(postgres.url(user="nobody")))
    assert re.search(r"schema of its search_path does not exist: create it", refusal(postgres.url("nowhere")))


def test_read_only_user_can_read_and_not_write(opened: Open, postgres: PostgresServer, schema: str, url: str) -> None:
    user = role(postgres, schema)
    postgres.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {user}")
    store = opened(postgres.url(schema, user))
    assert len(store.generations("run")) == 1
    with pytest.raises(StoreError, match="this user may not do that: ask the database's owner to grant it"):
        store.record("run", generation(1, []))
    with pytest.raises(StoreError, match="this user may not do that"):
        store.create_study("other", {}, {})
    assert len(opened(url).generations("run")) == 1


def test_read_only_transactions(opened: Open, url: str) -> None:
    """As on a server that only replicates another."""
    store = opened(f"{url}%20-cdefault_transaction_read_only%3Don")
    assert len(store.generations("run")) == 1
    with pytest.raises(StoreError, match="it is read-only: use a server and a user that can write"):
        store.record("run", generation(1, []))


def test_user_without_permission_to_create_tables(postgres: PostgresServer, schema: str) -> None:
    assert re.search("this user may not do that", refusal(postgres.url(schema, role(postgres, schema))))


def test_database_of_another_program(postgres: PostgresServer, schema: str) -> None:
    """It stays unchanged."""
    url = postgres.url(schema)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE urls (url TEXT)")
    assert re.search("database of another program: use another --storage", refusal(url))
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
    assert tables == [("urls",)]


def test_newer_schema(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE info SET value = '99' WHERE key = 'schema'")
    assert re.search(r"another version of glo \(schema 99.*use that version, or another --storage", refusal(url))


def test_two_stores_in_one_database(opened: Open, postgres: PostgresServer, url: str) -> None:
    """Each in its own schema: each has its own studies and its own locks."""
    one, other = opened(url), opened(postgres.url(postgres.new_schema()))
    assert other.studies() == []
    other.create_study("run", {}, {})
    with one.lock("run"), other.lock("run"):
        assert (one.study("run").generations, other.study("run").generations) == (1, 0)


def test_lock_leaves_no_transaction_open(opened: Open, url: str) -> None:
    """A study may train for hours; an open transaction would keep the server from vacuuming its tables."""
    store = opened(url)
    count = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    idle = "SELECT DISTINCT state FROM pg_stat_activity WHERE application_name = 'glo' AND datname = current_database()"
    with psycopg.connect(url, autocommit=True) as connection:
        with store.lock("run"):
            assert connection.execute(count).fetchall() == [(1,)]
            assert connection.execute(idle).fetchall() == [("idle",)]
        assert connection.execute(count).fetchall() == [(0,)]


def test_connections_closed_by_the_server(opened: Open, url: str) -> None:
    """As when the server restarts: the pool connects again, and releasing a lost lock is no error."""
    end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'glo'"
    store = opened(url)
    with psycopg.connect(url, autocommit=True) as connection, store.lock("run"):
        assert connection.execute(end).fetchall()
        store.record("run", generation(1, []))
    with store.lock("run"):
        assert store.study("run").generations == 2


def test_two_users_share_a_search_which_equals_that_in_a_file(
    postgres: PostgresServer,
    schema: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On the command line: the histories are identical, the second user trains nothing, and no password is printed."""

    def glo(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["glo", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        assert not end.value.code, captured.err
        for secret in (PASSWORD, ENCODED):
            assert secret not in captured.out + captured.err
        return captured.out

    postgres.execute(f"GRANT ALL ON SCHEMA {schema} TO locked")
    url = postgres.url(schema, f"locked:{ENCODED}")
    search = [
        "search",
        "--task",
        "digits",
        "--generations",
        "2",
        "--population",
        "8",
        "--steps",
        "60",
        "--baselines",
        "none",
        "--json",
    ]
    file = json.loads(glo(*search, "--storage", str(tmp_path / "glo.db")))
    first = json.loads(glo(*search, "--storage", url, "--name", "first"))
    second = json.loads(glo(*search, "--storage", postgres.url(schema), "--name", "second"))
    assert first["history_digest"] == second["history_digest"] == file["history_digest"]
    assert first["funnel"]["training"]["candidates"] == file["funnel"]["training"]["candidates"] > 0
    assert second["funnel"]["training"]["candidates"] == 0
    assert first["storage"] == url.replace(ENCODED, "***")
    assert "Studies in postgresql://locked:***@/" in re.sub(r"\s+", " ", glo("runs", "--storage", url))
