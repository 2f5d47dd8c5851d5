"""The user's own training loop on the workers of a cluster: loaded by its name, or pickled."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="a cluster needs glo-torch[cluster]")

import torch

import glo
from cluster.commands import run
from glo.records import Status

pytestmark = pytest.mark.cluster
OBJECTIVE = """
import torch

def objective(trial):
    logits = torch.zeros(3, 3, requires_grad=True)
    trial.loss()(logits, torch.arange(3)).backward()
    trial.report(trial.number % 5, 1)
    trial.should_stop()
    return {"validation": float(-logits.grad.diagonal().sum()), "test": trial.seed % 100}
"""
SEARCH = ["search", "--objective", "mine:objective", "--classes", "3", "--trials", "25", "--slots", "1", "--json"]


def test_a_function_by_name_gives_the_same_study_on_workers(tmp_path: Path) -> None:
    """With one slot: what earlier trials have reported travels with the trial."""
    (tmp_path / "mine.py").write_text(OBJECTIVE)
    digests: list[str] = []
    for name, options in {"here": [], "there": ["--cluster", "local:2", "--storage", "there.db"]}.items():
        code, out, err = run(*SEARCH, "--name", name, *options, folder=tmp_path)
        assert code == 0, err
        found = json.loads(out)
        digests.append(found["history_digest"])
        assert found["funnel"]["early stop"]["rejected"] > 0
    assert digests[0] == digests[1]


def test_a_function_of_a_script_is_pickled_and_its_failures_are_outcomes(tmp_path: Path) -> None:
    weights = torch.arange(3.0)

    def objective(trial: glo.Trial) -> Any:
        if trial.number == 2:
            os._exit(3)
        if trial.number == 3:
            raise KeyError("column")
        logits = torch.zeros(3, 3, requires_grad=True)
        trial.loss(weight=weights)(logits, torch.arange(3)).backward()
        assert logits.grad is not None
        return float(-logits.grad.diagonal().sum())

    study = glo.Study(objective, name="a", classes=3, storage=tmp_path / "glo.db", cluster="local:1")
    trials = study.search(trials=6).trials
    failed = {trial.number: trial.reason for trial in trials if trial.status is Status.CRASHED}
    assert failed.keys() == {2, 3}
    assert failed[2] == "its process exited with 3"
    assert failed[3].startswith("KeyError: 'column'")
