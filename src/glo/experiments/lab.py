"""What an experiment works with: tasks, trainers that remember, and a record of every training."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glo.experiments.comparison import Report
from glo.experiments.recorded import Recorded, commit
from glo.records import TrainingConfig
from glo.run import hardware, versions
from glo.store import Store
from glo.tasks import Task, load_task, with_first_samples, with_train_fraction
from glo.training import Result, Training


@dataclass
class Lab:
    """Where an experiment is made.

    Attributes:
        storage: where everything is recorded, and from where an interrupted experiment goes on.
        store: the same, open.
        seed: of everything random.
        device: where networks are trained.
        data_dir: where the tasks' files are.
        report: called with phase, done and total.
        runs: every training that was asked for, JSON-like, failed ones too.
        data: which copy of the data a task was made of, by name of the task.
    """

    storage: str | Path
    store: Store
    seed: int = 0
    device: str = "cpu"
    data_dir: str | Path | None = None
    report: Report = lambda phase, done, total: None
    runs: list[dict[str, Any]] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)

    def task(self, name: str, samples: int | None = None, fraction: float = 1.0) -> Task:
        """A built-in task.

        Args:
            samples: how many of each split to keep, for a quick try; None for all.
            fraction: of the training data to keep.
        """
        task = load_task(name, data_dir=self.data_dir)
        self.data[name] = task.description or "as it comes with glo"
        if samples is not None:
            task = with_first_samples(task, samples)
        return task if fraction == 1 else with_train_fraction(task, fraction, self.seed)

    def trainer(self, task: Task, training: TrainingConfig, **labels: Any) -> Recorded:
        """A trainer whose results are recorded; each run carries the labels in `runs`."""

        def on_run(asked: Training, seed: int, result: Result, made_at: str | None) -> None:
            self.runs.append({**labels, "steps": training.steps, **_run(asked, seed, result), "commit": made_at})

        return Recorded(task, training, self.device, self.store, on_run)


def _run(training: Training, seed: int, result: Result) -> dict[str, Any]:
    """One training as it is published."""
    asked = {"expression": str(training.expression), "learning_rate": training.learning_rate, "seed": seed}
    if isinstance(result, str):
        return {**asked, "status": "crashed", "reason": result}
    measured = {"validation": result.validation, "test": result.test}
    curve = {"curve": [list(point) for point in result.curve]} if result.curve else {}
    return {**asked, "status": "diverged" if result.diverged else "trained", **measured, **curve}


def provenance(lab: Lab, *words: str) -> dict[str, Any]:
    """Where a number comes from: command, commit, versions, hardware, data and time.

    Args:
        words: of the command, without paths, which are everyone's own.
    """
    return {
        "command": shlex.join(words),
        "commit": commit(),
        "seed": lab.seed,
        "device": lab.device,
        "versions": versions(),
        "hardware": hardware(),
        "data": lab.data,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
