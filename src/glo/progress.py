"""How far a long call is: bars on a terminal and in a notebook, lines in a log.

A call from Python logs its lines to the logger `glo.progress`, at the level INFO; a command writes them to standard error.
"""

from __future__ import annotations

import html
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from glo.errors import visible

OnProgress = Callable[[str, int, int], None]  # on_progress(label, done, total)
LINE_SECONDS = 10.0  # between lines about work without milestones
REDRAW_SECONDS = 0.5  # between two pictures in a notebook

logger = logging.getLogger(__name__)


@dataclass
class Part:
    """What is shown of one part of the work.

    Attributes:
        name: of the part; each has a line of its own.
        done, total: how much of it has ended; total is None if it is not known.
        note: more about it.
        left: the time that is left, as text.
    """

    name: str
    done: int = 0
    total: int | None = None
    note: str = ""
    left: str = ""

    def __str__(self) -> str:
        return visible(", ".join(text for text in (f"{self.name} {self.note}".rstrip(), self.left) if text))


class Display(Protocol):
    """Where progress is shown."""

    def open(self) -> None:
        """Begin to show, with no part yet."""

    def update(self, part: Part, milestone: bool) -> None:
        """Show a part, which may be new; a milestone is worth a line in a log."""

    def close(self) -> None:
        """Leave the last state to be read."""


class Progress:
    """Shows how far a long call is, while it is entered; calls within one another share it.

    Args:
        display: where; by default bars on a terminal or in a notebook, else lines in the log.
        clock: seconds.
    """

    def __init__(self, display: Display | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._display, self._clock, self._depth = display or chosen_display(), clock, 0
        self._parts: dict[str, Part] = {}
        self._begun: dict[str, tuple[float, int]] = {}

    def __enter__(self) -> Progress:
        self._depth += 1
        if self._depth == 1:
            self._parts, self._begun = {}, {}
            self._display.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._end_last()
            self._display.close()

    def show(
        self,
        name: str,
        done: int,
        total: int | None,
        note: str = "",
        left: float | None = None,
        milestone: bool = False,
    ) -> None:
        """Show how far a part is.

        Args:
            name, done, total, note: see `Part`.
            left: expected seconds until its end; by default they are taken from what is done.
            milestone: whether this is worth a line in a log, whenever the last one was.
        """
        if name not in self._parts:
            self._end_last()
            self._parts[name], self._begun[name] = Part(name), (self._clock(), done)
        since, before = self._begun[name]
        if left is None and total is not None:
            left = seconds_left(self._clock() - since, done - before, total - before)
        part = self._parts[name]
        part.done, part.total, part.note, part.left = done, total, note, time_left(left)
        self._display.update(part, milestone)

    def _end_last(self) -> None:
        """The part that was begun last has no time left."""
        if self._parts:
            last = next(reversed(self._parts.values()))
            if last.left:
                last.left = ""
                self._display.update(last, milestone=False)

    @property
    def parts(self) -> list[Part]:
        """What it shows."""
        return list(self._parts.values())


class Silent:
    """Shows nothing."""

    def open(self) -> None: ...

    def update(self, part: Part, milestone: bool) -> None: ...

    def close(self) -> None: ...


class Lines:
    """A line for each milestone; of other work, one now and then.

    Args:
        write: writes a line.
        clock: seconds.
    """

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._last = clock()

    def open(self) -> None:
        self._last = self._clock()

    def update(self, part: Part, milestone: bool) -> None:
        now = self._clock()
        if milestone or now - self._last >= LINE_SECONDS:
            self._last = now
            count = "" if milestone or part.note else f" {part.done}" + (f" of {part.total}" if part.total else "")
            self._write(str(Part(part.name + count, note=part.note, left=part.left)))

    def close(self) -> None: ...


class Bars:
    """Bars of rich on standard error, a terminal.  While the caller shows something live there himself, it shows nothing."""

    def open(self) -> None:
        from rich.console import Console
        from rich.errors import LiveError
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as RichProgress

        columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn()
        self._bars: RichProgress | None = RichProgress(*columns, console=Console(stderr=True))
        self._tasks: dict[str, Any] = {}
        try:
            self._bars.start()
        except LiveError:
            self._bars = None

    def update(self, part: Part, milestone: bool) -> None:  # noqa: ARG002 - it always shows the latest
        if self._bars is not None:
            if part.name not in self._tasks:
                self._tasks[part.name] = self._bars.add_task(part.name, total=part.total)
            self._bars.update(self._tasks[part.name], completed=part.done, total=part.total, description=str(part))

    def close(self) -> None:
        if self._bars is not None:
            self._bars.stop()


class NotebookBars:
    """Bars in the output of a notebook's cell."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock

    def open(self) -> None:
        self._parts: dict[str, Part] = {}
        self._output: Any = None
        self._drawn = -math.inf

    def update(self, part: Part, milestone: bool) -> None:  # noqa: ARG002 - it always shows the latest
        self._parts[part.name] = part
        if self._clock() - self._drawn >= REDRAW_SECONDS:
            self._draw()

    def close(self) -> None:
        if self._parts:
            self._draw()

    def _draw(self) -> None:
        from IPython.display import HTML, display

        self._drawn = self._clock()
        picture = HTML("".join(map(_row, self._parts.values())))
        if self._output is None:
            self._output = display(picture, display_id=True)
        else:
            self._output.update(picture)


def _row(part: Part) -> str:
    """A part as HTML."""
    bar = f'<progress value="{part.done}" max="{part.total}"></progress> ' if part.total else ""
    return f"<div><label>{bar}{html.escape(str(part))}</label></div>"


def chosen_display() -> Display:
    """Bars where there is somebody to see them, else lines in the log."""
    if _in_notebook():
        return NotebookBars()
    if sys.stderr is not None and sys.stderr.isatty():
        return Bars()
    return Lines(logger.info)


def _in_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


@contextmanager
def shown(on_progress: OnProgress | None) -> Iterator[OnProgress]:
    """What a long call reports to: the caller's function, else a progress of its own."""
    if on_progress is not None:
        yield on_progress
    else:
        with Progress() as progress:
            yield progress.show


def seconds_left(elapsed: float, done: int, total: int | None) -> float | None:
    """Expected seconds until the end, if all parts of the work take equally long; None if nobody knows.

    Args:
        elapsed: seconds in which `done` parts were done.
        total: how many parts there are; None if that is not known.
    """
    if total is None or done <= 0 or elapsed < 0:
        return None
    return max(0.0, elapsed / done * (total - done))


def time_left(seconds: float | None) -> str:
    """Such as "about 3 min left"; empty if nobody knows."""
    if seconds is None or not math.isfinite(seconds):
        return ""
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"about {math.ceil(seconds)} s left"
    if seconds < 3600:
        return f"about {math.ceil(seconds / 60)} min left"
    return f"about {seconds / 3600:.1f} h left"


def _unwrap_streams() -> None:
    """In a forked process: print past the bars, whose lock may be held by a thread that exists in the parent only."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        setattr(sys, name, getattr(stream, "rich_proxied_file", stream))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unwrap_streams)
