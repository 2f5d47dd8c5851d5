"""The SQLite store: the contract, the file and its concurrent use by real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.store_contract import OpenStore, StoreContract, generation, trained
from glo.errors import StoreError
from glo.store import Store

# Waits for a line on its input, so that several of them start at the same moment.
OPENER = """
import sys
from glo.store import Store
print("ready", flush=True)
sys.stdin.readline()
store = Store(sys.argv[1])
store.create_run(sys.argv[2], {}, {})
"""

WRITER = """
import sys
from glo.records import Outcome, Phase, Stage, Status, new_counts
from glo.store import GenerationRecord, Store
store = Store(sys.argv[1])
outcomes = [Outcome("x*y", "f", Status.TRAINED, Stage.TRAINING)] * 5
for number in range(300):
    store.record("run", GenerationRecord(number, Phase.GENETIC, "asked", outcomes, new_counts(), 0.0))
"""


class TestSQLiteStore(StoreContract):
    """The contract."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Iterator[OpenStore]:
        opened: list[Store] = []

        def open_it() -> Store:
            opened.append(Store(tmp_path / "glo.db"))
            return opened[-1]

        yield open_it
        for store in opened:
            store.close()


def test_path_and_url_are_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Store("glo.db").create_run("first", {}, {})
    for same in (
        "glo.db",
        "sqlite:///glo.db",
        tmp_path / "glo.db",
        str(tmp_path / "glo.db"),
        f"sqlite:///{tmp_path}/glo.db",
    ):
        assert [record.name for record in Store(same, create=False).runs()] == ["first"]


def test_empty_file_becomes_a_store(tmp_path: Path) -> None:
    # As `mktemp` leaves one.
    (tmp_path / "glo.db").touch()
    Store(tmp_path / "glo.db").create_run("first", {}, {})
    assert Store(tmp_path / "glo.db", create=False).run("first").name == "first"


def test_processes_make_a_store_at_the_same_time(tmp_path: Path) -> None:
    """Several searches may be started at once in a fresh folder."""
    for attempt in range(3):
        path = tmp_path / f"{attempt}.db"
        children = [
            subprocess.Popen(
                [sys.executable, "-c", OPENER, str(path), f"run{number}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(4)
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        errors = [child.communicate()[1] for child in children]
        assert [child.returncode for child in children] == [0] * 4, "\n".join(errors)
        assert sorted(record.name for record in Store(path).runs()) == ["run0", "run1", "run2", "run3"]


def test_reader_sees_only_whole_generations(tmp_path: Path) -> None:
    """A generation is there with all its outcomes or not at all, for a process that reads while another writes."""
    store = Store(tmp_path / "glo.db")
    store.create_run("run", {}, {})
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "glo.db")]) as writer:
        seen = {len(record.outcomes) for record in store.generations("run")}
        while writer.poll() is None:
            seen |= {len(record.outcomes) for record in store.generations("run")}
    assert writer.returncode == 0
    assert len(store.generations("run")) == 300
    assert seen == {5}


def test_closed_store_leaves_one_file(tmp_path: Path) -> None:
    """What is copied elsewhere is one file."""
    store = Store(tmp_path / "glo.db")
    store.create_run("first", {}, {})
    store.record("first", generation(0, [trained("x*y", "f")]))
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["glo.db"]
    copy = tmp_path / "copy.db"
    copy.write_bytes((tmp_path / "glo.db").read_bytes())
    assert Store(copy, create=False).generations("first") == [generation(0, [trained("x*y", "f")])]


def test_refusal_does_not_leave_the_store_locked(tmp_path: Path) -> None:
    """What was refused is rolled back."""
    store = Store(tmp_path / "glo.db")
    store.create_run("first", {}, {})
    with pytest.raises(StoreError):
        store.create_run("first", {}, {})
    other = Store(tmp_path / "glo.db")
    other.create_run("second", {}, {})
    assert [record.name for record in store.runs()] == ["first", "second"]
