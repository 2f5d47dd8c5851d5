"""What the tests of the command line share: a command run in this process, and what it printed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from glo.cli.app import main


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str


Glo = Callable[..., Result]


@pytest.fixture
def glo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Glo:
    """Runs a command line, in this process and in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["glo", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return Result(int(end.value.code or 0), captured.out, captured.err)

    return run


def parsed(result: Result) -> Any:
    """The JSON on standard output, which holds nothing else."""
    assert result.code == 0, result.err
    return json.loads(result.out)


def assert_misuse(result: Result, message: str) -> None:
    """Exit code 2 and one line that says what was wrong."""
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("Error: ")
    assert result.err.count("\n") == 1
    assert re.search(message, result.err), result.err
