"""Work in child processes, one core each: a training of a small network fills one core well and two badly."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")
PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True, slots=True)
class Died:
    """What is left of a child that ended without a result: its exit status, negative for a signal."""

    status: int | None

    def __str__(self) -> str:
        if self.status is not None and self.status < 0:
            return f"its process was killed by {signal.Signals(-self.status).name}"
        return f"its process exited with {self.status}"


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
    """

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("fork")
        self._running: dict[Connection, tuple[int, BaseProcess]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def start(self, number: int, work: Callable[[], Any]) -> None:
        """`work()` in a new child."""
        ours, theirs = self._context.Pipe(duplex=False)
        child = self._context.Process(target=_child, args=(theirs, work), daemon=True)
        child.start()
        theirs.close()
        self._running[ours] = number, child

    def next(self) -> tuple[int, Any]:
        """Wait for a child that ends: its number and result, or `Died`.  An exception of its work is raised here."""
        if not self._running:
            raise RuntimeError("no child is at work: there is nothing to wait for")
        ready = wait(list(self._running))[0]
        assert isinstance(ready, Connection)  # noqa: S101 - nothing else was waited for
        number, child = self._running.pop(ready)
        return number, _received(ready, child)

    def kill(self) -> None:
        """End those that are still at work."""
        for connection, (_, child) in self._running.items():
            child.kill()
            child.join()
            connection.close()
        self._running.clear()


def in_processes(
    work: Callable[[Part], Result], parts: Sequence[Part], processes: int
) -> Iterator[tuple[int, Result | Died]]:
    """`work(part)` for each part, each in a forked child with one thread, at most `processes` at once.

    Children are forked, so that work and parts need not be picklable; a result must be.  If the caller stops early, or is
    killed, so are the children.  An exception of `work` is raised here.

    Yields:
        (position of the part, result), as they are done.
    """
    waiting, children = deque(enumerate(parts)), Children()
    try:
        while waiting or children:
            while waiting and len(children) < processes:
                position, part = waiting.popleft()
                children.start(position, partial(work, part))
            yield children.next()
    finally:
        children.kill()


def _received(connection: Connection, child: BaseProcess) -> Any:
    try:
        result, error = connection.recv()
    except EOFError:
        child.join()
        return Died(child.exitcode)
    finally:
        connection.close()
    child.join()
    if error is not None:
        raise error
    return result


def _child(connection: Connection, work: Callable[[], Any]) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it as well, and kills
    torch.set_num_threads(1)
    try:
        answer = work(), None
    except Exception as error:  # noqa: BLE001 - it is raised again in the parent
        answer = None, error
    connection.send(answer)
