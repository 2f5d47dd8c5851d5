"""Work in child processes, one core each: a training of a small network fills one core well and two badly."""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import sys
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
    forks = sys.platform == "linux" and not multiprocessing.current_process().daemon and not torch.cuda.is_available()
    return torch.get_num_threads() if forks and torch.device(device).type == "cpu" else 1


def in_processes(
    work: Callable[[Part], Result], parts: Sequence[Part], processes: int
) -> Iterator[tuple[int, Result | Died]]:
    """`work(part)` for each part, each in a forked child with one thread, at most `processes` at once.

    Children are forked, so that work and parts need not be picklable; a result must be.  If the caller stops early, or is
    killed, so are the children.  An exception of `work` is raised here.

    Yields:
        (position of the part, result), as they are done.
    """
    context = multiprocessing.get_context("fork")
    waiting = deque(enumerate(parts))
    running: dict[Connection, tuple[int, BaseProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                position, part = waiting.popleft()
                ours, theirs = context.Pipe(duplex=False)
                child = context.Process(target=_child, args=(theirs, work, part), daemon=True)
                child.start()
                theirs.close()
                running[ours] = position, child
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)  # noqa: S101 - nothing else was waited for
                position, child = running.pop(ready)
                yield position, _received(ready, child)
    finally:
        for connection, (_, child) in running.items():
            child.kill()
            child.join()
            connection.close()


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


def _child(connection: Connection, work: Callable[[Part], Result], part: Part) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it as well, and kills
    torch.set_num_threads(1)
    try:
        answer = work(part), None
    except Exception as error:  # noqa: BLE001 - it is raised again in the parent
        answer = None, error
    connection.send(answer)
