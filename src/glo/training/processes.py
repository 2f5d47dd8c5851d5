"""Work in child processes, one core each: a training of a small network fills one core well and two badly."""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")
PR_SET_PDEATHSIG = 1  # prctl(2)
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
    """A child at work: on which part, and until when it may."""

    position: int
    process: BaseProcess
    deadline: float


def spare_processes(device: torch.device | str) -> int:
    """How many processes may train at once: as many as PyTorch may use threads, where forking is safe; else 1.

    A forked child cannot use CUDA, nor autograd once a GPU was seen, and on systems other than Linux the libraries
    below PyTorch do not survive a fork.
    """
    forks = sys.platform == "linux" and not multiprocessing.current_process().daemon and not torch.cuda.is_available()
    return torch.get_num_threads() if forks and torch.device(device).type == "cpu" else 1


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
    waiting = deque(enumerate(parts))
    running: dict[Connection, _Child] = {}
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                position, part = waiting.popleft()
                connection, process = _start(work, part)
                running[connection] = _Child(position, process, time.monotonic() + limit)
            soonest = min(child.deadline for child in running.values()) - time.monotonic()
            for ready in wait(list(running), None if soonest == math.inf else max(0.0, soonest)):
                assert isinstance(ready, Connection)  # noqa: S101 - nothing else was waited for
                child = running.pop(ready)
                yield child.position, _received(ready, child.process)
            now = time.monotonic()
            for connection, child in [(c, child) for c, child in running.items() if child.deadline <= now]:
                del running[connection]
                _kill(connection, child)
                yield child.position, Overdue(limit)
    finally:
        for connection, child in running.items():
            _kill(connection, child)


def _start(work: Callable[[Part], Result], part: Part) -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("fork")
    with ONE_FORK:
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(theirs, work, part), daemon=True)
        child.start()
        theirs.close()
    return ours, child


def _kill(connection: Connection, child: _Child) -> None:
    child.process.kill()
    child.process.join()
    connection.close()


def _received(connection: Connection, child: BaseProcess) -> Any:
    try:
        result, error = connection.recv()
    except EOFError:
        child.join()
        with ONE_FORK:
            return Died(child.exitcode)
    finally:
        connection.close()
    child.join()
    if error is not None:
        raise error
    return result


def _child(connection: Connection, work: Callable[[Part], Result], part: Part) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it as well, and kills
    torch.set_num_threads(1)
    try:
        answer = work(part), None
    except Exception as error:  # noqa: BLE001 - it is raised again in the parent
        answer = None, error
    connection.send(answer)
