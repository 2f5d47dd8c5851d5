"""Keep signals that end a command out of transactions."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Delay Ctrl-C, SIGTERM and SIGHUP until the end of the block, where Python handles them; a second one is not delayed.

    A database library that is interrupted while it cleans up prints the exception, and may swallow it.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread is interrupted
        yield
        return
    handlers = {number: signal.getsignal(number) for number in ENDING}
    ours = {number: handler for number, handler in handlers.items() if callable(handler)}
    interrupted: list[int] = []

    def defer(number: int, frame: FrameType | None) -> None:
        if interrupted:
            ours[signal.Signals(number)](number, frame)
        interrupted.append(number)

    for number in ours:
        signal.signal(number, defer)
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        if interrupted:
            signal.raise_signal(interrupted[0])
