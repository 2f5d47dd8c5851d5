"""Time to quality: how soon the default finds a loss as good as that of the default before unit gradient and racing."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.evidence.judged import Found
from benchmarks.evidence.problems import Size
from glo.compare import compare_losses
from glo.compare.judging import JUDGING
from glo.compare.rows import ComparisonRow
from glo.execution import Batch, Executor, Key, open_executor
from glo.records import PhaseKind, Result, Status, TrainingConfig, TrainingResult
from glo.store import GenerationRecord
from glo.study import Callback, Study
from glo.tasks import Task, load_task, with_long_tail

# The default preset before: six raw learning rates, each training whole, and no confirmation.
OLD = (
    "training.unit_gradient=false", "training.learning_rates=[0.03, 0.1, 0.3, 1.0, 3.0, 10.0]", "training.rungs=[]",
    "confirmation.candidates=0",
)  # fmt: skip
SEARCHES: Mapping[str, tuple[str, ...]] = {"old": OLD, "new": ()}
SHARE = re.compile(r"after (\d+)% of the steps")


def tasks() -> dict[str, Task]:
    """The tasks, by name."""
    tailed = replace(with_long_tail(load_task("digits"), 10), metric="balanced_accuracy")
    return {"noisy-digits": load_task("noisy-digits"), "digits": load_task("digits"), "digits-long-tail": tailed}


class Counting:
    """An executor that counts the steps of the networks it trains; else it is the one it is given."""

    def __init__(self, executor: Executor) -> None:
        self._executor, self.steps = executor, 0
        self._batches: dict[Key, Batch] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def submit(self, key: Key, batch: Batch) -> None:
        self._batches[key] = batch
        self._executor.submit(key, batch)

    def next(self) -> tuple[Key, dict[int, Result]]:
        key, results = self._executor.next()
        steps = self._batches[key].config.steps
        self.steps += sum(round(steps * _done(result)) for result in results.values())
        return key, results


def _done(result: Result) -> float:
    """The share of its steps that a training took."""
    if isinstance(result, TrainingResult) and result.stopped and (found := SHARE.search(result.reason)):
        return int(found[1]) / 100
    return 1.0


@dataclass
class Trace(Callback):
    """The best loss so far after each generation, with the seconds and steps until then."""

    counting: Counting
    started: float = field(default_factory=time.perf_counter)
    points: list[Found] = field(default_factory=list[Found])
    best: float = float("-inf")
    expression: str = ""

    def on_generation(self, study: Study, generation: GenerationRecord) -> None:  # noqa: ARG002 - a hook
        for outcome in generation.outcomes:
            searched = generation.phase is PhaseKind.GENETIC
            if searched and outcome.status is Status.TRAINED and outcome.fitness > self.best:
                self.best, self.expression = outcome.fitness, outcome.expression
        point = {"seconds": time.perf_counter() - self.started, "steps": self.counting.steps, "expression": self.expression}
        self.points.append(point)


def time_to_quality(name: str, size: Size, storage: Path, seed: int) -> Found:
    """Both searches, one after the other, and the test accuracy of each loss that was the best for a while."""
    task = tasks()[name]
    traces: dict[str, list[Found]] = {}
    order = ("old", "new") if seed % 2 == 0 else ("new", "old")
    for which in order:
        with open_executor(None) as executor:
            traces[which] = _traced(which, task, Counting(executor), size, storage / f"{name}-{which}-{seed}.db", seed)
    expressions = list(dict.fromkeys(point["expression"] for points in traces.values() for point in points))
    training = TrainingConfig.model_validate({**task.training, "unit_gradient": True})
    config = JUDGING.model_copy(update={"baselines": "standard", "smoothings": (), "repeats": size.repeats, "seed": seed})
    rows = compare_losses(task, [text for text in expressions if text], config, training=training).rows
    test = {row.expression: _on_test(row) for row in rows}
    return {"task": name, "seed": seed, "metric": task.metric_name, "test": test, "traces": traces, **_reached(traces, test)}


def _traced(which: str, task: Task, counting: Counting, size: Size, storage: Path, seed: int) -> list[Found]:
    """The points of one search; its last point is that of its end, with its confirmation."""
    storage.unlink(missing_ok=True)  # a search that goes on after an interruption would have no times
    trace = Trace(counting)
    study = Study(
        task,
        name=which,
        storage=storage,
        seed=seed,
        settings=SEARCHES[which],
        callbacks=[trace],
        cluster=counting,  # pyright: ignore[reportArgumentType]
    )
    result = study.search(generations=size.generations, population=size.population)
    end = {"seconds": time.perf_counter() - trace.started, "steps": counting.steps, "expression": result.best.expression}
    return [*trace.points[: size.generations], end]


def _on_test(row: ComparisonRow) -> Found:
    return {"mean": row.mean, "error": row.sd / row.n**0.5, "n": row.n, "learning_rate": row.learning_rate}


def _reached(traces: Mapping[str, list[Found]], test: Mapping[str, Found]) -> Found:
    """When each search first had a loss as good as the old one's last, within one standard error of that."""
    last = test[traces["old"][-1]["expression"]]
    bar = last["mean"] - last["error"]

    def first(points: list[Found]) -> Found | None:
        good = (point for point in points if point["expression"] and test[point["expression"]]["mean"] >= bar)
        return next(({key: point[key] for key in ("seconds", "steps")} for point in good), None)

    return {"bar": bar, "reached": {which: first(points) for which, points in traces.items()}}
