"""Damaged, cut and deleted stores: what is read is what was written, or an error of one line."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from glo.errors import LostStoreError, StoreError, StudyError
from glo.store import Store
from glo.testing.store_base import generation, trained

FLIPS = 300
GENERATIONS = 6
MARKS = [f"{number}-{n}" for number in range(GENERATIONS) for n in range(8)]


def fill(path: Path) -> None:
    store = Store(path)
    store.create_study("run", {"a": 1, "task": {"name": "digits"}}, {"glo": "2"})
    for number in range(GENERATIONS):
        outcomes = [trained("x*log(y)", f"{number}-{n}", 0.1 * n) for n in range(8)]
        store.record("run", generation(number, outcomes))
        store.remember({"context": {outcome.fingerprint: outcome for outcome in outcomes}})
    store.record_trainings({"key": {"score": 0.5}})
    store.record_judgement("run", {"verdict": "better"})
    store.close()


def everything(path: Path) -> object:
    with closing(Store(path, create=False)) as store:
        judgement = (store.judgement("run") or {}).get("verdict")
        return store.studies(), store.generations("run"), store.lookup("context", MARKS), store.trainings(["key"]), judgement


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "glo.db"
    fill(path)
    return path


def test_flipped_bits_are_noticed_or_harmless(whole: Path, tmp_path: Path) -> None:
    content, expected, numbers = whole.read_bytes(), everything(whole), random.Random(1)  # noqa: S311
    noticed, damaged = 0, tmp_path / "glo.db"
    for _ in range(FLIPS):
        position, bit = numbers.randrange(len(content)), numbers.randrange(8)
        changed = bytearray(content)
        changed[position] ^= 1 << bit
        damaged.write_bytes(changed)
        try:
            found = everything(damaged)
        except StoreError as error:
            noticed += "\n" not in str(error)
            continue
        lookups = found[2], expected[2]  # pyright: ignore - a loss that is not remembered any more is trained again
        assert found[:2] == expected[:2], (position, bit)  # pyright: ignore
        assert lookups[0].items() <= lookups[1].items(), (position, bit)
        assert found[3] in ({}, expected[3])  # pyright: ignore
        assert found[4] in (None, "better")  # pyright: ignore
    assert noticed > FLIPS / 10  # much of the file is free


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "UPDATE outcomes SET fitness = 0.9 WHERE generation = 2 AND position = 3",
            "outcome 3 of generation 2 of study 'run'",
        ),
        ("UPDATE outcomes SET fitness = 'high' WHERE generation = 2 AND position = 3", "outcome 3 of generation 2 of"),
        ("UPDATE outcomes SET reason = x'ff' WHERE generation = 2 AND position = 3", "outcome 3 of generation 2 of study"),
        ("DELETE FROM outcomes WHERE generation = 2 AND position = 3", "outcomes are there"),
        ("DELETE FROM generations WHERE generation = 2", r"generation 2 of study 'run' \(it is missing\)"),
        ("UPDATE generations SET phase = 'enumeration' WHERE generation = 4", "generation 4 of study 'run'"),
        ("UPDATE runs SET config = '{}'", "the row of study 'run'"),
        ("UPDATE runs SET config = 'no JSON'", "the row of study 'run'"),
        ("UPDATE fitness_cache SET fitness = 1.0", r"the remembered outcome of 'x\*log\(y\)'"),
        ("UPDATE trainings SET result = '{}'", "the training 'key'"),
        ("UPDATE judgements SET content = '{}'", "the judgement of study 'run'"),
    ],
)
def test_a_row_that_glo_has_not_written_is_named(whole: Path, tmp_path: Path, statement: str, message: str) -> None:
    path = Path(shutil.copy(whole, tmp_path / "glo.db"))
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement).rowcount > 0
    with pytest.raises(
        StoreError, match=message + ".* is damaged, or was not written by glo: restore the store from a copy"
    ):
        everything(path)


def test_each_generation_is_in_the_file_itself(tmp_path: Path) -> None:
    """A copy of the file alone has it, while the store is open; so does what a killed process leaves."""
    store = Store(tmp_path / "glo.db")
    store.create_study("run", {}, {})
    for number in range(3):
        store.record("run", generation(number, [trained("x*y", "f")]))
        copy = Path(shutil.copy(tmp_path / "glo.db", tmp_path / f"{number}.db"))
        with closing(Store(copy, create=False)) as copied:
            assert len(copied.generations("run")) == number + 1
    store.close()


@pytest.mark.parametrize("how", ["deleted", "emptied", "replaced"])
def test_a_store_that_is_lost_while_it_is_open(tmp_path: Path, how: str) -> None:
    path = tmp_path / "glo.db"
    with closing(Store(path)) as store:
        store.create_study("run", {}, {})
        store.check_there()
        if how == "emptied":
            path.write_bytes(b"")
        else:
            path.unlink()
        if how == "replaced":
            fill(path)
        with pytest.raises(LostStoreError, match=r"glo\.db was deleted, replaced or emptied while it was in use"):
            store.record("run", generation(0, [trained("x*y", "f")]))
        with pytest.raises(LostStoreError):
            store.check_there()


def test_locks_leave_no_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "glo.db")
    with store.lock("run"), store.lock("other"):
        with pytest.raises(StudyError, match="in use"), store.lock("run"):
            pass
        assert {path.name for path in tmp_path.glob("*.lock")} == {"glo.db.run.lock", "glo.db.other.lock"}
        (tmp_path / "glo.db.killed.lock").touch()  # as a killed process leaves it
        (tmp_path / "other.db.killed.lock").touch()  # of another store
        with store.lock("third"):
            assert not (tmp_path / "glo.db.killed.lock").exists()
    store.close()
    assert {path.name for path in tmp_path.iterdir()} == {"glo.db", "other.db.killed.lock"}


def _compete(path: Path, rounds: int) -> None:
    """Take the lock many times; count in a file that only its holder may change."""
    store, counter, done = Store(path), path.with_name("counter"), 0
    while done < rounds:
        try:
            with store.lock("run"):
                count = int(counter.read_text())
                counter.write_text(str(count + 1))
            done += 1
        except StudyError:
            continue
    store.close()


def test_a_lock_whose_file_is_deleted_at_the_end_has_one_holder(tmp_path: Path) -> None:
    Store(tmp_path / "glo.db").close()
    (tmp_path / "counter").write_text("0")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_compete, args=(tmp_path / "glo.db", 150)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 3
    assert (tmp_path / "counter").read_text() == "450"
    assert not list(tmp_path.glob("*.lock"))
