"""The evidence suite at its smallest scale: what it writes, that it goes on where it was killed, and what it claims."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.evidence.__main__ import main
from benchmarks.evidence.claims import Outcome, claims, median_ratios, pooled_optimism, ratios, reached
from benchmarks.evidence.noise import SIMILAR_DIGITS, asymmetric, instance_dependent
from benchmarks.evidence.page import PAGE, page, published
from benchmarks.evidence.parts import Run
from benchmarks.evidence.problems import PROBLEMS
from benchmarks.evidence.races import OLD, ROOT, old_source, race
from benchmarks.evidence.sizes import SIZES
from benchmarks.evidence.timed_search import CountingExecutor
from glo.execution import Batch, InlineExecutor, train
from glo.expr import parse
from glo.records import Training, TrainingConfig, generator
from glo.tasks import load_task
from images import IMAGES, need

TINY = ["--scale", "tiny", "--only", "symmetric-40", "--only", "outliers"]
WITH_IMAGES = {"symmetric-40": None, "outliers": None, "imbalanced": None}
OF_CIFAR = {"asymmetric-20": "cifar10", "instance-40": "cifar10"}


def made(out: Path) -> dict[str, Any]:
    """The numbers of a run, without what differs from run to run."""
    assert main([*TINY, "--out", str(out)]) == 0
    results = json.loads((out / "evidence-tiny.json").read_text(encoding="utf-8"))
    for problem in results["problems"]:
        del problem["seconds"], problem["resumed"]
    del results["finished"]
    return results


def test_a_problem_has_its_verdict_its_losses_and_its_optimism(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = made(tmp_path)
    digits, regression = results["problems"]
    assert (digits["problem"], digits["network"], digits["samples"]["test"]) == ("symmetric-40", "64-64-10", 400)
    assert list(digits["losses"]) == ["discovered", "cross_entropy", "label_smoothing"]
    assert digits["losses"]["cross_entropy"]["gain"]["difference"] == pytest.approx(
        digits["losses"]["discovered"]["mean"] - digits["losses"]["cross_entropy"]["mean"]
    )
    assert (regression["metric"], regression["direction"]) == ("rmse", "minimize")
    for problem in (digits, regression):
        confirmed = problem["reported"]["confirmed"]
        sign = 1 if problem["direction"] == "maximize" else -1
        assert confirmed["optimism"] == pytest.approx(sign * (confirmed["fitness"] - confirmed["fresh"]))
        assert confirmed["n"] == 3
    shown = capsys.readouterr().out
    assert "[1/2] symmetric-40: begins" in shown
    text = (tmp_path / "evidence.md").read_text(encoding="utf-8")
    assert "A trial run at scale tiny" in text
    assert digits["text"] in text
    assert str(tmp_path) not in json.dumps(results) + text
    before = (tmp_path / "outliers.json").read_bytes()
    assert made(tmp_path) == results
    assert "[2/2] outliers: known already" in capsys.readouterr().out
    assert (tmp_path / "outliers.json").read_bytes() == before


def test_a_run_that_was_killed_in_a_search_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.evidence", *TINY, "--out", str(tmp_path / "killed")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        for line in process.stdout or ():
            if "outliers: genetic: generation 1" in line:
                process.kill()
                break
    assert sorted(path.name for path in (tmp_path / "killed").glob("*.json")) == ["symmetric-40.json"]
    assert made(tmp_path / "killed") == made(tmp_path / "whole")
    assert json.loads((tmp_path / "killed" / "outliers.json").read_text(encoding="utf-8"))["resumed"]


def test_numbers_of_two_commits_are_not_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "outliers.json").write_text('{"commit": "another"}')
    assert main(["--scale", "tiny", "--only", "outliers", "--out", str(tmp_path)]) == 1
    assert "outliers.json is from commit another, this is" in capsys.readouterr().err


def test_only_the_whole_suite_is_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scale", "tiny", "--only", "outliers", "--out", str(tmp_path), "--publish"]) == 1
    assert "leave --only out" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_problem_is_there_with_a_test_set(name: str) -> None:
    need(WITH_IMAGES.get(name, OF_CIFAR.get(name, "mnist")))
    task = PROBLEMS[name].make(SIZES["tiny"], IMAGES)
    again = PROBLEMS[name].make(SIZES["tiny"], IMAGES)
    assert task.digest() == again.digest()  # the data is the same whenever it is made
    assert len(task.split("test")) >= 200
    assert task.training == {"steps": 30}


def test_asymmetric_labels_are_those_of_the_similar_class() -> None:
    labels = np.arange(1000) % 10
    wrong = asymmetric(labels, SIMILAR_DIGITS, 0.4, generator(0, "test"))
    changed = labels != wrong
    assert {(int(a), int(b)) for a, b in zip(labels[changed], wrong[changed], strict=True)} == set(SIMILAR_DIGITS.items())
    assert changed.sum() == 5 * 40


def test_instance_dependent_labels_depend_on_the_sample() -> None:
    rng = generator(0, "test")
    inputs = rng.standard_normal((2000, 20)).astype(np.float32)
    labels = rng.integers(0, 10, 2000)
    wrong = instance_dependent(inputs, labels, 0.4, 10, generator(1, "test"))
    assert (wrong != labels).mean() == pytest.approx(0.4, abs=0.03)
    again = instance_dependent(inputs, labels, 0.4, 10, generator(1, "test"))
    assert (again == wrong).all()
    # Samples with the same inputs are mostly taken for the same class; of nine classes at random, a third would be.
    same = instance_dependent(np.repeat(inputs[:50], 40, 0), np.zeros(2000, int), 0.4, 10, generator(1, "test"))
    of_sample = [np.bincount(each[each > 0], minlength=10) for each in same.reshape(50, 40)]
    assert sum(counts.max() for counts in of_sample) > 0.6 * sum(counts.sum() for counts in of_sample)


def problem(name: str, direction: str = "maximize", **gains: tuple[float, float, float]) -> dict[str, Any]:
    """A problem as it is measured; each known loss has a difference, a p-value and its validation metric."""
    losses: dict[str, Any] = {"discovered": {"validation": 1.0, "gain": None}}
    for known, (difference, p_value, validation) in gains.items():
        losses[known] = {"validation": validation, "gain": {"difference": difference, "p_value": p_value}}
    return {"problem": name, "direction": direction, "losses": losses}


def test_a_win_is_over_the_whole_shelf_and_by_holm_over_the_problems() -> None:
    found = {
        claim.problem["problem"]: claim
        for claim in claims(
            [
                problem("clear", a=(0.1, 1e-6, 0.9), b=(0.1, 0.002, 0.8)),
                problem("weak", a=(0.1, 1e-6, 0.9), b=(0.1, 0.03, 0.8)),
                problem("ahead of one", a=(0.1, 1e-6, 0.9), b=(-0.1, 0.5, 0.8)),
            ]
        )
    }
    assert [found[name].p_shelf for name in ("clear", "weak", "ahead of one")] == [0.002, 0.03, 1.0]
    assert [found[name].p_holm for name in ("clear", "weak", "ahead of one")] == pytest.approx([0.006, 0.06, 1.0])
    outcomes = [found[name].outcome for name in ("clear", "weak", "ahead of one")]
    assert outcomes == [Outcome.WIN, Outcome.TIE, Outcome.TIE]


def test_a_loss_is_against_the_choice_of_validation_or_by_holm_over_the_shelf() -> None:
    chosen = problem("chosen", a=(-0.1, 0.04, 0.9), b=(0.1, 0.001, 0.8))
    other = problem("other", a=(0.0, 1.0, 0.9), b=(-0.1, 0.04, 0.8), c=(0.1, 0.5, 0.7))
    clearly = problem("clearly", a=(0.0, 1.0, 0.9), b=(-0.1, 0.01, 0.8), c=(0.1, 0.5, 0.7))
    lower = problem("lower", "minimize", a=(0.1, 0.001, 0.9), b=(-0.1, 0.04, 0.2))
    found = {claim.problem["problem"]: claim for claim in claims([chosen, other, clearly, lower])}
    assert (found["chosen"].outcome, found["chosen"].worse_than) == (Outcome.LOSS, ("a",))
    assert found["other"].outcome is Outcome.TIE  # 0.04 of three tests
    assert (found["clearly"].outcome, found["clearly"].worse_than) == (Outcome.LOSS, ("b",))
    assert (found["lower"].rival, found["lower"].outcome) == ("b", Outcome.LOSS)


def test_failures_come_first() -> None:
    win, tie = problem("win", a=(0.1, 1e-6, 0.9)), problem("tie", a=(0.1, 0.5, 0.9))
    error = {"problem": "error", "direction": "maximize", "error": "nothing trains"}
    loss = problem("loss", a=(-0.1, 1e-6, 0.9))
    assert [claim.problem["problem"] for claim in claims([win, tie, error, loss])] == ["error", "loss", "tie", "win"]


def test_optimism_is_pooled_in_standard_errors() -> None:
    reported = [{"optimism": 0.02, "error": 0.01}, {"optimism": 20.0, "error": 10.0}, {"optimism": 0.0, "error": 0.0}]
    assert pooled_optimism(reported) == pytest.approx(4 / 2**0.5)
    assert pooled_optimism([]) == 0


def raced(old: list[float], new: list[float]) -> dict[str, Any]:
    """A race in which the best of a search had these test metrics, a second and ten steps apart."""
    confirmed: dict[str, Any] = {}
    searches: dict[str, Any] = {}
    for which, means in (("old", old), ("new", new)):
        confirmed |= {
            f"{which}{number}": {"mean": mean, "sd": 0.0, "values": [mean] * 10} for number, mean in enumerate(means)
        }
        searches[which] = {
            "points": [{"seconds": n + 1.0, "steps": 10 * (n + 1), "expression": f"{which}{n}"} for n in range(len(means))]
        }
    return {**searches, "confirmed": confirmed}


def test_the_target_is_what_the_old_search_ends_with() -> None:
    assert ratios(raced(old=[0.5, 0.7, 0.6, 0.8], new=[0.7, 0.9, 0.8])) == (2 / 4, 20 / 40)
    assert ratios(raced(old=[0.8, 0.5, 0.8], new=[0.7, 0.8])) == (2.0, 2.0)  # the old one had such a loss at once
    assert ratios(raced(old=[0.8], new=[0.7])) == (float("inf"), float("inf"))
    never = raced(old=[0.8], new=[0.7])
    assert median_ratios([never, raced([0.1, 0.8], [0.8]), raced([0.8], [0.9])]) == (1.0, 1.0)
    assert reached(never["new"], never["confirmed"], 0.8).steps == float("inf")
    never["confirmed"]["old0"]["sd"] = 0.4  # a standard error of 0.126
    assert ratios(never) == (1.0, 1.0)


@pytest.mark.parametrize("rungs", [(), ((0.1, 0.5), (0.6, 0.5))])
def test_steps_count_up_to_where_a_training_was_given_up(rungs: tuple[tuple[float, float], ...]) -> None:
    task, executor = load_task("digits"), CountingExecutor(InlineExecutor())
    config = TrainingConfig(steps=50, early_stop=0.2, rungs=rungs)
    losses = [Training(parse("x*log(y)"), 0.5), Training(parse("-x*log(y)"), 0.5), Training(parse("x*log(y)"), 1e30)]
    batch = Batch(task, config, losses, [0, 0, 0])
    results = train(executor, batch)
    assert [getattr(result, "stopped", None) for result in results] == [False, True, False]
    # the second is at chance after 20 % of the steps; the third has diverged by the first checkpoint
    assert executor.steps == 50 + 10 + (5 if rungs else 10)


def test_old_and_new_search_in_turn(tmp_path: Path) -> None:
    try:
        source = old_source(tmp_path)
    except Exception as error:  # noqa: BLE001 - a copy of the repository without its history
        pytest.skip(str(error))
    text = (source / "glo" / "study" / "config.py").read_text(encoding="utf-8")
    assert '"training": {"learning_rates": [0.03, 0.1, 0.3, 1.0, 3.0, 10.0], "early_stop": 0.1}' in text
    lines: list[str] = []
    found = race("long-tailed-digits", 0, Run("tiny", SIZES["tiny"], 0, None, tmp_path, lines.append))
    assert lines[0] == "old default, genetic: generation 1"
    assert found["old_commit"] == OLD
    for which, generations in (("old", 2), ("new", 5)):  # the new one has three rounds of confirmation
        points = found[which]["points"]
        assert len(points) == generations + 1  # and its result
        assert {point["expression"] for point in points} <= found["confirmed"].keys()
        assert [point["steps"] for point in points] == sorted(point["steps"] for point in points)
        assert points[0]["steps"] >= 30
    assert str(tmp_path) not in json.dumps(found)


def test_the_page_is_what_the_published_numbers_say() -> None:
    numbers = published()
    if numbers is None:
        pytest.skip("no numbers are published yet: python -m benchmarks.evidence --publish")
    message = "docs/evidence.md is out of date: run `python -m benchmarks.evidence.page` and commit the result"
    results = json.loads(numbers.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(results), message
    assert {each["problem"] for each in results["problems"]} == PROBLEMS.keys()
