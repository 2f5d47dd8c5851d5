"""A search in a process of its own, under whatever version of glo is on the path: what it has by when.

    python -P timed_search.py TASK.npz SEED OUT.json

It uses only what the product had before and after the default changed (docs/decisions/0021-unit-gradient.md), so that one
script times both.  A line is printed for each generation.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import glo
from glo.execution import Batch, Executor, local_executor
from glo.records import PhaseKind, Status, TrainingConfig, TrainingResult
from glo.tasks.models import mlp


class CountingExecutor:
    """An executor that counts the steps of all networks."""

    def __init__(self, executor: Executor) -> None:
        self.steps = 0
        self._executor = executor
        self._batches: dict[Any, Batch] = {}

    @property
    def slots(self) -> int:
        return self._executor.slots

    @property
    def device(self) -> str:
        return self._executor.device

    def submit(self, key: Any, batch: Batch) -> None:
        self._batches[key] = batch
        self._executor.submit(key, batch)

    def next(self) -> tuple[Any, dict[int, Any]]:
        key, results = self._executor.next()
        self.steps += sum(steps_of(result, self._batches[key]) for result in results.values())
        return key, results

    def close(self) -> None:
        self._batches.clear()
        self._executor.close()


def checkpoints_of(batch: Batch) -> list[int]:
    """The steps at which a training of a batch may be given up."""
    config: TrainingConfig = batch.config
    early = [config.early_stop] if config.early_stop and getattr(batch.task, "metric", "") == "accuracy" else []
    fractions = {*early, *(fraction for fraction, _ in getattr(config, "rungs", ()))}
    return sorted(max(1, round(fraction * config.steps)) for fraction in fractions)


def steps_of(result: Any, batch: Batch) -> int:
    """The steps of one training.

    One that diverged counts to its next checkpoint, where a diverged network is given up; at the end of a training without
    rungs that is not known, and counts too few steps.
    """
    steps = batch.config.steps
    if not isinstance(result, TrainingResult) or not (result.stopped or result.diverged):
        return steps
    done = max((step for step, _ in result.curve), default=0)
    if result.stopped and done and "at chance" not in result.reason:  # at a rung, which the curve has
        return done
    return min((step for step in checkpoints_of(batch) if step > done), default=steps)


class Following(glo.Callback):
    """Notes the best of the search after each generation."""

    def __init__(self, executor: CountingExecutor, sign: int) -> None:
        self.points: list[dict[str, Any]] = []
        self.started = time.perf_counter()
        self._executor, self._sign = executor, sign
        self._best: tuple[float, str] | None = None

    def on_generation(self, study: glo.Study, generation: Any) -> None:  # noqa: ARG002 - a hook
        if generation.phase is PhaseKind.GENETIC:
            for outcome in generation.outcomes:
                fitness = self._sign * outcome.fitness
                if outcome.status is Status.TRAINED and (self._best is None or fitness > self._best[0]):
                    self._best = fitness, outcome.expression
        if self._best is not None:
            self.note(self._best[1])
        print(f"{generation.phase.value}: generation {generation.generation + 1}", flush=True)

    def note(self, expression: str) -> None:
        seconds = time.perf_counter() - self.started
        self.points.append({"seconds": seconds, "steps": self._executor.steps, "expression": expression})


def main(task_file: str, seed: str, out: str) -> None:
    arrays: Mapping[str, Any] = np.load(task_file)
    options = json.loads(str(arrays["options"]))
    train, validation, test = (
        (arrays[f"{name}_inputs"], arrays[f"{name}_targets"]) for name in ("train", "validation", "test")
    )
    network = options["network"]
    name, metric, training = options["name"], options["metric"], options["training"]
    task = glo.Task(name, lambda: mlp(*network), train, validation, test, metric=metric, training=training)
    executor = CountingExecutor(local_executor())
    following = Following(executor, task.direction.sign)
    with tempfile.TemporaryDirectory() as folder:
        study = glo.Study(
            task, name="timed", seed=int(seed), storage=f"{folder}/glo.db", cluster=executor, callbacks=[following]
        )
        following.started = time.perf_counter()
        result = study.search(**options["search"])
    following.note(result.best.expression)
    found = {"source": str(Path(glo.__file__).parent), "fitness": result.best.fitness, "points": following.points}
    Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
