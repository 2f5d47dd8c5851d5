"""A store is data that people send each other: nothing in it is run, and nothing in it is obeyed by the terminal."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Glo, assert_misuse
from sealed import execute

TINY = [
    "--baselines",
    "none",
    "--population",
    "4",
    "--generations",
    "2",
    "--steps",
    "5",
    "--device",
    "cpu",
    "--name",
    "run",
    "--storage",
    "sent.db",
]
OWN = """
import pathlib
import torch, glo
pathlib.Path("imported").touch()
points, labels = torch.randn(40, 3), torch.arange(40) % 2
task = glo.Task("own", lambda: torch.nn.Linear(3, 2), (points[:30], labels[:30]), (points[30:], labels[30:]))
"""
ESCAPE = "\x1b[2J\x1b]0;title\x07"
FORGED = "a\nError: all is well\r[bold]x[/bold][/red]"


@pytest.fixture
def sent(glo: Glo, tmp_path: Path) -> Path:
    """A store with a study of digits."""
    assert glo("search", "--task", "digits", *TINY).code == 0
    return tmp_path / "sent.db"


def change(store: Path, column: str, name: str, value: Any) -> None:
    """Change a value of the configuration, such as task.name."""
    with closing(sqlite3.connect(store)) as connection:
        (text,) = connection.execute("SELECT config FROM runs").fetchone()
    config = json.loads(text)
    config[column][name] = value
    execute(store, "UPDATE runs SET config = ?", (json.dumps(config),))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("subprocess:Popen", {"args": ["touch", "X"]}),
        ("os:system", {"command": "touch X"}),
        ("pathlib:Path.touch", {}),
        ("evil:task", {}),
    ],
)
def test_a_store_executes_nothing(glo: Glo, sent: Path, tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    (tmp_path / "evil.py").write_text("import pathlib; pathlib.Path('X').touch(); task = None")
    change(sent, "task", "name", name)
    change(sent, "task", "options", options)
    for command in ("resume", "compare"):
        arguments = ["run"] if command == "resume" else ["--study", "run"]
        assert_misuse(
            glo(command, *arguments, "--storage", "sent.db"), f"names the task {name}, and to import .*give --task"
        )
    for arguments in (["runs"], ["runs", "run"], ["show", "--study", "run"], ["export", "--study", "run"]):
        assert glo(*arguments, "--storage", "sent.db").code == 0
    assert not (tmp_path / "X").exists()


@pytest.mark.parametrize("name", ["subprocess:Popen", "os:system", "glo:Task"])
def test_even_if_it_is_named_only_a_task_or_a_function_of_that_module_is_taken(
    glo: Glo, sent: Path, tmp_path: Path, name: str
) -> None:
    change(sent, "task", "name", name)
    change(sent, "task", "options", {"args": ["touch", "X"]})
    message = f"'{name}' must be a glo.Task, or a function of that module"
    assert_misuse(glo("resume", "run", "--storage", "sent.db", "--task", name), message)
    assert not (tmp_path / "X").exists()


def test_a_task_of_ones_own_is_imported_where_it_was_named(
    glo: Glo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same folder at once; in another one only with --task."""
    (tmp_path / "own_and_sent.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    assert glo("search", "--task", "own_and_sent:task", *TINY).code == 0
    assert glo("resume", "run", "--baselines", "none", "--storage", "sent.db").code == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    asked = glo("resume", "run", "--storage", "../sent.db")
    assert_misuse(
        asked, "names the task own_and_sent:task, and to import a task is to run its code: .*--task own_and_sent:task"
    )
    assert_misuse(glo("resume", "run", "--storage", "../sent.db", "--task", "digits"), "is for the task own_and_sent:task")
    assert glo("resume", "run", "--storage", "../sent.db", "--task", "own_and_sent:task", "--baselines", "none").code == 0


@pytest.mark.parametrize("text", [ESCAPE, FORGED, "‮reversed", "\x9b31m"])
def test_text_of_a_store_is_text_on_the_terminal(glo: Glo, sent: Path, text: str) -> None:
    execute(sent, "UPDATE outcomes SET reason = ? WHERE status != 'trained'", (text,)) if _rejected(sent) else None
    execute(sent, "UPDATE runs SET created = ?", (text,))
    change(sent, "task", "name", text)
    for arguments in (["runs"], ["runs", "run"], ["resume", "run"], ["show", "--study", "run"]):
        result = glo(*arguments, "--storage", "sent.db")
        for printed in (result.out, result.err):
            assert not set(printed) & {"\x1b", "\x07", "\r", "‮", "\x9b"}, printed
            assert "\nError: all is well" not in printed
    listed = glo("runs", "--storage", "sent.db").out.replace("\n", "")
    assert ("[bold]" in listed) == ("[bold]" in text)


def _rejected(store: Path) -> bool:
    with closing(sqlite3.connect(store)) as connection:
        return bool(connection.execute("SELECT count(*) FROM outcomes WHERE status != 'trained'").fetchone()[0])


@pytest.mark.parametrize("name", ["br[red]", "[", "a\nb", "[/bold]x"])
def test_names_of_folders_are_shown_as_they_are(glo: Glo, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(parents=True)
    result = glo("runs", "--storage", f"{name}/glo.db")
    assert result.code == 2
    assert name.replace("\n", "\\n") in result.err
    assert result.err.count("\n") == 1
    assert glo("search", "--task", "digits", *TINY[:-1], f"{name}/glo.db").code == 0
    assert name.replace("\n", "\\n") in glo("runs", "--storage", f"{name}/glo.db").out
