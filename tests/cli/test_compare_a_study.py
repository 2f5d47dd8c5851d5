"""`glo compare --study`: judged as it was searched; and what `--set` and `--config` do without a study."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest

from cli.conftest import Glo, assert_misuse, parsed
from glo.study import load_study

SEARCH = [
    "search",
    "--task",
    "digits",
    "--generations",
    "1",
    "--population",
    "16",
    "--steps",
    "30",
    "--device",
    "cpu",
    "--baselines",
    "none",
]
LIKE = ["--set", "training.batch_size=50", "--set", "training.momentum=0.9", "--set", "training.eps=1e-3"]
HOW = ["--repeats", "2", "--tuning-seeds", "1", "--learning-rates", "0.1,0.3", "--device", "cpu"]
FAILING = """
import torch, glo
from torch import nn
inputs = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
data = (inputs, (inputs[:, 0] > 0).long())

class Breaks(nn.Module):  # at the fourth step of a training; a rehearsal makes two
    def __init__(self):
        super().__init__()
        self.layer, self.steps = nn.Linear(4, 2), 0

    def forward(self, inputs):
        self.steps += self.training
        if self.steps > 3:
            raise RuntimeError("no such road")
        return self.layer(inputs)

breaks = glo.Task("breaks", Breaks, data, data, data, training={"steps": 5})
untested = glo.Task("untested", lambda: nn.Linear(4, 2), data, data, training={"steps": 5})
"""


@pytest.fixture
def own_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks in a file of the current folder: `failing_tasks:breaks` and `failing_tasks:untested`."""
    (tmp_path / "failing_tasks.py").write_text(FAILING, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "failing_tasks", raising=False)


def test_the_best_of_a_study_is_compared_as_it_was_searched(glo: Glo, tmp_path: Path) -> None:
    found = parsed(glo(*SEARCH, *LIKE, "--name", "first", "--storage", "mine.db", "--json"))
    store = ["--storage", "mine.db"]
    compared = parsed(glo("compare", "--study", "first", *store, *HOW, "--json"))
    searched = {**found["config"]["training"]}
    for unused in ("learning_rates", "early_stop", "rungs"):
        del searched[unused]
    assert compared["training"] == searched
    assert (searched["batch_size"], searched["momentum"], searched["eps"], searched["steps"]) == (50, 0.9, 1e-3, 30)
    best = found["expression"]
    assert list(compared["losses"]) == ["discovered", "cross_entropy", "label_smoothing"]  # as a verdict shows them
    assert (compared["baseline"], compared["losses"]["discovered"]["expression"]) == ("discovered", best)
    assert compared["task"] == "digits"

    # The same by hand, and not what the task's own training gives.
    alike = ["compare", best, "--task", "digits", *HOW, "--json"]
    (tmp_path / "like.toml").write_text("[training]\nbatch_size = 50\nmomentum = 0.9\n[genetic]\npopulation = 7\n")
    by_hand = parsed(glo(*alike, *LIKE, "--set", "training.steps=30"))
    by_file = parsed(glo(*alike, "--config", "like.toml", "--set", "training.eps=1e-3", "--steps", "30"))
    others = parsed(glo(*alike, "--steps", "30"))
    values = [each["losses"][name]["values"] for each, name in (
        (compared, "discovered"), (by_hand, best), (by_file, best), (others, best),
    )]  # fmt: skip
    assert values[0] == values[1] == values[2] != values[3]

    # By the other name of the option, with more losses and other steps, which is said.
    longer = glo("compare", "baikal", "--run", "first", *store, *HOW, "--steps", "40", "--finalists", "2")
    assert "Warning: trained for 40 steps; the search used 30" in longer.out
    more = json.loads((tmp_path / "glo-compare" / "comparison.json").read_text(encoding="utf-8"))
    assert "trained for 40 steps; the search used 30" in more["warnings"]
    assert more["training"]["momentum"] == 0.9
    finalists = [trial.expression for trial in load_study("first", tmp_path / "mine.db").result.finalists(2)]
    assert (len(finalists), finalists[0]) == (2, best)
    rows = {name: row["expression"] for name, row in more["losses"].items()}
    assert list(rows) == ["discovered", "discovered 2", "cross_entropy", "label_smoothing", "baikal"]
    assert [rows["discovered"], rows["discovered 2"]] == finalists


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--study", "first", "--set", "training.steps=3"], "--set does nothing with --study"),
        (["--study", "first", "--config", "file"], "--config does nothing with --study"),
        (["--study", "first", "--task-option", "noise=0.1"], "--task-option does nothing with --study"),
        (["--study", "first"], r"no store sqlite:///glo\.db"),
        (["baikal"], "give expressions and --task, or --study NAME"),
        (["--task", "digits"], "give expressions and --task, or --study NAME"),
        (["baikal", "--task", "digits", "--finalists", "2"], "--finalists does nothing without --study"),
        (["baikal", "--task", "digits", "--storage", "mine.db"], "--storage does nothing without --study"),
        (["x", "--task", "digits"], "'x' cannot train a network: it does not use y"),
        (["x + y - y", "--task", "digits"], "cannot train a network: .*derivative is zero"),
        (["mae", "--task", "diabetes", "--smoothings", "0.1"], "--smoothings does nothing here: .*regression"),
        (
            ["baikal", "x*y", "--task", "digits", "--no-baselines", "--smoothings", "0.1"],
            "without baselines there is no label smoothing",
        ),
        (["baikal", "--task", "digits", "--set", "seed=3"], "'seed' does nothing here"),
        (["baikal", "--task", "digits", "--set", "genetic.crossover=1"], "'genetic.crossover' does nothing here"),
        (["baikal", "--task", "digits", "--set", "training.early_stop=0"], "early_stop' does nothing.*stops no training"),
        (["baikal", "--task", "digits", "--set", "training.learning_rates=[1]"], "--learning-rates is the ladder"),
        (["baikal", "--task", "digits", "--set", "training.curve_every=1"], "a comparison keeps no curves"),
        (["baikal", "--task", "digits", "--set", "training.stepz=1"], r"no option 'training\.stepz'"),
        (["baikal", "--task", "digits", "--insecure"], "--insecure does nothing without --cluster"),
        (["baikal", "--task", "digits", "--out", "/proc"], "/proc cannot be written.*another --out"),
    ],
)
def test_misuse(glo: Glo, tmp_path: Path, arguments: list[str], message: str) -> None:
    assert_misuse(glo("compare", *arguments), message)
    assert list(tmp_path.iterdir()) == []


