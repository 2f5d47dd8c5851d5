"""The README's examples run as they are printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pages import blocks

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
# What a reader does next with `criterion`: the same network on the same batches reaches the fitness of the search.
TRAIN = """
import torch
from glo.tasks import fresh_model
from glo.training.schedule import batches

network, data, held_out = fresh_model(task, 0), task.split("train"), task.split("validation")
optimizer = torch.optim.SGD(network.parameters(), study.best.learning_rate)
for batch in batches(len(data), study.result.config.training, 0):
    optimizer.zero_grad()
    criterion(network(data.inputs[batch]), data.targets[batch]).backward()
    optimizer.step()
score = task.score(network(held_out.inputs).softmax(1), held_out.targets)
assert abs(score - study.best.fitness) < 0.03, (score, study.best.fitness)
"""


def test_the_example_runs_and_is_short(tmp_path: Path) -> None:
    """In an empty folder and a process of its own, as a reader would run it; it prints the comparison as a table.

    Its criterion then trains a network as the search did.
    """
    example, *_ = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(example.strip().splitlines()) <= 15
    command, environment = [sys.executable, "-c", example + TRAIN], {**os.environ, "COLUMNS": "140"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for column in ("loss", "rate", "mean", "p", "cross_entropy", "label_smoothing"):
        assert column in done.stdout
    assert (tmp_path / "glo.db").exists()


def test_the_objective_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the functions of the guide, which the README leaves to the reader too."""
    hidden, *_ = blocks(ROOT / "docs" / "guide" / "objectives.md")
    _, example = [block for block in blocks(README) if block.language == "python"]
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(hidden.code + example.code, "README.md", "exec"), names)  # noqa: S102 - our own pages
    assert len(names["study"].trials) == 8  # pyright: ignore[reportAttributeAccessIssue]
