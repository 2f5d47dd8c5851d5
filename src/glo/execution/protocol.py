"""The executor: all there is to "run this somewhere".

Trainings are submitted in batches under a key, and results come back by key and position, in the order in which they end:

    executor.submit("generation 3", Batch(task, config, trainings, seeds))
    key, results = executor.next()          # {position: result}, some of the batch or all of it
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from glo.execution.trial import Reports
from glo.records import Result, Training, TrainingConfig
from glo.tasks import Problem, Task

Key = Hashable


@dataclass(frozen=True)
class Batch:
    """Trainings that are submitted together; an executor may train those of one seed as one population.

    Attributes:
        task: model and data; or an objective, which takes their place.
        config: how each network is trained; the ladder of learning rates is not used, each training has its own rate.
        trainings: what to train; at least one.
        seeds: one for each training: of its initial weights, batches and dropout.
        test: whether to measure on the test split too.
        earlier: what earlier candidates have reported to an objective, or had at the rungs, by step.

    Raises:
        ValueError: if there is no training, or not one seed for each.
        TaskError: if the test split is needed and the task has none.
    """

    task: Problem
    config: TrainingConfig
    trainings: Sequence[Training]
    seeds: Sequence[int]
    test: bool = False
    earlier: Reports | None = None

    def __post_init__(self) -> None:
        if not self.trainings or len(self.trainings) != len(self.seeds):
            raise ValueError(f"a batch needs a training and one seed for each, not {len(self.trainings)}, {len(self.seeds)}")
        if isinstance(self.task, Task) and (self.test or (self.config.curve_every and self.config.curve_on == "test")):
            self.task.split("test")

    def __len__(self) -> int:
        return len(self.trainings)


class Executor(Protocol):
    """Trains networks somewhere: in this process, in forked processes, on a cluster.

    Not thread-safe: one thread submits and waits.  The result of a training depends on its batch's task and configuration
    and on its own loss, rate and seed; not on the executor, nor on what else is trained at the same time.
    `glo.testing.ExecutorContract` tests an implementation.
    """

    @property
    def slots(self) -> int:
        """How many batches are worth having under way at once; on a cluster it changes as workers come and go."""
        ...

    @property
    def device(self) -> str:
        """The device that networks are trained on, here or on a cluster, such as "cpu" or "cuda"."""
        ...

    def submit(self, key: Key, batch: Batch) -> None:
        """Start a batch; never waits, however many batches are under way.

        Raises:
            ValueError: if a batch of this key is under way.
        """
        ...

    def next(self) -> tuple[Key, dict[int, Result]]:
        """Wait for results: the key of their batch, and the results by their position in it.

        Each position is returned once; a batch has ended when all have been.  A training that fails is a `Failure`.

        Raises:
            RuntimeError: if nothing is under way.
            ClusterError: if the cluster is lost.
        """
        ...

    def close(self) -> None:
        """Give up what is under way; the executor may be used again."""
        ...


def train(
    executor: Executor, batch: Batch, on_done: Callable[[int], None] = lambda done: None, key: Key = "train"
) -> list[Result]:
    """Submit one batch and wait for all its results, in order.

    Args:
        executor: with nothing under way.
        on_done: called with the number of trainings that have ended, whenever some have.
    """
    executor.submit(key, batch)
    results: dict[int, Result] = {}
    while len(results) < len(batch):
        _, some = executor.next()
        results |= some
        on_done(len(results))
    return in_order(results)


def in_order(results: Mapping[int, Result]) -> list[Result]:
    """Results by position as a list."""
    return [results[position] for position in range(len(results))]
