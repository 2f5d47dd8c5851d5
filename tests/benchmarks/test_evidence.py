"""The evidence suite at its smallest size, and the page that is written from its JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.evidence.__main__ import PAGE, RESULTS, main
from benchmarks.evidence.page import outcomes_of, page
from benchmarks.evidence.problems import CONFUSED, PROBLEMS, SCALES, by_instance, imbalanced, noisy_validation
from benchmarks.evidence.quality import OLD, Counting, tasks, time_to_quality
from glo.execution import Batch, InlineExecutor
from glo.expr import parse
from glo.records import Training, TrainingConfig
from glo.study import compose
from glo.tasks import load_task

TINY = SCALES["tiny"]
PUBLISHED = RESULTS / "evidence.json"


def test_a_problem_is_measured_once_and_the_page_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--scale", "tiny", "--only", "cancer-imbalanced", "--out", str(tmp_path), "--page", str(tmp_path / "p.md")]
    main(arguments)
    known = tmp_path / "tiny-0" / "cancer-imbalanced.json"
    measured = known.read_bytes()
    capsys.readouterr()
    main(arguments)
    assert "cancer-imbalanced: known" in capsys.readouterr().out
    assert known.read_bytes() == measured
    found = json.loads((tmp_path / "tiny-0" / "results.json").read_text())
    row = found["problems"]["cancer-imbalanced"]
    assert row["metric"] == "average_precision"
    assert {"discovered", "binary_cross_entropy", "asl"} <= set(row["losses"])
    text = (tmp_path / "p.md").read_text()
    assert "breast cancer, 12 malignant samples" in text
    assert row["verdict"]["text"] in text


def test_time_to_quality_counts_the_steps_of_both_searches(tmp_path: Path) -> None:
    found = time_to_quality("digits", TINY, tmp_path, seed=0)
    old, new = (found["traces"][which] for which in ("old", "new"))
    assert len(old) == len(new) == TINY.generations + 1
    for points in (old, new):
        steps = [point["steps"] for point in points]
        assert steps == sorted(steps)
        assert {point["expression"] for point in points} <= {*found["test"], ""}
    assert old[0]["steps"] % 30 == 0  # whole trainings, and those that were stopped after a tenth
    assert found["reached"]["old"] is not None


def test_given_up_trainings_count_by_their_share() -> None:
    executor = Counting(InlineExecutor())
    task, config = load_task("digits"), TrainingConfig(steps=50, early_stop=0.2)
    losses = [Training(parse("x*log(y)"), 0.5), Training(parse("-x*log(y)"), 0.5)]  # the second is at chance
    executor.submit("one", Batch(task, config, losses, [0, 0]))
    executor.next()
    assert executor.steps == 50 + 10


def test_the_old_default_is_that_of_its_time() -> None:
    old = compose(load_task("digits"), settings=OLD)
    assert old.training.learning_rates == (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    assert (old.training.unit_gradient, old.training.rungs, old.confirmation.candidates) == (False, (), 0)
    assert (old.training.early_stop, old.genetic.population, old.generations) == (0.1, 40, 15)
    assert set(tasks()) == {"noisy-digits", "digits", "digits-long-tail"}


def problem(p_better: float, p_worse: float) -> dict[str, Any]:
    return {"p_better": p_better, "p_worse": p_worse}


def test_outcomes_are_corrected_for_their_number_and_failures_come_first() -> None:
    problems = {"a": problem(0.004, 1.0), "b": problem(0.0001, 1.0), "c": problem(1.0, 0.0001), "d": problem(0.3, 1.0)}
    assert outcomes_of(problems) == {"c": "loss", "a": "tie", "d": "tie", "b": "win"}  # 0.004 times 3 is above 0.01
    assert outcomes_of({"a": problem(0.004, 1.0)}) == {"a": "win"}


def test_the_labels_are_wrong_as_they_say() -> None:
    clean, noisy = load_task("digits"), noisy_validation(SCALES["small"], None)
    for split in ("train", "validation"):
        wrong = (noisy.split(split).first.targets != clean.split(split).first.targets).float().mean()
        assert float(wrong) == pytest.approx(0.4, abs=0.01)
    assert torch.equal(noisy.split("test").first.targets, clean.split("test").first.targets)
    answers = imbalanced(SCALES["small"], None)
    assert float(answers.split("train").first.targets.sum()) == 12
    assert 0.2 < float(answers.split("test").first.targets.mean()) < 0.5


@pytest.mark.skipif(not PUBLISHED.exists(), reason="no evidence is published yet")
def test_the_page_is_what_its_json_says() -> None:
    found = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(found, PUBLISHED.name)
    assert set(found["problems"]) == set(PROBLEMS)
    assert found["scale"] == "small"


def images() -> bool:
    try:
        load_task("mnist")
    except Exception:  # noqa: BLE001 - whatever is missing
        return False
    return True


@pytest.mark.skipif(not images(), reason="MNIST is not on this machine (GLO_DATA)")
def test_noise_by_instance_and_by_class() -> None:
    small = SCALES["small"]
    clean = PROBLEMS["mnist-200"].load(SCALES["tiny"], None)
    assert len(clean.split("train").first) == 200
    true = load_task("mnist").split("train").first.targets[: small.train]
    instance = by_instance(small, None).split("train").first.targets
    assert float((instance != true).float().mean()) == pytest.approx(0.2, abs=0.001)
    asymmetric = PROBLEMS["mnist-asymmetric-40"].load(small, None).split("train").first.targets
    assert {(int(a), int(b)) for a, b in zip(true, asymmetric, strict=True) if a != b} == set(CONFUSED.items())