def test_a_study_that_found_nothing_has_nothing_to_compare(glo: Glo) -> None:
    hopeless = ["--set", "genetic.weights={x = 1, y = 1, '-' = 1}", "--set", "genetic.attempts=1", "--name", "first"]
    assert glo(*SEARCH, *hopeless).code == 0
    assert_misuse(glo("compare", "--study", "first"), "study 'first' found no loss that trains")


@pytest.mark.usefixtures("own_tasks")
def test_a_comparison_in_which_all_crashes_shows_the_reason(glo: Glo, tmp_path: Path) -> None:
    shown = glo("compare", "baikal", "--task", "failing_tasks:breaks", *HOW)
    assert shown.code == 0
    assert "Warning: baikal: 4 of 4 trainings of 5 steps failed, 2 of them on test, and count 0" in shown.out
    assert "the first crashed: RuntimeError: no such road" in shown.out
    assert "0.0000" not in shown.out
    written = json.loads((tmp_path / "glo-compare" / "comparison.json").read_text(encoding="utf-8"))
    assert written["losses"]["baikal"]["failures"]["count"] == 4
    assert "no such road" in written["losses"]["baikal"]["failures"]["reason"]


@pytest.mark.usefixtures("own_tasks")
def test_evaluation_of_a_training_that_fails(glo: Glo) -> None:
    """A crash is a result with a reason, as everywhere else; so is a divergence."""
    evaluate = ["evaluate", "baikal", "--task", "failing_tasks:breaks", "--device", "cpu"]
    crashed = parsed(glo(*evaluate, "--json"))
    assert (crashed["status"], crashed["fitness"], crashed["test_metric"]) == ("crashed", 0.0, None)
    assert crashed["reason"].startswith("RuntimeError: no such road (in forward, failing_tasks.py:")
    assert f"crashed: {crashed['reason']}\n" in glo(*evaluate).out
    diverging = ["evaluate", "x*y*log(0 - 1)", "--task", "digits", "--steps", "2", "--device", "cpu"]
    assert "diverged: outputs or the loss became NaN or infinite\n" in glo(*diverging).out
    assert_misuse(glo("evaluate", "x", "--task", "digits"), "'x' cannot train a network: it does not use y")


@pytest.mark.usefixtures("own_tasks")
def test_a_task_without_a_test_split(glo: Glo, tmp_path: Path) -> None:
    """It can be evaluated, on validation; a comparison refuses it before anything is trained."""
    found = parsed(glo("evaluate", "baikal", "--task", "failing_tasks:untested", "--device", "cpu", "--json"))
    assert (found["status"], found["test_metric"]) == ("trained", None)
    shown = glo("evaluate", "baikal", "--task", "failing_tasks:untested", "--device", "cpu", "--curve-every", "2")
    assert shown.out.startswith(f"trained: validation accuracy {found['fitness']:.4f}\n")
    assert [line.split(":")[0] for line in shown.out.splitlines() if line.startswith("step ")] == ["step 2", "step 4"]
    assert_misuse(glo("compare", "baikal", "--task", "failing_tasks:untested"), "no test split")
    assert not (tmp_path / "glo-compare").exists()


def test_a_search_ends_with_the_command_that_compares_its_best(glo: Glo) -> None:
    """It works as it is printed."""
    for storage in ([], ["--storage", "my stores.db"]):
        command = glo(*SEARCH, *storage).out.splitlines()[-1]
        assert command.startswith("glo compare --study digits-default-0")
        compared = parsed(glo(*shlex.split(command)[1:], *HOW, "--json"))
        assert compared["training"]["steps"] == 30
