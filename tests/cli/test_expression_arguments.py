"""Expressions that begin with a minus, on the command line."""

from __future__ import annotations

import re

import pytest

from cli.conftest import Glo, assert_misuse, parsed


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        ("-square(x - y)", "neg(square(x - y))"),
        ("-1.5*x*log(y)", "-1.5*x*log(y)"),
        ("-.5*y", "-0.5*y"),
        ("-(x - y)", "neg(x - y)"),
        ("-x", "neg(x)"),
        ("-x-y", "neg(x) - y"),
        ("--x*y", "neg(neg(x))*y"),
        ("-pow(x, 2)*y", "neg(pow(x, 2))*y"),
    ],
)
def test_an_expression_may_begin_with_a_minus(glo: Glo, expression: str, printed: str) -> None:
    assert parsed(glo("show", expression, "--json"))["expression"] == printed
    assert parsed(glo("show", "--json", "--classes", "3", expression))["expression"] == printed
    assert parsed(glo("show", "--json", "--", expression))["expression"] == printed


def test_options_with_a_value_are_left_alone(glo: Glo) -> None:
    latex = glo("export", "-x*y", "-f", "latex").out
    assert latex.startswith("-")
    for written in (["-flatex"], ["--format=latex"], ["--format", "latex"]):
        assert glo("export", *written, "-x*y").out == latex


def test_every_command_with_an_expression_takes_a_minus(glo: Glo) -> None:
    assert_misuse(glo("evaluate", "-x*y", "--task", "nowhere"), "no task 'nowhere'")
    assert_misuse(glo("tune", "-1.5*x*log(y)", "--task", "nowhere"), "no task 'nowhere'")
    assert_misuse(glo("compare", "-x*y", "--task", "nowhere", "-square(x - y)"), "no task 'nowhere'")


def test_a_misspelled_function_after_a_minus_is_reported_as_one(glo: Glo) -> None:
    assert_misuse(glo("show", "-sqare(x - y)"), r"unknown function 'sqare' \(did you mean 'square'\?\)")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "x*y", "-z"], "No such option: -z"),
        (["show", "x*y", "--clases", "3"], r"No such option: --clases.*--classes"),
        (["show", "-x*y", "--clases", "3"], r"No such option: --clases.*--classes"),
        (["compare", "-learning-rate", "0.1", "x*y"], "No such option: -l"),
        (["export", "-x*y", "-f"], "Option '-f' requires an argument"),
        (["show", "-x*y", "--classes", "-3"], "Invalid value for '--classes'"),
        (["runs", "-x*y"], "No such option: -x"),
    ],
)
def test_wrong_options_are_still_reported(glo: Glo, arguments: list[str], message: str) -> None:
    result = glo(*arguments)
    assert result.code == 2
    assert result.err.splitlines()[-1].startswith("Error: ")
    assert re.search(message, result.err), result.err
