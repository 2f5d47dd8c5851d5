"""What an experiment works with: tasks, trainers that remember, and a record of every training."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from glo.compare.protocol import Report
from glo.execution.concurrent import Workplace, shares
from glo.paper.experiment.recorded import Recorded, commit
from glo.records import TrainingConfig
from glo.store import Store
from glo.study import hardware, versions
from glo.tasks import Task, load_task, with_first_samples
from glo.training import Result, Training

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass
class Lab:
    """Where an experiment is made.

    Attributes:
        storage: where everything is recorded, and from where an interrupted experiment goes on.
        store: the same, open.
        seed: of everything random.
        place: where networks are trained; a cluster is opened once, by `workplace`, for all that is measured.
        data_dir: where the tasks' files are.
        report: called with phase, done and total.
        runs: every training that was asked for, JSON-like, failed ones too.
        data: which copy of the data a task was made of, by name of the task.
    """

    storage: str | Path
    store: Store
    seed: int = 0
    place: Workplace = field(default_factory=Workplace)
    data_dir: str | Path | None = None
    report: Report = lambda phase, done, total: None
    runs: list[dict[str, Any]] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)

    def task(self, name: str, samples: int | None = None) -> Task:
        """A built-in task.

        Args:
            samples: how many of each split to keep, for a quick try; None for all.
        """
        task = load_task(name, data_dir=self.data_dir)
        self.data[name] = task.description or "as it comes with glo"
        return task if samples is None else with_first_samples(task, samples)

    def trainer(self, task: Task, training: TrainingConfig, **labels: Any) -> Recorded:
        """A trainer whose results are recorded; each run carries the labels in `runs`."""

        def on_run(asked: Training, seed: int, result: Result, made_at: str | None) -> None:
            self.runs.append({**labels, "steps": training.steps, **_run(asked, seed, result), "commit": made_at})

        with self.place.turn:
            inner = self.place.make_trainer(task, training)
            return Recorded(inner, task, training, self.place.device, self.store, on_run)

    def each(self, work: Callable[[Lab, Item], Answer], items: Sequence[Item]) -> list[Answer]:
        """`work(lab, item)` for each item, in order; on a cluster all at once, so that they share its workers.

        Each is given a lab with `runs` of its own, which then follow each other in `runs`, whoever ended first.
        """
        labs = [replace(self, runs=[], report=report) for report in shares(self.report, len(items))]
        answers = self.place.map(work, labs, items)
        self.runs += [run for lab in labs for run in lab.runs]
        return answers


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

    The device is what networks were trained on, on a cluster that of its workers; the hardware is this machine.

    Args:
        words: of the command, without paths, which are everyone's own.
    """
    return {
        "command": shlex.join(words),
        "commit": commit(),
        "seed": lab.seed,
        "device": lab.place.device,
        "cluster": lab.place.elsewhere,
        "versions": versions(),
        "hardware": hardware(),
        "data": lab.data,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
