"""`glo report`: a file to look at; and the commands that it prints repeat the study."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Glo, assert_misuse, parsed
from glo.compare import ComparisonConfig
from glo.report.content import StudyContent
from glo.study import load_study
from glo.study.reporting import recorded_content

TINY = ["--task", "digits", "--steps", "20", "--device", "cpu"]
TUNING = ["--set", "coefficients.iterations=1", "--set", "coefficients.population=4"]
STORAGE = "sqlite:///glo.db"
SEARCH = ["search", *TINY, "--population", "4", "--generations", "2", "--confirm", "0", "--baselines", "none"]


def content(name: str) -> StudyContent:
    """What the report of a study shows."""
    return recorded_content(STORAGE, name)


def printed(name: str) -> list[str]:
    """The command that repeats a study, without the word glo."""
    words = shlex.split(content(name).commands[-1][1])
    assert words[0] == "glo"
    return words[1:]


def config_of(name: str) -> Any:
    return load_study(name, STORAGE).result.config.model_dump(mode="json")


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


def test_a_search_whose_trainings_are_all_known_says_that_they_are_from_the_store(glo: Glo) -> None:
    known = "all taken from the store"
    for name, expected in (("first", False), ("second", True)):
        shown = glo(*SEARCH, "--name", name)
        assert (known in shown.out) == expected
        assert (known in Path(glo("report", name).out.split()[2].rstrip(":")).read_text()) == expected


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
        [*SEARCH, "--tune", *TUNING, "--preset", "paper"],
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
    first = load_study("first", STORAGE).result
    words = printed("first")
    kept = ["--slots", "1"] if "--slots" in command else []
    repeated = parsed(glo(*words, *kept, "--device", "cpu", "--json"))
    assert repeated["name"] == "first-again"
    assert repeated["history_digest"] == first.history_digest()
    assert repeated["config"] == first.config.model_dump(mode="json")


@pytest.mark.parametrize(
    ("start", "options"),
    [
        # 300 steps are the default of a training, and not that of the task; with the other optimizer, 0.2 and 0.8 are not
        # the default rates, which they are of the preset.
        (SEARCH, ["--task", "noisy-digits", "--steps", "300", "--set", "training.optimizer=adam", "--set",
                  "training.learning_rates=[0.2, 0.8]"]),
        (SEARCH, ["--trials", "7", "--generations", "5"]),
        (SEARCH, ["--trials", "7", "--tune", "--set", "coefficients.expression=log(y) - x/y", *TUNING]),
        (SEARCH, ["--constraint", "bounded", "--forbid", "log(exp)", "--patience", "2", "--target", "0.5"]),
        (["enumerate", *TINY, "--max-depth", "1"], ["--repeats", "1"]),
        (["tune", "x*y", *TINY, "--iterations", "1", "--population", "4"], ["--coefficients", "all", "--preset", "paper"]),
    ],
)  # fmt: skip
def test_the_printed_command_has_every_option(glo: Glo, start: list[str], options: list[str]) -> None:
    """Also one that is the default of the preset, where the task or another option would change it."""
    assert glo(*start, *options, "--name", "first").code == 0
    words = printed("first")
    assert parsed(glo(*words, "--device", "cpu", "--json"))["config"] == config_of("first")


def test_the_printed_command_leaves_out_what_it_would_refuse(glo: Glo, tmp_path: Path) -> None:
    """A file of options may have tables for other commands."""
    shared = tmp_path / "shared.toml"
    shared.write_text("[genetic]\npopulation = 9\n[coefficients]\niterations = 1\npopulation = 4\n")
    assert glo("tune", "baikal", *TINY, "--config", str(shared), "--name", "first").code == 0
    repeated = parsed(glo(*printed("first"), "--device", "cpu", "--json"))
    assert repeated["history_digest"] == load_study("first", STORAGE).result.history_digest()


def test_the_printed_commands_have_the_options_of_the_verdict(glo: Glo) -> None:
    judged = ["--baselines", "standard", "--repeats", "2"]
    assert glo(*SEARCH[:-2], *judged, "--name", "first").code == 0
    again, repeat = (shlex.split(command) for _, command in content("first").commands)
    assert again == ["glo", "resume", "first", *judged]
    assert f" {' '.join(judged)} " in f" {' '.join(repeat)} "
    repeated = parsed(glo(*repeat[1:], "--device", "cpu", "--json"))
    first, second = (load_study(name, STORAGE).judgement for name in ("first", "first-again"))
    assert first is not None
    assert second is not None
    assert second["comparison"]["losses"] == first["comparison"]["losses"]
    assert repeated["verdict"]["text"] == first["verdict"]["text"]
    assert parsed(glo(*again[1:], "--json"))["verdict"]["text"] == first["verdict"]["text"]


def test_a_search_that_was_not_judged_is_repeated_without_a_verdict(glo: Glo) -> None:
    assert glo(*SEARCH, "--name", "first").code == 0
    assert all("--baselines none" in command for _, command in content("first").commands)
    enumerated = ["enumerate", *TINY, "--max-depth", "1", "--repeats", "1", "--name", "second"]
    assert glo(*enumerated).code == 0
    assert not any("--baselines" in command for _, command in content("second").commands)


def test_a_verdict_with_other_options_than_a_command_has_is_said_to_be_so(glo: Glo) -> None:
    assert glo(*SEARCH, "--name", "first").code == 0
    how = ComparisonConfig(baselines="standard", repeats=2, tuning_seeds=1, run_off=0)
    load_study("first", STORAGE).judge(how)
    (_, _), (text, command) = content("first").commands
    assert "its verdict was made in Python, with other options" in text
    assert "--baselines standard --repeats 2" in command
