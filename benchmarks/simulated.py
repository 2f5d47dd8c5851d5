"""Workers that only a clock knows: what they train is drawn, and the clock jumps over the time that it takes.

A simulated training lasts 60 s in the median, log-normally distributed (sigma 0.8: one in a hundred takes 6 times as long),
and 2 % of them die half way and are made again, once; what dies again has crashed.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from glo.execution import TrainsInFlow
from glo.records import TrainingConfig, digest, generator
from glo.tasks import Task
from glo.training import Result, Training, TrainingResult

MEDIAN, SIGMA, FAILURES = 60.0, 0.8, 0.02


@dataclass
class Pool:
    """Simulated workers, with a clock that jumps over the time in which only they work."""

    workers: int
    started: float = field(default_factory=time.perf_counter)
    jumped: float = 0.0
    trainings: list[tuple[float, float]] = field(default_factory=list)  # when each began, and how long it took
    evaluations: int = 0

    def now(self) -> float:
        return time.perf_counter() - self.started + self.jumped

    def driver(self) -> float:
        """Seconds in which the driver computed; the workers computed nothing."""
        return time.perf_counter() - self.started

    def busy(self, until: float) -> float:
        """How much of the time until then the workers were busy, of 1."""
        return sum(min(seconds, max(0.0, until - began)) for began, seconds in self.trainings) / (self.workers * until)

    def wait(self, until: float) -> None:
        self.jumped += max(0.0, until - self.now())


@dataclass(frozen=True)
class Everywhere:
    """Makes trainers for a pool: a `glo.training.MakeTrainer`."""

    pool: Pool
    device: str = "cpu"
    abreast: bool = False

    def __call__(self, task: Task, config: TrainingConfig, /) -> Simulated:  # noqa: ARG002 - whatever is trained
        return Simulated(self.pool)


class Simulated(TrainsInFlow):
    """Trains nothing, on so many workers: a `glo.training.TrainsInFlow`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def parts(
        self,
        trainings: Sequence[Training],
        seeds: Sequence[int],
        test: bool = False,  # noqa: ARG002 - of the protocol
    ) -> Iterator[Mapping[int, Result]]:
        flow = self.flow()
        for position, (training, seed) in enumerate(zip(trainings, seeds, strict=True)):
            flow.begin(position, [training], [seed])
        for _ in trainings:
            position, (result,) = flow.next()
            yield {position: result}

    def flow(self, slots: int | None = None) -> SimulatedFlow:
        return SimulatedFlow(self._pool, slots or self._pool.workers)


class SimulatedFlow:
    """What is begun is given to a worker as soon as one is free."""

    def __init__(self, pool: Pool, slots: int) -> None:
        self._pool, self.slots = pool, slots
        self._waiting: deque[tuple[int, list[Result], float]] = deque()
        self._running: list[tuple[float, int, list[Result]]] = []

    def begin(self, number: int, trainings: Sequence[Training], seeds: Sequence[int]) -> None:
        self._waiting.append((number, *_drawn(trainings, seeds)))
        self._start(self._pool.now())

    def next(self) -> tuple[int, list[Result]]:
        end, number, results = heapq.heappop(self._running)
        self._pool.wait(end)
        self._start(end)  # dask keeps what waits at hand: a worker does not wait for the driver if there is more
        self._pool.evaluations += 1
        return number, results

    def close(self) -> None:
        self._waiting.clear()

    def _start(self, when: float) -> None:
        while self._waiting and len(self._running) < self._pool.workers:
            number, results, seconds = self._waiting.popleft()
            self._pool.trainings.append((when, seconds))
            heapq.heappush(self._running, (when + seconds, number, results))


def _drawn(trainings: Sequence[Training], seeds: Sequence[int]) -> tuple[list[Result], float]:
    """What comes of a candidate, and how long it takes; the same whenever it is trained."""
    rng = generator(seeds[0], digest(str(trainings[0].expression)))
    seconds = MEDIAN * rng.lognormal(0, SIGMA)
    died = [bool(rng.random() < FAILURES) for _ in range(2)]
    lost = seconds / 2 * (died[0] + (died[0] and died[1]))
    if all(died):
        return ["its process was killed by SIGKILL"] * len(trainings), lost
    return [TrainingResult(float(rng.uniform(0.1, 0.95)))] * len(trainings), seconds + lost
