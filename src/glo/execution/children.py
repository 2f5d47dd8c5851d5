"""Work in child processes, one core each: a training of a small network fills one core well and two badly."""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch

from glo.training.steps import TimedOut

Part = TypeVar("Part")
Result = TypeVar("Result")
PR_SET_PDEATHSIG = 1  # prctl(2)
# mallopt(3).  A child gives nothing back before it ends: each step would ask for the same pages again.  Dask's workers are
# told to give back what is above 64 KiB, which made trainings in their children take nearly twice as long.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT, MAPPED = 2**30, 2**25  # bytes; no block smaller than 32 MiB, glibc's limit, is mapped by itself
# A child that another thread forks meanwhile would keep the pipe of this one open.  Each fork also reaps the children
# that have ended, of all threads: between its reaping and its noting the status, an exit status reads as unknown.
ONE_FORK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Died:
    """What is left of a child that ended without a result: its exit status, negative for a signal."""

    status: int | None

    def __str__(self) -> str:
        if self.status is not None and self.status < 0:
            return f"its process was killed by {signal.Signals(-self.status).name}"
        return f"its process exited with {self.status}"


@dataclass(frozen=True, slots=True)
class Overdue:
    """What is left of a child that was killed because it took longer than it may, in seconds."""

    limit: float

    def __str__(self) -> str:
        return f"not ended after {self.limit:g} s"


@dataclass(frozen=True, slots=True)
class _Child:
    """A child at work: under which number, and until when it may."""

    number: int
    process: BaseProcess
    deadline: float


def in_words(lost: Died | Overdue) -> str:
    """Why a training has no result: its process is gone."""
    return TimedOut(lost) if isinstance(lost, Overdue) else str(lost)


def spare_processes(device: torch.device | str) -> int:
    """How many processes may train at once: as many as PyTorch may use threads, where forking is safe; else 1.

    A forked child cannot use CUDA, nor autograd once a GPU was seen, and on systems other than Linux the libraries
    below PyTorch do not survive a fork.
    """
    return torch.get_num_threads() if can_fork(device) else 1


def can_fork(device: torch.device | str) -> bool:
    """Whether forking is safe, and allowed: a child has no children of its own."""
    forks = sys.platform == "linux" and not multiprocessing.current_process().daemon and not torch.cuda.is_available()
    return forks and torch.device(device).type == "cpu"


class Children:
    """Forked children at work, each with one thread.  They are killed when this process dies.

    Children are forked, so that work need not be picklable; a result must be.

    Args:
        limit: seconds after which a child is killed.
    """

    def __init__(self, limit: float = math.inf) -> None:
        self._context = multiprocessing.get_context("fork")
        self._limit = limit
        self._running: dict[Connection, _Child] = {}

    def __len__(self) -> int:
        return len(self._running)

    def start(self, number: int, work: Callable[[], Any]) -> None:
        """`work()` in a new child."""
        with ONE_FORK:
            ours, theirs = self._context.Pipe(duplex=False)
            process = self._context.Process(target=_work, args=(theirs, work), daemon=True)
            process.start()
            theirs.close()
        self._running[ours] = _Child(number, process, time.monotonic() + self._limit)

    def next(self) -> tuple[int, Any]:
        """Wait for a child that ends: its number and result, or `Died`, or `Overdue`.

        An exception of its work is raised here.
        """
        if not self._running:
            raise RuntimeError("no child is at work: nothing would ever end")
        connection, child = min(self._running.items(), key=lambda item: item[1].deadline)
        patience = None if self._limit == math.inf else max(0.0, child.deadline - time.monotonic())
        for ready in wait(list(self._running), patience):
            assert isinstance(ready, Connection)  # noqa: S101 - nothing else was waited for
            child = self._running.pop(ready)
            return child.number, _received(ready, child.process)
        del self._running[connection]
        _kill(connection, child.process)
        return child.number, Overdue(self._limit)

    def kill(self) -> None:
        """End those that are still at work."""
        for connection, child in self._running.items():
            _kill(connection, child.process)
        self._running.clear()


def import_before_forking() -> None:
    """The first optimizer of a process imports for most of a second: better here than in each child."""
    torch.optim.SGD([torch.zeros(1)], 0.1)


def in_processes(
    work: Callable[[Part], Result], parts: Sequence[Part], processes: int, limit: float = math.inf
) -> Iterator[tuple[int, Result | Died | Overdue]]:
    """`work(part)` for each part, each in a forked child with one thread, at most `processes` at once.

    Children are forked, so that work and parts need not be picklable; a result must be.  If the caller stops early, or is
    killed, so are the children.  An exception of `work` is raised here.

    Args:
        limit: seconds after which a child is killed.

    Yields:
        (position of the part, result), as they are done.
    """
    waiting, children = deque(enumerate(parts)), Children(limit)
    try:
        while waiting or children:
            while waiting and len(children) < processes:
                position, part = waiting.popleft()
                children.start(position, partial(work, part))
            yield children.next()
    finally:
        children.kill()


def _kill(connection: Connection, process: BaseProcess) -> None:
    process.kill()
    process.join()
    connection.close()


def _received(connection: Connection, process: BaseProcess) -> Any:
    try:
        result, error = connection.recv()
    except EOFError:
        process.join()
        with ONE_FORK:
            return Died(process.exitcode)
    finally:
        connection.close()
    process.join()
    if error is not None:
        raise error
    return result


def _work(connection: Connection, work: Callable[[], Any]) -> None:
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if (parent := multiprocessing.parent_process()) is None or os.getppid() != parent.pid:
        return  # it was killed before it was listened for
    libc.mallopt(M_TRIM_THRESHOLD, KEPT)
    libc.mallopt(M_MMAP_THRESHOLD, MAPPED)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it as well, and kills
    torch.set_num_threads(1)
    try:
        answer = work(), None
    except Exception as error:  # noqa: BLE001 - it is raised again in the parent
        answer = None, error
    connection.send(answer)
