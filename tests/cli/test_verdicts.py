"""`glo search` says what there is to beat before it begins, and ends with a verdict, or with why there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.conftest import Glo
from glo.compare import Finding

SMALL = ["--task", "digits", "--generations", "1", "--population", "8", "--steps", "60", "--confirm", "2", "--device", "cpu"]
STANDARD = ["--baselines", "standard", "--repeats", "2"]
NO_TEST = """
import torch, glo
from torch import nn
inputs = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
data = (inputs, (inputs[:, 0] > 0).long())
task = glo.Task("untested", lambda: nn.Linear(4, 2), data, data)
"""


def test_a_search_ends_with_a_verdict(glo: Glo) -> None:
    result = glo("search", *SMALL, *STANDARD, "--name", "first")
    assert result.code == 0, result.err
    lines = result.out.strip().splitlines()
    assert lines[0].startswith("To beat, on validation: cross_entropy with accuracy 0.")
    assert any(lines[-1].startswith(start) for start in ("Use ", "No gain", "Not enough seeds"))
    assert "chance flatters" not in result.out
    again = glo("resume", "first", *STANDARD, "--device", "cpu")
    assert again.out.strip().splitlines()[-1] == lines[-1]


def test_the_verdict_is_in_the_json(glo: Glo) -> None:
    result = glo("search", *SMALL, *STANDARD, "--json")
    found = json.loads(result.out)
    assert found["verdict"]["finding"] in [finding.name.lower() for finding in Finding]
    assert set(found["verdict"]["gains"]) == set(found["survey"]) == {"cross_entropy", "label_smoothing"}
    assert found["verdict"]["seeds"] == 2
    assert found["verdict"]["test_samples"] == 400
    assert found["scale"] > 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--baselines", "none"], "--baselines none leaves nothing to compare with"),
        (["--timeout", "0.01"], "the timeout has ended the search"),
    ],
)
def test_why_there_is_no_verdict(glo: Glo, arguments: list[str], reason: str) -> None:
    found = json.loads(glo("search", *SMALL, *STANDARD, *arguments, "--json").out)
    assert found["verdict"]["finding"] is None
    assert reason in found["verdict"]["text"]


def test_a_task_without_a_test_split_is_searched_and_not_judged(
    glo: Glo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "untested.py").write_text(NO_TEST, encoding="utf-8")
    result = glo("search", "--task", "untested:task", *SMALL[2:])
    assert result.code == 0, result.err
    assert "No verdict: the task has no test split to judge on" in result.out
    assert "To beat" not in result.out


def test_one_repeat_has_no_spread(glo: Glo) -> None:
    result = glo("search", *SMALL, "--repeats", "1")
    assert result.code == 2
