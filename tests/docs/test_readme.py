"""The README's example runs as it stands."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_example_runs_and_is_short(tmp_path: Path) -> None:
    """In an empty folder, in a process of its own, as a reader would run it."""
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(example.strip().splitlines()) <= 15
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, compared = done.stdout.splitlines()
    expression, fitness, rate = found.rsplit(maxsplit=2)
    assert "y" in expression
    assert 0 < float(fitness) <= 1
    assert float(rate) > 0
    row = ast.literal_eval(compared)
    assert row["expression"] == expression
    assert 0 <= row["p_value"] <= 1
