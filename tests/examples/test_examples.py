"""Each file of examples/ runs as a reader would run it: in an empty folder, in a process of its own, without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
NEEDS = {"lightning_search": "lightning", "transformer_text": "transformers"}
# A line that each example prints; every number in parentheses must be above what follows.
OUTPUT = {
    "imbalanced": (r".* label_smoothing .*│ *(0\.\d+) │ 0\.\d+ │ 3 │.*", 0.3),
    "lightning_search": (r"best loss: \S.* validation accuracy: ([\d.]+)", 0.8),
    "own_metric": (r"best loss: \S.* worth: ([\d.]+)", 0.4),
    "lightgbm_search": (r".* binary_cross_entropy .*│ *(0\.\d+) │ 0\.\d+ │ 10 │.*", 0.75),
    "own_loop": (r".* label_smoothing .*│ *(0\.\d+) │ 0\.\d+ │ 5 │.*", 0.7),
    "own_task": (r"best loss: \S.* validation accuracy: ([\d.]+)", 0.9),
    "regression": (r" *\d+ nodes  R2 ([\d.]+)  \S.*", 0.3),
    "segmentation": (r".* label_smoothing .*│ *(0\.\d+) │ 0\.\d+ │ 3 │.*", 0.55),
    "training_script": (r"ExpressionLoss\(.*\): last loss [\d.]+, test accuracy ([\d.]+)", 0.85),
    "training_loop": (r"ExpressionLoss\(.*\): test accuracy ([\d.]+)", 0.85),
    "transformer_text": (r"best loss: \S.* validation accuracy: ([\d.]+)", 0.8),
}


def test_every_example_is_tested() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == sorted(OUTPUT)


@pytest.mark.parametrize("name", OUTPUT)
def test_example_runs_and_prints_a_result(name: str, tmp_path: Path) -> None:
    pytest.importorskip(NEEDS.get(name, "glo"), reason="pip install 'glo-torch[integrations]'")
    example = FOLDER / f"{name}.py"
    assert len(example.read_text(encoding="utf-8").splitlines()) <= 32
    done = subprocess.run([sys.executable, example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    line, least = OUTPUT[name]
    found = [match for match in (re.fullmatch(line, printed) for printed in done.stdout.splitlines()) if match]
    assert found, done.stdout
    assert all(float(match[1]) > least for match in found)
