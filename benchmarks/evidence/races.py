"""Time to quality: how soon has today's search a loss as good as the one that the old default ended with?

The old default is the product at the commit before unit gradient, racing and confirmation.  (Today's code cannot repeat its
history by settings alone: a candidate that was stopped at chance counts 0 for the selection of parents, and had its accuracy
then.)  Both search in turn, each in a process of its own with the same script.  Afterwards each loss that was the best of a
search for a while is trained at its best rate by validation, and measured on test with fresh seeds: how good a search is by
when does not rest on its own fitness.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

import glo
from benchmarks.evidence.parts import Run, sparingly
from glo.compare import ComparisonConfig
from glo.compare.judging import RATES
from glo.compare.procedures import run_all
from glo.compare.protocol import compare
from glo.errors import ConfigError
from glo.execution import local_executor
from glo.expr import parse
from glo.study.composing import compose
from glo.tasks import Task, load_task, with_long_tail

OLD = "879a592c92d2930b274edbb4993f02ea9c137d23"  # the last commit with six raw rates and neither rungs nor confirmation
ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("timed_search.py")
TUNING_SEEDS = 3


def _long_tailed_digits() -> Task:
    """Digits of which each class is rarer than the one before, in all 20 times; balanced accuracy."""
    return with_long_tail(replace(load_task("digits"), metric="balanced_accuracy"), 20)


RACES: dict[str, Callable[[], Task]] = {
    "noisy-digits": lambda: load_task("noisy-digits"),
    "digits": lambda: load_task("digits"),
    "long-tailed-digits": _long_tailed_digits,
}


def race(name: str, seed: int, run: Run) -> dict[str, Any]:
    """Search by the old and the new default, the one that begins changing with the seed, and confirm; as JSON-like data."""
    task = RACES[name]()
    if run.size.race_steps is not None:
        task = replace(task, training={"steps": run.size.race_steps})
    spec = run.out / f"{name}.npz"
    _write(task, run.size.search, spec)
    sources = {"old": old_source(run.out), "new": Path(glo.__file__).parents[1]}
    order = ("old", "new") if seed % 2 == 0 else ("new", "old")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    searches = {which: timed_search(sources[which], spec, seed, run, which) for which in order}
    return {
        "race": name,
        "what": RACES[name].__doc__ or "as built in",
        "seed": seed,
        "metric": task.metric_name,
        "old_commit": OLD,
        "load": load,
        "old": searches["old"],
        "new": searches["new"],
        "confirmed": confirmed(task, searches, run),
    }


def _write(task: Task, search: Mapping[str, Any], path: Path) -> None:
    """The task as a file that any version of glo can read it from."""
    arrays: dict[str, Any] = {}
    for name, split in task.splits.items():
        arrays[f"{name}_inputs"], arrays[f"{name}_targets"] = split.inputs.numpy(), split.targets.numpy()
    hidden = len(next(iter(task.model().parameters())))
    options = {
        "name": task.name,
        "metric": task.metric,
        "training": dict(task.training),
        "network": [arrays["train_inputs"].shape[1], hidden, task.classes],
        "search": {name: value for name, value in search.items() if name != "confirm"},  # the old search had no such option
    }
    np.savez(path, options=json.dumps(options), **arrays)


def old_source(out: Path) -> Path:
    """The source of the old version, unpacked into a folder.

    Raises:
        ConfigError: if there is no git, or no such commit.
    """
    folder = out / f"glo-{OLD[:7]}"
    if not (folder / "src" / "glo" / "__init__.py").exists():
        packed = subprocess.run(["git", "-C", str(ROOT), "archive", OLD, "src"], capture_output=True, check=False)
        if packed.returncode:
            raise ConfigError(
                f"the time to quality needs the old version, commit {OLD[:7]}: run it in a git checkout with its history"
            )
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
    return folder / "src"


def timed_search(source: Path, spec: Path, seed: int, run: Run, which: str) -> dict[str, Any]:
    """A search under the version of glo in a folder, in a process of its own.

    Raises:
        RuntimeError: if it fails, or another version was imported.
    """
    out = run.out / "timed.json"
    command = [sys.executable, "-P", str(SCRIPT), str(spec), str(seed), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            run.report(f"{which} default, {line.rstrip()}")
    if process.returncode:
        raise RuntimeError(f"the search by the {which} default failed with status {process.returncode}")
    found = json.loads(out.read_text(encoding="utf-8"))
    out.unlink()
    if Path(found.pop("source")).resolve() != (source / "glo").resolve():
        raise RuntimeError(f"the search by the {which} default imported another version of glo than that in {source}")
    return found


def confirmed(task: Task, searches: Mapping[str, Mapping[str, Any]], run: Run) -> dict[str, dict[str, Any]]:
    """Each loss that was the best for a while: its rate chosen on validation, its test metric over fresh seeds."""
    expressions = dict.fromkeys(point["expression"] for search in searches.values() for point in search["points"])
    families = {expression: {"": parse(expression)} for expression in expressions}
    config = ComparisonConfig(
        learning_rates=RATES, tuning_seeds=TUNING_SEEDS, run_off=run.size.run_off, repeats=run.size.repeats, seed=run.seed
    )
    training = compose(task).training
    with closing(local_executor()) as executor:
        (rows,) = run_all(executor, [compare(task, training, families, config)], sparingly(run.report))
    kept = ("learning_rate", "validation", "mean", "sd", "values")
    return {row.name: {name: asdict(row)[name] for name in kept} for row in rows}
