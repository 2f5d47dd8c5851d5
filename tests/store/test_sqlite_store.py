"""The SQLite store: the contract, and the properties of its file."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from glo.store import Store
from glo.testing.store import StoreContract
from glo.testing.store_base import NewUrl, generation, trained
from store.interrupts import InterruptTests


class TestSQLiteStore(StoreContract, InterruptTests):
    """The contract of every store, and Ctrl-C."""

    @pytest.fixture
    def new_url(self, tmp_path: Path) -> NewUrl:
        numbers = itertools.count()
        return lambda: f"sqlite:///{tmp_path}/{next(numbers)}.db"


def test_path_and_url_are_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Store("glo.db").create_study("first", {}, {})
    for same in (
        "glo.db",
        "sqlite:///glo.db",
        tmp_path / "glo.db",
        str(tmp_path / "glo.db"),
        f"sqlite:///{tmp_path}/glo.db",
    ):
        assert [record.name for record in Store(same, create=False).studies()] == ["first"]


def test_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "glo.db").touch()  # as `mktemp` does
    Store(tmp_path / "glo.db").create_study("first", {}, {})
    assert Store(tmp_path / "glo.db", create=False).study("first").name == "first"


def test_closed_store_leaves_one_file(tmp_path: Path) -> None:
    """So a store can be copied as one file."""
    store = Store(tmp_path / "glo.db")
    store.create_study("first", {}, {})
    store.record("first", generation(0, [trained("x*y", "f")]))
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["glo.db"]
    copy = tmp_path / "copy.db"
    copy.write_bytes((tmp_path / "glo.db").read_bytes())
    assert Store(copy, create=False).generations("first") == [generation(0, [trained("x*y", "f")])]
