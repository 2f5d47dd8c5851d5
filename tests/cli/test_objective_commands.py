"""`glo search --objective`: a training loop of the user's, killed, resumed and compared, as one does on a command line."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from outside import GENERATIONS, rows
from starter import PATIENCE, Starter

OBJECTIVE = """
import torch

def objective(trial):
    logits = torch.zeros(3, 3, requires_grad=True)
    trial.loss()(logits, torch.arange(3)).backward()
    return {"validation": float(-logits.grad.diagonal().sum()), "test": trial.seed % 100}

def broken(trial):
    raise KeyError("no such column")

number = 3
"""
SEARCH = ["search", "--objective", "mine:objective", "--classes", "3", "--trials", "60", "--name", "run"]


@pytest.fixture
def starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starter]:
    (tmp_path / "mine.py").write_text(OBJECTIVE)
    starter = Starter(tmp_path, XDG_STATE_HOME=str(tmp_path / "state"))
    yield starter
    starter.close()


def digest(text: str) -> str:
    return json.loads(text)["history_digest"]


def test_a_killed_search_goes_on_as_if_it_had_not_been(starter: Starter, tmp_path: Path) -> None:
    whole = digest(starter.run(*SEARCH, "--json", "--storage", "whole.db"))
    command = starter.start(SEARCH)
    while rows(tmp_path / "glo.db", GENERATIONS) < 3:
        assert command._code is None
    command.send(signal.SIGKILL)
    command.wait(PATIENCE)
    recorded = rows(tmp_path / "glo.db", GENERATIONS)
    assert 3 <= recorded < 60
    assert digest(starter.run("resume", "run", "--json")) == whole
    assert "best loss" in starter.run("resume", "run")
    table = starter.run("compare", "--study", "run", "--repeats", "2", "--smoothings", "0.1")
    assert "Test score, each trained by the objective" in table


def test_the_timeout_and_jobs(starter: Starter) -> None:
    starter.run(*SEARCH, "--timeout", "0.2s")
    assert "the timeout of 0.2s has ended study 'run': to go on, glo resume run" in starter.errors.read_text()
    assert json.loads(starter.run("resume", "run", "--jobs", "2", "--json"))["config"]["trials"] == 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search"], "give --task, or --objective for a training loop of your own, one of the two"),
        (["search", "--task", "digits", "--classes", "3"], "--classes does nothing with --task"),
        (["search", "--objective", "mine:number", "--classes", "3"], "must be a function of that module"),
        (["search", "--objective", "nowhere:f", "--classes", "3"], "No module named 'nowhere'"),
        (["search", "--objective", "mine:objective"], "give classes (--classes)"),
        ([*SEARCH, "--steps", "30"], "steps and learning rates do nothing for an objective"),
        ([*SEARCH, "--set", "training.steps=30"], "an objective trains as it likes"),
    ],
)
def test_misuse_is_one_line(starter: Starter, tmp_path: Path, arguments: list[str], message: str) -> None:
    assert starter.start(arguments).wait(PATIENCE) == 2
    errors = starter.errors.read_text()
    assert message in errors
    assert errors.count("\n") == 1, errors
    assert not (tmp_path / "glo.db").exists()


def test_a_bug_shows_its_traceback(starter: Starter) -> None:
    command = ["search", "--objective", "mine:broken", "--classes", "3", "--max-failures", "2"]
    assert starter.start(command).wait(PATIENCE) == 2
    errors = starter.errors.read_text()
    assert 'raise KeyError("no such column")' in errors
    assert "Error: 2 trials in a row failed, the first with: KeyError: 'no such column' (in broken, mine.py:" in errors


def test_a_store_does_not_choose_what_is_imported(starter: Starter, tmp_path: Path) -> None:
    starter.run(*SEARCH, "--timeout", "0.1s")
    (tmp_path / "state" / "glo" / "trusted-tasks.json").unlink()
    (tmp_path / "mine.py").write_text("raise SystemExit('it was imported')")
    assert starter.start(["resume", "run"]).wait(PATIENCE) == 2
    assert "if you trust that module, give --task mine:objective too" in starter.errors.read_text()
    assert "x" in starter.run("runs")
