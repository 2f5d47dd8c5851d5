"""Unusable stores: the message names the file and says what to do."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from glo.errors import StoreError
from glo.store import Store
from glo.testing.store_base import generation, trained

# Records until the disk is "full": a limit on the size of a file, whose signal is ignored, so that the write fails.
FILLER = """
import resource, signal, sys
from glo.errors import StoreError
from glo.records import Outcome, PhaseKind, Stage, Status, new_counts
from glo.store import GenerationRecord, Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(sys.argv[1])
store.create_study("run", {}, {})
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
for number in range(1000):
    outcomes = [Outcome("x*y", f"{number}-{n}", Status.TRAINED, Stage.TRAINING, "r" * 200) for n in range(20)]
    try:
        store.record("run", GenerationRecord(number, PhaseKind.GENETIC, "asked", outcomes, new_counts(), 0.0))
        store.remember({"context": {outcome.fingerprint: outcome for outcome in outcomes}})
    except StoreError as error:
        print(number)
        print(error)
        break
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed store with one study of 30 generations of 40 outcomes."""
    path = tmp_path / "glo.db"
    store = Store(path)
    store.create_study("run", {"a": 1}, {"b": "2"})
    for number in range(30):
        store.record("run", generation(number, [trained("x*y", f"{n}") for n in range(40)]))
        store.remember({"context": {f"{number}-{n}": trained("x*y", f"{number}-{n}") for n in range(40)}})
    store.close()
    return path


def test_garbage(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"these are notes " * 500)
    with pytest.raises(StoreError, match=r"notes\.txt.*not a glo store.*another --storage"):
        Store(path)
    assert path.read_bytes() == b"these are notes " * 500


@pytest.mark.parametrize("part", [0.95, 0.5, 0.1])
def test_truncated(path: Path, part: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])

    def read_all() -> None:
        store = Store(path)
        store.generations("run")
        store.lookup("context", [f"{number}-{n}" for number in range(30) for n in range(40)])

    with pytest.raises(StoreError, match=r"glo\.db.*damaged: restore it from a copy, or use another --storage"):
        read_all()


def test_newer_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE info SET value = '99' WHERE key = 'schema'")
    with pytest.raises(
        StoreError, match=r"glo\.db.*another version of glo \(schema 99.*use that version, or another --storage"
    ):
        Store(path)


def test_sqlite_file_of_another_program(tmp_path: Path) -> None:
    """It stays unchanged: somebody's browser history does not become a store."""
    path = tmp_path / "history.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE urls (url TEXT)")
        connection.execute("INSERT INTO urls VALUES ('https://example.org')")
    with pytest.raises(StoreError, match=r"history\.db.*another --storage"):
        Store(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("urls",)]


def test_sqlite_file_of_another_program_with_a_table_of_the_same_name(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE info (title TEXT)")
    with pytest.raises(StoreError, match=r"history\.db.*another --storage"):
        Store(path)


def test_read_only_store_can_be_read_and_not_written(path: Path) -> None:
    store = Store(f"sqlite:///file:{path}?mode=ro&uri=true")
    assert len(store.generations("run")) == 30
    with pytest.raises(StoreError, match=r"glo\.db.*read-only: make the file and its folder writable"):
        store.record("run", generation(30, [trained("x*y", "f")]))
    with pytest.raises(StoreError, match=r"glo\.db.*read-only: make the file and its folder writable"):
        store.create_study("other", {}, {})
    assert len(Store(path).generations("run")) == 30


def test_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "glo.db"
    child = subprocess.run([sys.executable, "-c", FILLER, str(path)], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert child.stdout, "the limit was never reached"
    last, message = child.stdout.splitlines()
    assert re.search(r"glo\.db: the disk is full.*free some space, then go on with glo resume", message)
    store = Store(path, create=False)
    recorded = store.generations("run")
    # The number of a generation is that of the attempt: either to record it failed, or to remember its outcomes.
    assert 0 < len(recorded) in (int(last), int(last) + 1)
    for record in recorded:
        assert [outcome.fingerprint for outcome in record.outcomes] == [f"{record.generation}-{n}" for n in range(20)]
    for number in range(int(last) + 1):
        remembered = store.lookup("context", [f"{number}-{n}" for n in range(20)])
        assert len(remembered) == (20 if number < int(last) else 0)
    store.record("run", generation(len(recorded), [trained("x*y", "f")]))
    assert len(store.generations("run")) == len(recorded) + 1


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match=r"the folder .*nowhere of the store does not exist: create it, or use another --storage"
    ):
        Store(tmp_path / "nowhere" / "glo.db")
    assert list(tmp_path.iterdir()) == []


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=re.escape(str(tmp_path))):
        Store(tmp_path)


def test_missing_file_that_is_not_to_be_created(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store .*glo\.db: give its --storage, or start with glo search"):
        Store(tmp_path / "glo.db", create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "mysql://host/glo",
        "nosuch://host/glo",
        "postgresql+psycopg2://host/glo",
        "sqlite://:memory:",
        "sqlite:///:memory:",
        "sqlite://",
        "http://host:port/glo",
    ],
)
def test_unsupported_url(url: str) -> None:
    with pytest.raises(StoreError, match=rf"{re.escape(url)}.*sqlite:///.*postgresql://user@host/database"):
        Store(url)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:hunter2@host/glo",
        "mysql://me:hunter2@host:port/glo",
        "mysql://me:hun:ter2@hunter2@host/glo",
        "mysql://host/glo?user=me&password=hunter2",
        "mysql://host/glo?sslpassword=hunter2&user=me",
    ],
)
def test_password_of_an_unsupported_url_is_not_printed(url: str) -> None:
    with pytest.raises(StoreError, match=r"\*\*\*") as caught:
        Store(url)
    assert "hunter2" not in str(caught.value)
    assert "host" in str(caught.value)
