"""A watchdog: each operation on an expression within the parser's limits must end in a second."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType

import pytest

from glo.expr import Expr

LIMIT = 1.0  # seconds of CPU time
GIVE_UP = 5 * LIMIT
HANG = 300  # seconds for one operation that Python cannot interrupt, such as a power of integers

Operation = Callable[[Expr], object]
only_posix = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer of CPU time")


class TooSlowError(BaseException):
    """Not an `Exception`, which the operation could catch."""


def too_slow(operations: Mapping[str, Operation], expressions: Sequence[tuple[str, Expr]]) -> list[str]:
    """The operations that take longer than a second of CPU time, with their expressions and times."""
    found: list[str] = []
    with _watchdog():
        for name, operation in operations.items():
            for what, expr in expressions:
                if (seconds := _seconds(operation, expr)) > LIMIT:
                    found.append(f"{name} of {what}: {seconds:.1f} s")
    return found


def _seconds(operation: Operation, expr: Expr) -> float:
    """The CPU time; on a noisy machine the smallest of three measurements."""
    best = GIVE_UP
    for _ in range(3):
        faulthandler.dump_traceback_later(HANG, exit=True, file=2)  # pytest has replaced sys.stderr
        signal.setitimer(signal.ITIMER_VIRTUAL, GIVE_UP)
        started = time.process_time()
        try:
            operation(expr)
        except TooSlowError:
            return GIVE_UP
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            faulthandler.cancel_dump_traceback_later()
        best = min(best, time.process_time() - started)
        if best <= LIMIT:
            break
    return best


@contextlib.contextmanager
def _watchdog() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGVTALRM, interrupt)
    gc.collect()
    gc.freeze()  # else the time of an operation includes the search for garbage among all objects of the tests
    try:
        yield
    finally:
        gc.unfreeze()
        signal.signal(signal.SIGVTALRM, before)
