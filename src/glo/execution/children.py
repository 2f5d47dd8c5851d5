"""Work in forked child processes of one thread each: the training of a small network uses one core well and two badly."""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch

from glo.errors import described
from glo.records import Failure, Status

Part = TypeVar("Part")
Result = TypeVar("Result")
PR_SET_PDEATHSIG = 1  # prctl(2)
# mallopt(3).  A child keeps its freed memory until it ends, else each step would request the same pages again.  Dask sets
# the trim threshold of its workers to 64 KiB, which made trainings in their children take nearly twice as long.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT, MAPPED = 2**30, 2**25  # bytes; only blocks of 32 MiB, the most that glibc allows, and more are mapped separately
# Held while a pipe is open for a fork: a child that another thread forks at that time would inherit the pipe and keep it
# open.  A fork also reaps the ended children of all threads; until it has stored an exit status, the status reads as None.
FORK_LOCK = threading.Lock()
# Terminals and service managers send these to a whole group of processes.  The parent ends its children itself; a child that
# died first would count as a crashed training.
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Died:
    """A child ended without a result.

    Attributes:
        status: its exit status; negative for a signal.
    """

    status: int | None

    def failure(self) -> Failure:
        """The result of a training whose process died."""
        return Failure(Status.CRASHED, str(self))

    def __str__(self) -> str:
        if self.status is not None and self.status < 0:
            return f"its process was killed by {signal.Signals(-self.status).name}"
        return f"its process exited with {self.status}"


@dataclass(frozen=True, slots=True)
class Overdue:
    """A child was killed because it took longer than its limit in seconds."""

    limit: float

    def failure(self) -> Failure:
        """The result of a training that took too long."""
        return Failure(Status.TIMED_OUT, str(self))

    def __str__(self) -> str:
        return f"not ended after {self.limit:g} s"


@dataclass(frozen=True, slots=True)
class _Child:
    """A running child, its number, and the time at which it is killed."""

    number: int
    process: BaseProcess
    deadline: float


def spare_processes(device: torch.device | str) -> int:
    """How many processes may train at once: PyTorch's number of threads if forking is safe, else 1.

    A forked child cannot use CUDA, nor autograd if its parent has seen a GPU; on systems other than Linux the libraries
    below PyTorch do not survive a fork.
    """
    return torch.get_num_threads() if can_fork(device) else 1


def can_fork(device: torch.device | str) -> bool:
    """Whether forking is safe and allowed: a daemonic process, as a child is, may not have children."""
    forks = sys.platform == "linux" and not multiprocessing.current_process().daemon and not torch.cuda.is_available()
    return forks and torch.device(device).type == "cpu"


class Children:
    """Forked child processes of one thread each.  They are killed when this process dies.

    Since children are forked, their work need not be picklable; its result must be.

    Args:
        limit: seconds after which a child is killed.
    """

    def __init__(self, limit: float = math.inf) -> None:
        self._context = multiprocessing.get_context("fork")
        self._limit = limit
        self._running: dict[Connection, _Child] = {}

    def __len__(self) -> int:
        return len(self._running)

    def start(self, number: int, work: Callable[[], Any], may_fork: bool = False) -> None:
        """Call `work()` in a new child.

        Args:
            number: `next` returns it with the result.
            may_fork: whether the work may have child processes of its own, such as the workers of a `DataLoader`.
        """
        with FORK_LOCK:
            ours, theirs = self._context.Pipe(duplex=False)
            process = self._context.Process(target=_work, args=(theirs, work), daemon=not may_fork)
            process.start()
            theirs.close()
        self._running[ours] = _Child(number, process, time.monotonic() + self._limit)

    def next(self) -> tuple[int, Any]:
        """Wait for the next child to end and return its number and its result, `Died` or `Overdue`.

        An exception of its work is raised here.
        """
        if not self._running:
            raise RuntimeError("no child is running")
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
        """Kill all children that are still running."""
        for connection, child in self._running.items():
            _kill(connection, child.process)
        self._running.clear()


def import_before_forking() -> None:
    """Create an optimizer: the first of a process imports modules for most of a second, here instead of in each child."""
    torch.optim.SGD([torch.zeros(1)], 0.1)


def in_processes(
    work: Callable[[Part], Result], parts: Sequence[Part], processes: int, limit: float = math.inf
) -> Iterator[tuple[int, Result | Died | Overdue]]:
    """Call `work(part)` for each part in a forked child of one thread, with at most `processes` children at once.

    Since children are forked, work and parts need not be picklable; a result must be.  If the caller stops early or is
    killed, so are the children.  An exception of `work` is raised here.

    Args:
        limit: seconds after which a child is killed.

    Yields:
        (position of the part, result), in the order in which they end.
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
        return died(process)
    finally:
        connection.close()
    process.kill()  # it has nothing left to do, and a thread that its work has left behind would hold it up
    process.join()
    if error is not None:
        raise error
    return result


def died(process: BaseProcess) -> Died:
    """Wait for a process that has closed its pipe."""
    process.join()
    with FORK_LOCK:
        return Died(process.exitcode)


def _work(connection: Connection, work: Callable[[], Any]) -> None:
    if begin_child():
        connection.send(answer_of(work))


def begin_child() -> bool:
    """Prepare this process, a child that has just been forked; whether its parent still lives."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if (parent := multiprocessing.parent_process()) is None or os.getppid() != parent.pid:
        return False  # it was killed before prctl asked for the signal
    libc.mallopt(M_TRIM_THRESHOLD, KEPT)
    libc.mallopt(M_MMAP_THRESHOLD, MAPPED)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    return True


def answer_of(work: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """What `work` returns, or the exception that its parent shall raise."""
    try:
        answer = work(), None
    except Exception as error:  # noqa: BLE001 - the parent raises it
        answer = None, _sendable(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed or full; what the work printed is no reason to lose its result
            stream.flush()
    return answer


def _sendable(error: Exception) -> Exception:
    """The exception, or one with its text if the parent could not unpickle it."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - of this process
    except Exception:  # noqa: BLE001 - pickling runs the code of the exception's class
        return RuntimeError(described(error))
    return error
