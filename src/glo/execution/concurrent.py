"""Where the trainings of comparisons and experiments are made: one thing after the other here, side by side on a cluster."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from glo.compare.protocol import Report
from glo.execution import Here, MakeTrainer, TrainsInParts, Where, trainers
from glo.records import TrainingConfig
from glo.tasks import Task

Answer = TypeVar("Answer")
THREADS = 32  # comparisons side by side; each has many trainings, and only waits for them


@dataclass(frozen=True)
class Workplace:
    """Where trainings are made; by default in this process.

    Attributes:
        make_trainer: of this machine or of a cluster.
        pool: threads that wait for what a cluster trains; None where trainings are made here.
        turn: to be held while a trainer is made, which uses PyTorch's global generator and puts it back.
    """

    make_trainer: MakeTrainer = field(default_factory=Here)
    pool: ThreadPoolExecutor | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def device(self) -> str:
        """On which networks are trained: on a cluster, that of its workers."""
        return self.make_trainer.device

    @property
    def elsewhere(self) -> bool:
        """Whether trainings are made on a cluster."""
        return self.pool is not None

    def trainer(self, task: Task, training: TrainingConfig) -> TrainsInParts:
        """A trainer, from any thread."""
        with self.turn:
            return self.make_trainer(task, training)

    def map(self, work: Callable[..., Answer], *items: Iterable[Any]) -> list[Answer]:
        """As the built-in `map`; on a cluster all at once, so that they share its workers."""
        if self.pool is None:
            return list(map(work, *items))
        futures = [self.pool.submit(work, *each) for each in zip(*items, strict=True)]
        try:
            for ended in as_completed(futures):
                ended.result()  # an error of one is raised before the others have ended
        finally:
            for future in futures:
                future.cancel()  # what has not begun
        return [future.result() for future in futures]


@contextmanager
def workplace(where: Where = None, device: str = "auto") -> Iterator[Workplace]:
    """A place to work at, for as long as the context lasts; arguments and errors are those of `trainers`."""
    # The threads are waited for last: if the context ends early, those that wait for a cluster hear that it is closed.
    with ThreadPoolExecutor(THREADS) as pool, trainers(where, device) as make_trainer:
        yield Workplace(make_trainer, pool if make_trainer.abreast else None)


def shares(report: Report, count: int) -> list[Report]:
    """One report for each of several works: what is told of a phase is the sum over all of them, by one at a time."""
    known: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    turn = threading.Lock()

    def tell(number: int, phase: str, done: int, total: int) -> None:
        with turn:
            known[phase][number] = done, total
            report(phase, sum(d for d, _ in known[phase].values()), sum(t for _, t in known[phase].values()))

    return [partial(tell, number) for number in range(count)]
