"""Simulated workers: the results and durations of trainings are drawn, and a clock jumps over the time that they take.

A simulated training takes 60 s in the median, log-normally distributed (sigma 0.8: one in a hundred takes 6 times as long).
Of all trainings 2 % die half way and are tried again, once; a training that dies twice has crashed.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from glo.execution import Batch, Key
from glo.records import Failure, Result, Status, Training, TrainingResult, digest, generator

MEDIAN, SIGMA, FAILURES = 60.0, 0.8, 0.02


@dataclass
class Pool:
    """Simulated workers, and a clock that jumps over the time in which only they work.

    Attributes:
        jumped: seconds that the clock has jumped over.
        trainings: start and duration of each training.
        evaluations: number of trainings that have ended.
    """

    workers: int
    started: float = field(default_factory=time.perf_counter)
    jumped: float = 0.0
    trainings: list[tuple[float, float]] = field(default_factory=list)
    evaluations: int = 0

    def now(self) -> float:
        return time.perf_counter() - self.started + self.jumped

    def driver(self) -> float:
        """Seconds in which the driver computed; the workers computed nothing."""
        return time.perf_counter() - self.started

    def busy(self, until: float) -> float:
        """The fraction of the time until then in which the workers were busy."""
        return sum(min(seconds, max(0.0, until - start)) for start, seconds in self.trainings) / (self.workers * until)

    def wait(self, until: float) -> None:
        self.jumped += max(0.0, until - self.now())


class SimulatedExecutor:
    """An executor that trains nothing: each training occupies a worker of the pool for as long as it is drawn to take."""

    device = "cpu"

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: deque[tuple[Key, int, Result, float]] = deque()  # key, position, result and seconds
        self._running: list[tuple[float, int, Key, int, Result]] = []  # end, number, key, position and result
        self._missing: Counter[Key] = Counter()
        self._started = 0

    @property
    def slots(self) -> int:
        return self._pool.workers

    def submit(self, key: Key, batch: Batch) -> None:
        if key in self._missing:
            raise ValueError(f"a batch with the key {key!r} is under way")
        self._missing[key] = len(batch)
        for position, (training, seed) in enumerate(zip(batch.trainings, batch.seeds, strict=True)):
            self._waiting.append((key, position, *_drawn(training, seed)))
        self._start(self._pool.now())

    def next(self) -> tuple[Key, dict[int, Result]]:
        if not self._running:
            raise RuntimeError("nothing is under way")
        end, _, key, position, result = heapq.heappop(self._running)
        self._pool.wait(end)
        self._start(end)  # dask queues tasks at its workers: a worker does not wait for the driver if there are more
        self._pool.evaluations += 1
        self._missing[key] -= 1
        if not self._missing[key]:
            del self._missing[key]
        return key, {position: result}

    def close(self) -> None:
        self._waiting.clear()
        self._running.clear()
        self._missing.clear()

    def _start(self, when: float) -> None:
        while self._waiting and len(self._running) < self._pool.workers:
            key, position, result, seconds = self._waiting.popleft()
            self._pool.trainings.append((when, seconds))
            heapq.heappush(self._running, (when + seconds, self._started, key, position, result))
            self._started += 1


def _drawn(training: Training, seed: int) -> tuple[Result, float]:
    """The result of a training and the seconds that it takes; the same whenever it is trained."""
    rng = generator(seed, digest(str(training.expression)))
    seconds = MEDIAN * rng.lognormal(0, SIGMA)
    died = [bool(rng.random() < FAILURES) for _ in range(2)]
    lost = seconds / 2 * (died[0] + (died[0] and died[1]))
    if all(died):
        return Failure(Status.CRASHED, "its process was killed by SIGKILL"), lost
    return TrainingResult(float(rng.uniform(0.1, 0.95))), seconds + lost
