"""The options of `glo search` that end it, and the metrics by which its finalists are measured."""

from __future__ import annotations

import json

import pytest

from cli.conftest import Glo, assert_misuse, parsed

SEARCH = ["search", "--task", "digits", "--steps", "30", "--population", "6", "--device", "cpu", "--baselines", "none"]


def test_trials_end_a_search_with_generations(glo: Glo) -> None:
    found = parsed(glo(*SEARCH, "--trials", "9", "--confirm", "2", "--json"))
    assert found["config"]["trials"] == 9
    assert found["generations"] == 2 + 3
    history = parsed(glo("runs", found["name"], "--json"))["history"]
    assert sum(row["phase"] == "genetic" for row in history) == 9


def test_a_timeout_before_anything_is_trained(glo: Glo, caplog: pytest.LogCaptureFixture) -> None:
    """The study stays, says so, and goes on."""
    result = glo(*SEARCH, "--generations", "1", "--confirm", "2", "--timeout", "0.000001", "--name", "run")
    assert result.code == 0
    assert "the timeout of 0.000001 has ended study 'run' before anything was trained to its end" in caplog.text
    assert "glo resume run" in caplog.text
    assert "No candidate could be trained: no candidate was evaluated." in result.out
    assert parsed(glo("resume", "run", "--baselines", "none", "--json"))["generations"] == 4


def test_a_study_that_time_has_ended_is_judged_if_it_has_found_a_loss(glo: Glo) -> None:
    options = ["--generations", "1", "--confirm", "2", "--name", "run", "--repeats", "2"]
    ended = parsed(glo(*SEARCH[:-1], "standard", *options, "--timeout", "0.000001", "--json"))
    assert ended["verdict"]["finding"] is None
    assert "the timeout has ended the search before it found a loss" in ended["verdict"]["text"]
    glo("resume", "run", "--baselines", "none")
    again = parsed(glo("resume", "run", "--baselines", "standard", "--repeats", "2", "--timeout", "0.000001", "--json"))
    assert again["verdict"]["finding"] is not None


def test_a_target_that_is_not_reached_is_said(glo: Glo) -> None:
    options = [*SEARCH, "--generations", "1", "--confirm", "0"]
    assert "The target of 1.5 was not reached." in glo(*options, "--target", "1.5", "--name", "high").out
    assert "target" not in glo(*options, "--target", "0.01", "--name", "low").out


def test_finalists_by_several_metrics(glo: Glo) -> None:
    options = ["--generations", "1", "--confirm", "3", "--set", "confirmation.seeds=2", "--metrics", "accuracy, ece"]
    found = parsed(glo(*SEARCH, *options, "--name", "run", "--json"))
    assert found["pareto"]
    for row in found["pareto"]:
        assert list(row["metrics"]) == ["accuracy", "ece"]
    assert found["pareto"][0]["metrics"]["accuracy"] == max(row["metrics"]["accuracy"] for row in found["pareto"])
    shown = glo("resume", "run", "--baselines", "none", "--metrics", "ece,log_loss").out
    assert "The finalists that no other beats in all of ece, log_loss" in " ".join(shown.split())
    assert "The search selected by accuracy alone." in shown
    assert "pareto" not in json.loads(glo("resume", "run", "--baselines", "none", "--json").out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--timeout", "0"], "a timeout is a number of seconds above 0, or 90s, 30m, 2h, 1d, not '0'"),
        (["--trials", "5"], "5 trials are fewer than the 12 candidates of the confirmation"),
        (["--metrics", "acuracy"], "not 'acuracy': did you mean 'accuracy'"),
        (["--metrics", "accuracy,rmse"], "'rmse' does not fit the softmax link"),
        (["--metrics", ""], "metric must be a function or one of"),
        (["--metrics", "ece,ece"], "each given once"),
        (["--set", 'training.metrics=["ece"]'], "a study keeps one metric"),
    ],
)
def test_misuse_is_one_line_before_anything_is_trained(glo: Glo, arguments: list[str], message: str) -> None:
    assert_misuse(glo(*SEARCH, *arguments), message)
    assert_misuse(glo("runs"), "no store")


def test_the_help_says_what_the_timeout_covers(glo: Glo) -> None:
    shown = " ".join(glo("search", "--help").out.split())
    assert "End the search with its confirmation within 90s, 30m or 2h, without survey and verdict" in shown
    assert "whichever comes first" in shown
