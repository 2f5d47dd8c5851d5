"""Trainings that are made once: each is written to the store as it ends, so that an experiment goes on where it stopped."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from glo.execution import TrainsInParts, each_seed
from glo.records import TrainingConfig, digest
from glo.store import Store
from glo.study import versions
from glo.tasks import Task
from glo.training import Result, Training, TrainingResult

OnRun = Callable[[Training, int, Result, str | None], None]  # on_run(training, seed, result, commit it was made at)


class Recorded:
    """A trainer with a memory (see `Trains`).

    A result is known by all it depends on: the task's data and model, the training, the kind of device and the versions of
    the libraries.  Where it was made is not among them: what a cluster has trained is known on one machine with the same
    kind of device, and the other way round.  A diverged training is a result; one that crashed is not written, since it may
    do better the next time.

    Args:
        inner: what trains; here or on a cluster.
        task, config, device: those of `inner`; on a cluster the device is that of its workers.
        store: where results are, each written as it arrives.
        on_run: called for every training that was asked for, in order, whether it was known or not.
    """

    def __init__(
        self, inner: TrainsInParts, task: Task, config: TrainingConfig, device: str, store: Store, on_run: OnRun
    ) -> None:
        self._inner, self._store, self._on_run = inner, store, on_run
        settings = config.model_dump(mode="json", exclude={"memory_mb", "learning_rates"})
        self._commit = commit()
        self._context = [task.digest(), settings, device.partition(":")[0], versions()]

    def train(
        self,
        trainings: Sequence[Training],
        seed: int | Sequence[int],
        test: bool = False,
        on_done: Callable[[int], None] = lambda done: None,
    ) -> list[Result]:
        """As `Trainer.train`."""
        seeds = each_seed(seed, trainings)
        keys = [
            digest([*self._context, str(training.expression), training.learning_rate, each, test])
            for training, each in zip(trainings, seeds, strict=True)
        ]
        known = self._store.trainings(keys)
        results: dict[str, Result] = {key: _read(row["result"]) for key, row in known.items()}
        missing = {key: position for position, key in enumerate(keys) if key not in results}
        wanted, positions = list(missing), list(missing.values())
        on_done(sum(key in results for key in keys))
        for part in self._inner.parts([trainings[p] for p in positions], [seeds[p] for p in positions], test):
            ended = {wanted[position]: result for position, result in part.items()}
            rows = {key: asdict(result) for key, result in ended.items() if isinstance(result, TrainingResult)}
            self._store.record_trainings({key: {"result": row, "commit": self._commit} for key, row in rows.items()})
            results |= ended
            on_done(sum(key in results for key in keys))
        for training, each, key in zip(trainings, seeds, keys, strict=True):
            self._on_run(training, each, results[key], known[key]["commit"] if key in known else self._commit)
        return [results[key] for key in keys]


def _read(row: dict[str, Any]) -> TrainingResult:
    """A result from its JSON form, where tuples are lists."""
    curve = tuple((step, score) for step, score in row["curve"])
    histogram = None if row["histogram"] is None else tuple(row["histogram"])
    return TrainingResult(**{**row, "curve": curve, "histogram": histogram})


def commit() -> str | None:
    """The commit of glo's source, "+" if it has been changed since; None where it is not in a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    except OSError:  # there is no git
        return None
    return done.stdout.strip() or None
