"""`glo report`: a file to look at; and the commands that it prints repeat the study."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Glo, assert_misuse, parsed
from glo.study import load_study
from glo.study.commands import repeating

TINY = ["--task", "digits", "--steps", "20", "--device", "cpu"]
SEARCH = ["search", *TINY, "--population", "4", "--generations", "2", "--confirm", "0", "--baselines", "none"]


def test_report_of_a_search_with_and_without_a_verdict(glo: Glo, tmp_path: Path) -> None:
    assert glo(*SEARCH, "--name", "first").code == 0
    written = glo("report", "first")
    assert written.code == 0
    assert written.out == "Written to report.html: open it in a browser.\n"
    assert "There is no verdict yet" in (tmp_path / "report.html").read_text()
    judged = parsed(
        glo("report", "first", "-o", "sent.html", "--judge", "--repeats", "2", "--baselines", "standard", "--json")
    )
    assert judged["report"] == "sent.html"
    page = (tmp_path / "sent.html").read_text()
    assert "There is no verdict yet" not in page
    assert "This rests on 2 trainings of each loss" in page
    again = glo("report", "first")
    assert again.out.splitlines()[0] == judged["verdict"]["text"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["second"], "no study 'second'.*first"),
        (["first", "-o", "nowhere/report.html"], r"nowhere/report\.html cannot be written"),
        (["first", "-o", "."], "cannot be written"),
        (["first", "--task", "digits"], "--task does nothing without --judge"),
        (["first", "--judge", "--baselines", "none"], "--judge needs something to compare with"),
    ],
)
def test_misuse_of_report(glo: Glo, tmp_path: Path, arguments: list[str], message: str) -> None:
    assert glo(*SEARCH, "--name", "first").code == 0
    assert_misuse(glo("report", *arguments), message)
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize(
    "command",
    [
        [*SEARCH, "--seed", "3", "--set", "genetic.weights={x = 1, y = 1, '*' = 2}", "--set", "training.momentum=0.5"],
        [*SEARCH, "--tune", "--set", "coefficients.iterations=1", "--set", "coefficients.population=4", "--preset", "paper"],
        [*SEARCH, "--steady-state", "--slots", "1", "--start", "baikal", "--set", "training.schedule=[[5, 0.5]]"],
        ["tune", "log(y) - x/y", *TINY, "--iterations", "1", "--population", "4", "--learning-rates", "0.1"],
        ["enumerate", *TINY, "--max-depth", "1", "--task-option", "noise=0.1"],
    ],
    ids=["search", "tune-after", "steady", "tune", "enumerate"],
)  # fmt: skip
def test_the_printed_command_repeats_the_study(glo: Glo, command: list[str]) -> None:
    if "noise=0.1" in command:
        command = [word.replace("digits", "noisy-digits") for word in command]
    assert glo(*command, "--name", "first").code == 0
    first = load_study("first", "sqlite:///glo.db").result
    words: list[Any] = shlex.split(repeating(first, "sqlite:///glo.db")[-1][1])
    assert words.pop(0) == "glo"
    kept = ["--slots", "1"] if "--slots" in command else []
    quiet = ["--baselines", "none"] if words[0] == "search" else []
    repeated = parsed(glo(*words, *kept, *quiet, "--device", "cpu", "--json"))
    assert repeated["name"] == "first-again"
    assert repeated["history_digest"] == first.history_digest()
