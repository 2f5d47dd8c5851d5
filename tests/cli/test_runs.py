"""`glo runs`: which studies it lists, in which state and order; delete and rename."""

from __future__ import annotations

import io
import itertools
import shutil
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

import glo as library
from cli.conftest import Glo, assert_misuse, parsed
from glo.cli.runs import watch_studies
from glo.store import Store, WholeStudy

SMALL: Any = {"population": 6, "generations": 2, "steps": 60, "confirm": 0}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one study, which is finished."""
    storage = tmp_path_factory.mktemp("searched") / "glo.db"
    library.Study("digits", name="first", storage=storage, device="cpu").search(**SMALL)
    return storage


@pytest.fixture
def store(searched: Path, tmp_path: Path) -> Store:
    """A store with the studies first, which is finished, and second, which is older and has stopped after a generation."""
    shutil.copy(searched, tmp_path / "glo.db")
    store = Store(tmp_path / "glo.db")
    whole = store.whole("first")
    config = {**whole.record.config, "task": {**whole.record.config["task"], "name": "noisy-digits"}}
    record = replace(whole.record, name="second", created="2020-01-01T00:00:00+00:00", config=config, generations=1)
    store.add(WholeStudy(record, whole.generations[:1], None))
    return store


@pytest.fixture(autouse=True)
def _closed(store: Store) -> Any:
    with closing(store):
        yield


def names(states: list[dict[str, Any]]) -> list[str]:
    return [state["name"] for state in states]


def test_states(glo: Glo, store: Store) -> None:
    states = parsed(glo("runs", "--json"))
    assert {state["name"]: state["state"] for state in states} == {"first": "finished", "second": "stopped"}
    with store.lock("second"):
        assert names(parsed(glo("runs", "--state", "running", "--json"))) == ["second"]
        shown = glo("runs").out
        assert "running" in shown
        assert shown.endswith("glo report first\n")
    assert names(parsed(glo("runs", "--state", "stopped", "--json"))) == ["second"]
    assert glo("runs", "--state", "stopped").out.endswith("To go on: glo resume second\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["second", "first"]),
        (["--sort", "name"], ["first", "second"]),
        (["--sort", "generations"], ["second", "first"]),
        (["--sort", "state"], ["first", "second"]),
        (["--task", "digits"], ["first"]),
        (["--task", "noisy-digits"], ["second"]),
        (["--task", "nonsense"], []),
    ],
)
def test_filters_and_order(glo: Glo, arguments: list[str], expected: list[str]) -> None:
    assert names(parsed(glo("runs", *arguments, "--json"))) == expected
    assert [name for name in glo("runs", *arguments).out.split() if name in ("first", "second")][: len(expected)] == expected


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_the_table_is_as_wide_as_columns_says(glo: Glo, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """Also in a pipe; and nothing of a name is lost."""
    monkeypatch.setenv("COLUMNS", str(columns))
    *table, _ = glo("runs").out.splitlines()
    assert max(map(len, table)) <= columns
    assert all(word in "".join(table) for word in ("first", "second", "finished", "stopped"))


def test_delete(glo: Glo, store: Store) -> None:
    assert_misuse(glo("runs", "delete", "second"), "there is no terminal: add --yes")
    assert_misuse(glo("runs", "delete", "third", "--yes"), "no study 'third'")
    with store.lock("second"):
        assert_misuse(glo("runs", "delete", "second", "--yes"), "'second' is in use")
    assert parsed(glo("runs", "delete", "second", "--yes", "--json")) == {"deleted": "second", "generations": 1}
    assert names(parsed(glo("runs", "--json"))) == ["first"]


def test_rename(glo: Glo, store: Store) -> None:
    before = parsed(glo("runs", "first", "--json"))
    assert_misuse(glo("runs", "rename", "first", "second", "--yes"), "already a study 'second'")
    assert_misuse(glo("runs", "rename", "first", "a b", "--yes"), "name")
    assert glo("runs", "rename", "first", "third", "--yes").out == "Study 'first' is now 'third'.\n"
    after = parsed(glo("runs", "third", "--json"))
    assert after == {**before, "name": "third"}
    assert not list(Path().glob("*.lock"))


class Typed(io.StringIO):
    """A terminal at which this was typed."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 1, ["second", "first"]), ("y\n", 0, ["first"])])
def test_the_question(glo: Glo, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: list[str]) -> None:
    monkeypatch.setattr(sys, "stdin", Typed(answer))
    result = glo("runs", "delete", "second")
    assert result.code == code
    assert "glo export --study second --format study" in result.err + result.out
    assert names(parsed(glo("runs", "--json"))) == left


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["delete"], "no study 'delete'"),
        (["rename", "first"], "give nothing, NAME, delete NAME, or rename OLD NEW"),
        (["first", "--sort", "name"], "--sort does nothing with a NAME"),
        (["first", "--yes"], "--yes does nothing without delete or rename"),
        (["--watch"], "--watch needs a terminal"),
    ],
)
def test_misuse(glo: Glo, arguments: list[str], message: str) -> None:
    assert_misuse(glo("runs", *arguments), message)


def test_watching_draws_again_until_it_is_interrupted() -> None:
    counted, output = itertools.count(1), io.StringIO()
    numbers: list[int] = []

    def draw() -> Text:
        numbers.append(next(counted))
        return Text(f"drawn {numbers[-1]}")

    def wait() -> None:
        if len(numbers) == 2:
            raise KeyboardInterrupt

    watch_studies(draw, Console(file=output, force_terminal=True, width=60), wait)
    assert [f"drawn {number}" in output.getvalue() for number in (1, 2, 3)] == [True, True, False]
