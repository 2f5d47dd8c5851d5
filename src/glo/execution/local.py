"""Executors of this machine: in this process, or in forked ones with one core each."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from functools import partial

import torch

from glo.errors import ConfigError
from glo.execution.children import Children, Died, Overdue, can_fork, import_before_forking, spare_processes
from glo.execution.parts import Part, parts_of
from glo.execution.protocol import Batch, Executor, Key
from glo.execution.work import train_part
from glo.records import Result, TrainingConfig
from glo.tasks import Objective
from glo.training.memory import budget

TIME_LIMIT = 3600.0  # seconds that a training may take unless another limit is given, here as on a cluster


class InlineExecutor:
    """Trains in this process, one part after the other, in the order of submission.

    An exception of the user's code is a `Failure`; a training that hangs or ends its process takes this one with it.

    Args:
        device: where.
    """

    slots = 1

    def __init__(self, device: str | torch.device = "cpu") -> None:
        self.device = str(device)
        self._memory = _Memory(device, processes=1)
        self._waiting: deque[Part] = deque()
        self._results = _Missing()

    def submit(self, key: Key, batch: Batch) -> None:
        self._results.expect(key, batch)
        self._waiting.extend(parts_of(key, self._memory.limited(batch), self.device, slots=1))

    def next(self) -> tuple[Key, dict[int, Result]]:
        if not self._waiting:
            raise RuntimeError("nothing is under way")
        part = self._waiting.popleft()
        return part.key, self._results.arrived(part.key, part.by_position(_train(part, self.device)))

    def close(self) -> None:
        self._waiting.clear()
        self._results.clear()


class ForkingExecutor:
    """Trains in forked child processes of one thread each: a small network uses one core well and two badly.

    The result of a network does not depend on the networks in the same part (docs/decisions/0011-processes.md).  If a child
    dies, or takes longer than the time limit, its networks are trained again one by one; a network whose child fails again
    is a `Failure`.

    Args:
        processes: how many at once.
        time_limit: seconds that one training, or a population that is trained together, may take before it is killed.

    Raises:
        ConfigError: for less than one process, or no time.
    """

    device = "cpu"

    def __init__(self, processes: int, time_limit: float = TIME_LIMIT) -> None:
        if processes < 1:
            raise ConfigError(f"an executor needs at least 1 process, not {processes}")
        check_time_limit(time_limit)
        self.slots = processes
        self._memory = _Memory("cpu", processes)
        self._waiting: deque[Part] = deque()
        self._running: dict[int, Part] = {}
        self._started = 0
        self._children = Children(time_limit)
        self._results = _Missing()

    def submit(self, key: Key, batch: Batch) -> None:
        self._results.expect(key, batch)
        free = max(1, self.slots - len(self._running) - len(self._waiting))
        parts = parts_of(key, self._memory.limited(batch), self.device, free)
        if any(not part.together or len(part.positions) == 1 for part in parts):
            import_before_forking()
        self._waiting.extend(parts)
        self._start()

    def next(self) -> tuple[Key, dict[int, Result]]:
        while self._running:
            number, found = self._children.next()
            part = self._running.pop(number)
            lost = isinstance(found, (Died, Overdue))
            if lost and len(part.positions) > 1:
                self._waiting.extendleft(reversed(part.one_by_one()))
            self._start()
            if not lost:
                return part.key, self._results.arrived(part.key, part.by_position(found))
            if len(part.positions) == 1:
                return part.key, self._results.arrived(part.key, part.by_position([found.failure()]))
        raise RuntimeError("nothing is under way")

    def close(self) -> None:
        self._waiting.clear()
        self._running.clear()
        self._children.kill()
        self._results.clear()

    def _start(self) -> None:
        while self._waiting and len(self._running) < self.slots:
            part = self._waiting.popleft()
            self._running[self._started] = part
            work = partial(_train, part, self.device)
            self._children.start(self._started, work, may_fork=isinstance(part.batch.task, Objective))
            self._started += 1


def local_executor(
    device: str | torch.device = "cpu", processes: int | None = None, time_limit: float = TIME_LIMIT
) -> Executor:
    """The executor that suits a device of this machine.

    Trainings run in child processes where forking is safe, since one that hangs or dies then costs nothing else.

    Args:
        processes: how many networks or populations to train at once; by default as many as PyTorch may use threads
            (`torch.set_num_threads`) on a CPU where forking is safe, else 1.
        time_limit: as for `ForkingExecutor`; without child processes there is none.
    """
    if not can_fork(device) and processes in (None, 1):
        return InlineExecutor(device)
    return ForkingExecutor(spare_processes(device) if processes is None else processes, time_limit)


def check_time_limit(seconds: float) -> None:
    """Check a time limit.

    Raises:
        ConfigError: if it is not above 0.
    """
    if not seconds > 0:
        raise ConfigError(f"a time limit is above 0 seconds, not {seconds:g}")


def _train(part: Part, device: str) -> list[Result]:
    batch = part.batch
    return train_part(batch.task, part.trainings, batch.config, part.seed, device, batch.test, part.together, batch.earlier)


class _Memory:
    """Limits each process to an equal share of the memory.

    Free memory is measured at the first batch; later measurements would miss the memory of trainings under way.
    """

    def __init__(self, device: str | torch.device, processes: int) -> None:
        self._device, self._processes = device, processes
        self._free: int | None = None

    def limited(self, batch: Batch) -> Batch:
        """The batch with a limit of memory for each process."""
        if self._free is None:
            self._free = budget(TrainingConfig(), self._device)
        total = self._free if batch.config.memory_mb is None else batch.config.memory_mb * 2**20
        share = max(1, total // self._processes // 2**20)
        config = batch.config.model_copy(update={"memory_mb": share})
        return replace(batch, config=config)


class _Missing:
    """How many results of each batch are still missing."""

    def __init__(self) -> None:
        self._counts: dict[Key, int] = {}

    def expect(self, key: Key, batch: Batch) -> None:
        if key in self._counts:
            raise ValueError(f"a batch with the key {key!r} is under way")
        self._counts[key] = len(batch)

    def arrived(self, key: Key, results: dict[int, Result]) -> dict[int, Result]:
        self._counts[key] -= len(results)
        if self._counts[key] == 0:
            del self._counts[key]
        return results

    def clear(self) -> None:
        self._counts.clear()
