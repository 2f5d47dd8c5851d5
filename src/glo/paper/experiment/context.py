"""The context of an experiment: tasks, an executor with a memory, and a list of every training."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from glo.compare.procedures import Procedure
from glo.execution import Batch, Executor, local_executor
from glo.paper.experiment.caching import CachingExecutor
from glo.progress import OnProgress
from glo.provenance import commit, hardware, versions
from glo.records import Failure, Result, Training
from glo.store import Store
from glo.tasks import Task, load_task, with_first_samples

Value = TypeVar("Value")


@dataclass
class ExperimentContext:
    """All that an experiment needs besides its settings.

    Attributes:
        storage: where everything is recorded, and from where an interrupted experiment goes on.
        store: the same, open.
        seed: from which every random number is derived.
        executor: trains the networks of all searches and measurements.
        cluster: whether that is a cluster; only for the provenance.
        data_dir: the folder of the tasks' data files.
        on_progress: called with a label, how many have ended, and how many there are.
        runs: every training that was requested, as JSON-like data, failed ones too.
        data: the origin of each task's data, by name of the task.
    """

    storage: str | Path
    store: Store
    seed: int = 0
    executor: Executor = field(default_factory=local_executor)
    cluster: bool = False
    data_dir: str | Path | None = None
    on_progress: OnProgress = lambda label, done, total: None
    runs: list[dict[str, Any]] = field(default_factory=list)
    data: dict[str, str] = field(default_factory=dict)

    @cached_property
    def caching_executor(self) -> CachingExecutor:
        """Trains what is not recorded in the store."""
        return CachingExecutor(self.executor, self.store)

    def task(self, name: str, samples: int | None = None) -> Task:
        """A built-in task.

        Args:
            samples: how many of each split to keep, for a quick try; None for all.
        """
        task = load_task(name, data_dir=self.data_dir)
        self.data[name] = task.description or "as it comes with glo"
        return task if samples is None else with_first_samples(task, samples)

    def listing(self, procedure: Procedure[Value], runs: list[dict[str, Any]], **labels: Any) -> Procedure[Value]:
        """The procedure, but each of its trainings is appended to a list when the results are there.

        Args:
            procedure: run on `caching_executor`.
            labels: of each training in the list.
        """
        try:
            request = next(procedure)
            while True:
                results = yield request
                runs += self._published(request.batch, results, labels)
                request = procedure.send(results)
        except StopIteration as end:
            return end.value

    def _published(self, batch: Batch, results: Sequence[Result], labels: dict[str, Any]) -> list[dict[str, Any]]:
        commits = self.caching_executor.commits(batch)
        return [
            {**labels, "steps": batch.config.steps, **_run(training, seed, result), "commit": made_at}
            for training, seed, result, made_at in zip(batch.trainings, batch.seeds, results, commits, strict=True)
        ]


def _run(training: Training, seed: int, result: Result) -> dict[str, Any]:
    """One training as it is published."""
    asked = {"expression": str(training.expression), "learning_rate": training.learning_rate, "seed": seed}
    if isinstance(result, Failure):
        return {**asked, "status": result.status.value, "reason": result.reason}
    measured = {"validation": result.validation, "test": result.test}
    curve = {"curve": [list(point) for point in result.curve]} if result.curve else {}
    return {**asked, "status": "diverged" if result.diverged else "trained", **measured, **curve}


def provenance(context: ExperimentContext, *words: str) -> dict[str, Any]:
    """Where the numbers come from: command, commit, versions, hardware, data and time.

    The device is the one that networks were trained on; on a cluster, that of its workers.  The hardware is this machine.

    Args:
        words: of the command, without paths, which differ between users.
    """
    return {
        "command": shlex.join(words),
        "commit": commit(),
        "seed": context.seed,
        "device": context.executor.device,
        "cluster": context.cluster,
        "versions": versions(),
        "hardware": hardware(),
        "data": context.data,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
