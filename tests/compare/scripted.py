"""Comparisons for tests: of a small task, and of made-up scores in place of trainings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import nn

from glo.compare import ComparisonConfig, ComparisonRow
from glo.compare.config import LADDER
from glo.compare.families import Family
from glo.compare.procedures import Procedure, run_all
from glo.compare.protocol import choose, compare
from glo.compare.rows import Contender
from glo.execution import Batch, InlineExecutor, Key
from glo.expr import Expr, parse
from glo.records import Failure, Result, Status, Training, TrainingConfig, TrainingResult
from glo.tasks import Task
from small import CLASSES, certainty, points

Value = TypeVar("Value")
CRASHED = Failure(Status.CRASHED, "out of memory")
NAN_LOSS = parse("x*y*log(0 - 1)")
BRIEF = TrainingConfig(steps=12, batch_size=30)


def task_of(**changes: Any) -> Task:
    options: dict[str, Any] = {"test": points(2), "metric": certainty, "model": lambda: nn.Linear(4, CLASSES)}
    return Task("points", train=points(0), validation=points(1), **{**options, **changes})


def config_of(*rates: float, **options: Any) -> ComparisonConfig:
    return ComparisonConfig(**{"learning_rates": rates or LADDER, **options})


def scaled(expression: Expr, factor: float) -> Expr:
    return parse(f"{factor!r}*({expression})")


def answered(procedure: Procedure[Value], answer: Callable[[Batch], list[Result]]) -> Value:
    """The value that a procedure returns, if its requests are answered so."""
    try:
        request = next(procedure)
        while True:
            request = procedure.send(answer(request.batch))
    except StopIteration as end:
        return end.value


class Scripted:
    """Answers each training with a score, made from the training and the number of its seed; remembers the requests."""

    def __init__(self, score: Callable[[Training, int], float | Failure]) -> None:
        self._score = score
        self.seeds: list[int] = []
        self.asked: set[Training] = set()
        self.on_test: set[bool] = set()

    def run(self, procedure: Procedure[Value]) -> Value:
        return answered(procedure, self._answer)

    def choose(self, families: Mapping[str, Family], config: ComparisonConfig) -> dict[str, Contender]:
        return self.run(choose(task_of(), BRIEF, families, config))

    def _answer(self, batch: Batch) -> list[Result]:
        self.seeds += [seed for seed in dict.fromkeys(batch.seeds) if seed not in self.seeds]
        self.asked |= set(batch.trainings)
        self.on_test.add(batch.test)
        scores = [
            self._score(training, self.seeds.index(seed))
            for training, seed in zip(batch.trainings, batch.seeds, strict=True)
        ]
        return [
            score if isinstance(score, Failure) else TrainingResult(score, test=score if batch.test else None)
            for score in scores
        ]

    def rates(self, expression: Expr) -> list[float]:
        """The learning rates that a loss was trained at, in order."""
        return sorted(training.learning_rate for training in self.asked if training.expression == expression)


class Recording(InlineExecutor):
    """Trains, and remembers the seeds and whether the test metric was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, bool]] = []

    def submit(self, key: Key, batch: Batch) -> None:
        self.calls += [(seed, batch.test) for seed in dict.fromkeys(batch.seeds)]
        super().submit(key, batch)

    def run(self, procedure: Procedure[Value]) -> Value:
        (value,) = run_all(self, [procedure])
        return value


def compared(
    task: Task, families: Mapping[str, Family], config: ComparisonConfig, training: TrainingConfig = BRIEF
) -> dict[str, ComparisonRow]:
    """The rows of a comparison by name."""
    return {row.name: row for row in Recording().run(compare(task, training, families, config))}


def some(value: Value | None) -> Value:
    """A value that is there."""
    assert value is not None
    return value
