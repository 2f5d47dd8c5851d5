"""The command line: its help, its JSON, its errors, and Ctrl-C."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Glo, Result, assert_misuse, parsed
from glo.cli.output import command_line
from outside import GENERATIONS, rows

COMMANDS = [
    "demo",
    "search",
    "tune",
    "enumerate",
    "compare",
    "resume",
    "runs",
    "report",
    "dashboard",
    "shelf",
    "show",
    "evaluate",
    "export",
    "import",
    "tasks",
]
# A process that was started in the background of a shell ignores SIGINT; this one is to be interrupted.
CHILD = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from glo.cli.app import main; main()"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TINY = [
    "--task",
    "digits",
    "--population",
    "6",
    "--generations",
    "2",
    "--steps",
    "60",
    "--device",
    "cpu",
    "--baselines",
    "none",
    "--confirm",
    "0",
]


def test_help_lists_the_commands(glo: Glo) -> None:
    result = glo("--help")
    assert result.code == 0
    listed = [line.split()[0] for line in result.out.split("Commands:")[1].splitlines() if line.startswith("  ")]
    assert listed[: len(COMMANDS)] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(glo: Glo, command: str) -> None:
    result = glo(command, "--help")
    assert result.code == 0
    assert re.search(r"\n\s+[A-Z][^\n]+", result.out.split("Options:")[0])
    options = [line for line in result.out.splitlines() if re.match(r"\s+-", line)]
    assert options
    # Each says what it is for, on its own line or on the next.
    after = result.out.split("Options:")[1]
    for option in re.split(r"\n\s+-", after)[1:]:
        assert len(option.split()) > 1


def test_version(glo: Glo) -> None:
    assert re.fullmatch(r"glo \d+\.\d+\.\S+\n", glo("--version").out)


def test_starting_imports_nothing_slow() -> None:
    code = """
import sys, glo
assert not {"torch", "numpy"} & set(sys.modules), "import glo"
from glo.cli.app import main
sys.argv = ["glo", "--help"]
try:
    main()
except SystemExit:
    pass
