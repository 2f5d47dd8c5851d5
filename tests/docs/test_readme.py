"""The README's example runs as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_example_runs_and_is_short(tmp_path: Path) -> None:
    """In an empty folder and a process of its own, as a reader would run it; it prints the comparison as a table."""
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(example.strip().splitlines()) <= 15
    command, environment = [sys.executable, "-c", example], {**os.environ, "COLUMNS": "140"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for column in ("loss", "rate", "mean", "p", "cross_entropy", "label_smoothing"):
        assert column in done.stdout
    assert (tmp_path / "glo.db").exists()
