"""What a user waits for: the import, commands, and a search of one generation, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.measuring import Row, Run, row

COMMANDS = {  # name of the row: the arguments, what they are, and the goal in seconds; empty for one that needs PyTorch
    "help": (["--help"], "`glo --help`", "< 0.3"),
    "show": (["show", "x*log(y)"], "`glo show 'x*log(y)'`, which tries whether it can train, by PyTorch", ""),
    "runs": (["runs"], "`glo runs` of a store with one study", "< 0.5"),
    "tasks": (["tasks"], "`glo tasks`", "< 0.5"),
}
SMALL_SEARCH = ["search", "--task", "digits", "--generations", "1", "--confirm", "0", "--baselines", "none"]
SMALL = ["--population", "4", "--steps", "10"]


def start(run: Run) -> Iterator[Row]:
    """Seconds of the clock until each has ended."""
    with tempfile.TemporaryDirectory() as folder:
        python("-m", "glo", *SMALL_SEARCH, *SMALL, "--name", "first", folder=folder)
        calls = {
            "python": partial(python, "-c", "pass", folder=folder),
            "import": partial(python, "-c", "import glo", folder=folder),
            **{name: partial(python, "-m", "glo", *words, folder=folder) for name, (words, *_) in COMMANDS.items()},
        }
        measured = run.interleaved(calls, pairs=9)
    of_import = [a.wall - b.wall for a, b in zip(measured.spent["import"], measured.spent["python"], strict=True)]
    yield row("import", "`import glo`, without the start of Python", of_import, "< 0.1", "s")
    for name, (_, what, goal) in COMMANDS.items():
        yield row(f"start-{name}", what, [each.wall for each in measured.spent[name]], goal, "s", **measured.detail(name))


def first_search(run: Run) -> Iterator[Row]:
    """A search of one generation on digits by the default preset, from the start of Python to its last line."""
    more = SMALL if run.small else []

    def search() -> None:
        with tempfile.TemporaryDirectory() as folder:
            python("-m", "glo", *SMALL_SEARCH, *more, folder=folder)

    measured = run.interleaved({"search": search}, pairs=5)
    walls = [each.wall for each in measured.spent["search"]]
    what = "`glo search --task digits --generations 1 --confirm 0 --baselines none`, all told"
    yield row("start-search", what, walls, "< 3", "s", **measured.detail())


def python(*words: str, folder: str) -> None:
    """Run Python in a folder, with two threads as a machine of two cores has."""
    source = str(Path(sys.modules["glo"].__file__ or "").parents[1])
    path = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, *words], cwd=folder, env=environment, check=True, capture_output=True)