assert not {"torch", "numpy", "matplotlib", "sqlalchemy"} & set(sys.modules), "glo --help"
"""
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert "Commands:" in child.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "x*"], r"x\*"),
        (["show", "nonsense"], "named losses are .*baikal"),
        (["export", "x**"], "Error"),
        (["evaluate", "x*", "--task", "digits"], "Error"),
        (["evaluate", "x*y", "--task", "nonsense"], "no task 'nonsense'; built-in tasks are .*digits"),
        (["evaluate", "x*y", "--task", "digits", "--task-option", "nonsense=1"], "no option 'nonsense'"),
        (["evaluate", "x*y", "--task", "digits", "--learning-rate", "-1"], r"training\.learning_rates"),
        (["evaluate", "x*y", "--task", "digits", "--device", "abacus"], "device 'abacus'"),
        (["search", "--task", "nonsense"], "no task 'nonsense'"),
        (["search", "--task", "digits", "--preset", "nonsense"], "no preset 'nonsense'; presets are paper, default"),
        (["search", "--task", "digits", "--set", "training.stepz=1"], r"no option 'training\.stepz'"),
        (["search", "--task", "digits", "--set", "training.steps"], "a setting is key=value"),
        (
            ["search", "--task", "digits", "--constraint", "round"],
            r"funnel\.constraints.* 'bounded', 'monotone' or 'convex'",
        ),
        (["search", "--task", "digits", "--forbid", "log(sin)"], "'sin' in the forbidden nesting .* is no operator"),
        (["search", "--task", "digits", "--start", "x*log(y)", "--constraint", "bounded"], "x.log.y. is excluded"),
        (["search", "--task", "digits", "--config", "nowhere.toml"], r"nowhere\.toml cannot be read"),
        (["search", "--task", "digits", "--storage", "nowhere/glo.db"], "folder nowhere"),
        (["search", "--task", "digits", "--storage", "mysql://host/glo"], "not supported"),
        (["runs"], r"no store sqlite:///glo\.db"),
        (["runs", "first"], r"no store sqlite:///glo\.db"),
        (["resume", "first"], r"no store sqlite:///glo\.db"),
        (["export", "x*y", "-o", "nowhere/loss.py"], r"nowhere/loss\.py cannot be written"),
        (["export", "x*y", "-o", "."], "cannot be written"),
    ],
)
def test_misuse(glo: Glo, tmp_path: Path, arguments: list[str], message: str) -> None:
    assert_misuse(glo(*arguments), message)
    assert list(tmp_path.iterdir()) == []


def test_name_that_is_not_one(glo: Glo) -> None:
    assert_misuse(glo("search", *TINY, "--name", "a b"), "a study's name has letters")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["show"],
        ["search"],
        ["tasks", "--nonsense"],
        ["search", "--task", "digits", "--generations", "0"],
        ["export", "x*y", "--format", "fortran"],
    ],
)
def test_misuse_of_the_command_line_itself(glo: Glo, arguments: list[str]) -> None:
    result = glo(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert "Error: " in result.err
    assert "Traceback" not in result.err


def test_misuse_of_the_installed_command() -> None:
    command = [sys.executable, "-c", CHILD, "show", "x*"]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert_misuse(Result(child.returncode, child.stdout, child.stderr), "x")


def test_show_of_a_named_loss(glo: Glo) -> None:
    shown = parsed(glo("show", "baikal", "--json"))
    assert shown["viable"] is True
    assert shown["reason"] is None
    assert shown["binary_minimum"] == pytest.approx(0.7071, abs=1e-4)
    assert {"expression", "canonical", "latex", "nodes", "depth", "fingerprint"} <= shown.keys()
    assert shown["expression"] == "log(y) - x/y"
    assert parsed(glo("show", shown["expression"], "--json")) == shown


def test_show_of_properties(glo: Glo) -> None:
    """Those that a search may require, each with the reason why the loss lacks it."""
    shown = parsed(glo("show", "cross_entropy", "--json"))
    assert shown["properties"] == {"bounded": False, "monotone": True, "convex": True}
    assert shown["lacks"] == {"bounded": "at x = 1 it diverges as y goes to 0"}
    assert parsed(glo("show", "x*y + 3*y", "--link", "sigmoid", "--json"))["properties"]["monotone"] is False
    table = " ".join(glo("show", "cross_entropy").out.split())
    assert "monotone, convex" in table
    assert "bounded: at x = 1 it diverges as y goes to 0" in table


def test_search_with_constraints(glo: Glo) -> None:
    constraints = ["--constraint", "bounded", "--constraint", "monotone", "--forbid", "sqrt(sqrt)", "--name", "first"]
    found = parsed(glo("search", *TINY, *constraints, "--json"))
    assert found["config"]["funnel"]["constraints"] == ["bounded", "monotone"]
    assert found["config"]["genetic"]["forbidden"] == ["sqrt(sqrt)"]
    shown = parsed(glo("show", "--study", "first", "--json"))
    assert shown["properties"]["bounded"]
    assert shown["properties"]["monotone"]


def test_show_of_a_loss_that_cannot_train(glo: Glo) -> None:
    shown = parsed(glo("show", "x + 1", "--json"))
    assert shown["viable"] is False
    assert "y" in shown["reason"]


def test_show_as_a_table_and_as_a_picture(glo: Glo, tmp_path: Path) -> None:
    result = glo("show", "baikal", "--plot", "loss.png")
    assert result.code == 0
    assert "log(y) - x/y" in result.out
    assert "0.7071" in result.out
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["loss.png"]


@pytest.mark.parametrize("plot", ["loss.nonsense", "loss", "nowhere/loss.png"])
def test_picture_that_cannot_be_written(glo: Glo, tmp_path: Path, plot: str) -> None:
    assert_misuse(glo("show", "baikal", "--plot", plot), "loss")
    assert list(tmp_path.iterdir()) == []


def test_tasks(glo: Glo) -> None:
    tasks = {row["name"]: row for row in parsed(glo("tasks", "--json"))}
    assert {"digits", "noisy-digits", "mnist"} <= tasks.keys()
    assert tasks["noisy-digits"]["options"]["noise"] == 0.4
    assert all(row["description"] for row in tasks.values())
    table = glo("tasks")
    assert all(name in table.out for name in tasks)


def test_evaluate(glo: Glo) -> None:
    command = ["evaluate", "cross_entropy", "--task", "digits", "--steps", "60", "--learning-rate", "0.3", "--device", "cpu"]
    found = parsed(glo(*command, "--json"))
    assert found["status"] == "trained"
    assert 0.5 < found["fitness"] <= 1
    assert 0.5 < found["test_metric"] <= 1
    assert (found["steps"], found["learning_rate"], found["seed"], found["metric"]) == (60, 0.3, 0, "accuracy")
    again = glo(*command)
    assert f"{found['fitness']:.4f}" in again.out
    assert f"{found['test_metric']:.4f}" in again.out


@pytest.mark.parametrize(
    ("form", "part"), [("torch", "import torch"), ("numpy", "import numpy"), ("latex", "\\"), ("sympy", "log(y)")]
)
def test_export(glo: Glo, tmp_path: Path, form: str, part: str) -> None:
    printed = glo("export", "baikal", "--format", form)
    assert printed.code == 0
    assert part in printed.out
    assert glo("export", "baikal", "-f", form, "-o", "loss.txt").out == ""
    assert (tmp_path / "loss.txt").read_text() == printed.out
    if form in ("torch", "numpy"):
        space: dict[str, Any] = {}
        exec(printed.out, space)  # noqa: S102 - that it runs is the point
        assert callable(space["loss"])


@pytest.mark.parametrize(("form", "name"), [("lightgbm", "objective"), ("xgboost", "objective"), ("catboost", "Objective")])
def test_export_of_an_objective_for_boosting(glo: Glo, tmp_path: Path, form: str, name: str) -> None:
    from glo.loss import objective

    printed = glo("export", "baikal", "--format", form, "--link", "sigmoid", "--eps", "0.01", "--hessian", "floor")
    assert printed.code == 0
    assert printed.out == objective("baikal", "sigmoid", eps=0.01, hessian="floor").source(form)  # type: ignore[arg-type]
    space: dict[str, Any] = {}
    exec(printed.out, space)  # noqa: S102 - that it runs is the point
    assert callable(space[name])
    assert glo("export", "-square(x - y)", "-f", form, "--link", "regression", "-o", "loss.py").out == ""
    assert "'identity'" in (tmp_path / "loss.py").read_text()


def test_objective_of_a_loss_without_curvature_needs_another_hessian(glo: Glo) -> None:
    command = ["export", "mae", "--format", "xgboost", "--link", "regression"]
    assert_misuse(glo(*command), "hessian='constant'")
    assert glo(*command, "--hessian", "constant").code == 0
    assert_misuse(glo("export", "mae", "--hessian", "constant"), "--hessian does nothing for torch")


@pytest.mark.parametrize(
    ("expr", "link", "minimised"),
    [
        ("-square(x - y)", "regression", "mean over samples of the sum over outputs of square(x - y), where y = the output"),
        ("x*log(y)", "softmax", "mean over samples of the sum over classes of neg(x*log(y)), where y = softmax(outputs)"),
        ("baikal", "sigmoid", "mean over samples of the sum over outputs of x/y - log(y), where y = sigmoid(outputs)"),
    ],
)
def test_show_says_what_is_minimised(glo: Glo, expr: str, link: str, minimised: str) -> None:
    shown = parsed(glo("show", expr, "--link", link, "--json"))
    assert shown["minimised"] == minimised
    assert shown["link"] == ("identity" if link == "regression" else link)
    assert parsed(glo("show", "x*log(y)", "--json"))["link"] == "softmax"


def test_show_finds_a_loss_that_cannot_train_under_its_link(glo: Glo) -> None:
    """Squared error as it is minimised, given as f, which is maximised."""
    assert parsed(glo("show", "-square(x - y)", "--link", "regression", "--json"))["viable"] is True
    assert parsed(glo("show", "square(x - y)", "--link", "regression", "--json"))["viable"] is False


def test_search_runs_and_resume(glo: Glo) -> None:
    found = parsed(glo("search", *TINY, "--name", "first", "--json"))
    assert found["generations"] == 2
    (state,) = parsed(glo("runs", "--json"))
    assert (state["name"], state["task"], state["preset"], state["generations"]) == ("first", "digits", "default", 2)
    assert (state["expression"], state["fitness"]) == (found["expression"], found["fitness"])
    shown = parsed(glo("runs", "first", "--json"))
    assert len(shown["history"]) == 12
    assert {key: shown[key] for key in ("expression", "history_digest")} == {
        key: found[key] for key in ("expression", "history_digest")
    }
    assert parsed(glo("resume", "first", "--baselines", "none", "--json"))["history_digest"] == found["history_digest"]
    lines = glo("runs", "first").out.splitlines()
    assert lines[0].split("\t")[:4] == ["generation", "phase", "position", "expression"]
    assert len(lines) == 13
    assert "first" in glo("runs").out
    assert found["expression"] in glo("resume", "first", "--baselines", "none").out
    assert_misuse(glo("runs", "second"), "no study 'second'.*first")
    assert_misuse(glo("resume", "second"), "no study 'second'.*first")
    assert_misuse(glo("search", *TINY, "--name", "first"), "already a study 'first'.*glo resume first")


def test_run_in_which_nothing_trained_can_be_shown(glo: Glo) -> None:
    """A search without success is a result too: it says so, and its history can be looked at."""
    hopeless = ["--set", "genetic.weights={x = 1, y = 1, '-' = 1}", "--set", "genetic.attempts=1", "--name", "first"]
    searched = glo("search", *TINY, *hopeless)
    assert searched.code == 0
    printed = " ".join(searched.out.split())
    assert re.search(r"could be trained: (all 12|\d+ of 12) candidates were rejected by the check of \w+", printed)
    assert len(glo("runs", "first").out.splitlines()) == 13
    assert parsed(glo("runs", "--json"))[0]["expression"] is None
    assert len(parsed(glo("runs", "first", "--json"))["history"]) == 12


def test_interrupted_search_says_how_to_go_on(tmp_path: Path) -> None:
    """Ctrl-C in a real process; the folder's name has a space, as many have."""
    folder = tmp_path / "my runs"
    folder.mkdir()
    storage = folder / "glo.db"
    command = [
        sys.executable,
        "-c",
        CHILD,
        "search",
        *TINY,
        "--generations",
        "12",
        "--storage",
        str(storage),
        "--name",
        "first",
    ]
    search = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    while rows(storage, GENERATIONS) < 1:
        try:
            search.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"the search ended too early: {search.communicate()}")
    search.send_signal(signal.SIGINT)
    out, err = search.communicate(timeout=60)
    assert search.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert 1 <= rows(storage, GENERATIONS) < 12
    hint = re.search(r"Go on with: glo (.*)", err)
    assert hint is not None
    resume = [sys.executable, "-c", CHILD, *shlex.split(hint.group(1))]
    child = subprocess.run(resume, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert child.returncode == 0, child.stderr
    assert rows(storage, GENERATIONS) == 12


def test_how_to_go_on_is_a_command_to_type() -> None:
    typed = command_line("glo resume", "my run", seed=0, data_dir=None, insecure=True, json=False, cluster="tcp://h:1")
    assert typed == "glo resume 'my run' --seed 0 --insecure --cluster tcp://h:1"


def test_steady_state_search(glo: Glo) -> None:
    """It has a name of its own, is listed in generations, and goes on with another number of slots."""
    options = ["--task", "digits", "--generations", "2", "--population", "5", "--steps", "30", "--steady-state"]
    options += ["--confirm", "0", "--baselines", "none"]
    found = parsed(glo("search", *options, "--slots", "1", "--json"))
    assert (found["name"], found["generations"]) == ("digits-default-steady-0", 2)
    assert found["config"]["genetic"]["steady_state"] is True
    (listed,) = parsed(glo("runs", "--json"))
    assert (listed["generations"], listed["planned"]) == (2, 2)
    shown = parsed(glo("runs", found["name"], "--json"))
    assert [(row["generation"], row["position"]) for row in shown["history"]] == [(g, p) for g in (0, 1) for p in range(5)]
    again = parsed(glo("resume", found["name"], "--slots", "1", "--baselines", "none", "--json"))
    assert again["history_digest"] == found["history_digest"]


def test_a_shell_completes_commands() -> None:
    environment = {**ENVIRONMENT, "_GLO_COMPLETE": "complete_bash", "COMP_WORDS": "glo re", "COMP_CWORD": "1"}
    program = Path(sys.executable).with_name("glo")
    found = subprocess.run([program], env=environment, capture_output=True, text=True, check=True)
    assert set(found.stdout.split()) == {"resume", "report"}
