"""A child process that does one piece of work after another, where starting one takes long: opening a GPU takes seconds."""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import TypeVar

from glo.execution.children import FORK_LOCK, Died, Overdue, answer_of, begin_child, died

Answer = TypeVar("Answer")


class LastingChild:
    """A forked child process of one thread, until it dies, is late or is ended.  It is killed when this process dies.

    One thread may use it at a time.  What the user's code changes in one piece of work, such as a module's variable, the
    next one finds changed; so use one child for one task only.

    Args:
        environment: variables that the child sets first.

    Attributes:
        ended: whether it can do no further work.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        context = multiprocessing.get_context("fork")
        with FORK_LOCK:
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs, dict(environment or {})), daemon=True)
            self._process.start()
            theirs.close()
        self.ended = False

    def call(self, work: Callable[[], Answer], limit: float = math.inf) -> Answer | Died | Overdue:
        """The result of some work; if there is none, the child has ended.

        Args:
            work: can be pickled, and so can its result.
            limit: seconds after which the child is killed.

        Raises:
            Exception: what `work` raises; the child goes on.
        """
        try:
            answer = self._answer(work, limit)
        except BaseException:  # an interrupt, or work that cannot be pickled
            self.end()
            raise
        if isinstance(answer, (Died, Overdue)):
            self.end()
            return answer
        result, error = answer
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        """Kill the process."""
        self.ended = True
        self._process.kill()
        self._process.join()
        self._connection.close()

    def _answer(self, work: Callable[[], Answer], limit: float) -> tuple[Answer, Exception | None] | Died | Overdue:
        try:
            self._connection.send(work)
            if not self._connection.poll(None if limit == math.inf else limit):
                return Overdue(limit)
            return self._connection.recv()
        except (EOFError, ConnectionError):
            return died(self._process)


def _serve(connection: Connection, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    if begin_child():
        while True:
            connection.send(answer_of(connection.recv()))
