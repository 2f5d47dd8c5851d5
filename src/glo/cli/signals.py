"""Signals that end a command: each unwinds it as Ctrl-C does, so that nothing is left behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from glo.errors import TimeLimitError, place_of

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECONDS_TO_UNWIND = 5.0  # further signals have no effect before
SECONDS_TO_RETRY = 0.01
_first: tuple[int, float] | None = None  # the signal that ends this command, and when it came


def raise_interrupts() -> None:
    """From now on, the first of these signals raises `KeyboardInterrupt`.

    Further ones, such as several quick Ctrl-C, do not disturb the unwinding; after a while they end the process at once.
    A signal that the caller has this process ignore, as nohup does, stays ignored.
    """
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    sys.unraisablehook = _unraisable


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _first
    if _is_reporting(frame):  # an exception would be dropped there too
        _send_later(number)
        return
    if _first is None:
        _first = number, time.monotonic()
        raise KeyboardInterrupt
    if time.monotonic() - _first[1] > SECONDS_TO_UNWIND:
        os._exit(128 + number)


def _unraisable(lost: sys.UnraisableHookArgs) -> None:
    """Send a signal again whose exception Python has dropped, in a callback or a finalizer.

    While a command ends by a signal, finalizers of objects that it has left half made are not reported.
    """
    global _first
    if lost.exc_type is KeyboardInterrupt and _first is not None:
        number, _first = _first[0], None
        _send_later(number)
    elif _first is None:
        sys.__unraisablehook__(lost)


def _is_reporting(frame: FrameType | None) -> bool:
    """Whether `_unraisable` is running."""
    while frame is not None:
        if frame.f_code is _unraisable.__code__:
            return True
        frame = frame.f_back
    return False


def _send_later(number: int) -> None:
    """Send this process a signal in a moment."""
    threading.Timer(SECONDS_TO_RETRY, os.kill, (os.getpid(), number)).start()


def exit_code(code: str | int | None) -> str | int | None:
    """The exit code of a command: 130 after Ctrl-C stands for 128 plus the signal that ended it."""
    return 128 + _first[0] if code == 130 and _first is not None else code


def was_interrupted() -> bool:
    """Whether a signal has ended this command.

    Compiled code may turn its exception into another one: interrupted while it is imported, torch raises a `TypeError`.
    """
    return _first is not None


LONGEST = 1e8  # seconds that a timer is set for; some platforms refuse much more


class _OutOfTime(BaseException):
    """Ends the code of a task; no `Exception`, so that neither that code nor glo takes it for a failure of the task."""


@contextmanager
def time_limited(seconds: float | None) -> Iterator[None]:
    """Raise `TimeLimitError` in the block if it takes longer; it names the line that was under way.  Not on Windows."""
    if seconds is None or not hasattr(signal, "setitimer"):
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, min(seconds, LONGEST))
    try:
        yield
    except _OutOfTime as error:
        raise TimeLimitError(f"loading the task has not ended after {seconds:g} s{place_of(error)}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
