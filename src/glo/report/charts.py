"""Charts as geometry: scales, ticks and positions.  The template `chart.html.j2` draws them as SVG.

A chart is drawn when its page is made: it needs no script, can be printed, and has its colours from the style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Point = tuple[float, float]
MARGIN = 0.05  # of the span, on each side of the values


@dataclass(frozen=True)
class Axis:
    """A linear scale.

    Attributes:
        label: what it measures; empty for no label.
        low, high: its ends.
        ticks: values with their texts.
    """

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]

    def share(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high one."""
        return (value - self.low) / (self.high - self.low)


def axis(label: str, values: Iterable[float], *, integers: bool = False, count: int = 5, exact: bool = False) -> Axis:
    """An axis that holds all finite values, with about `count` round ticks.

    Args:
        integers: whether ticks are whole numbers only.
        exact: whether it ends at the values, without a margin.
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if low == high:
        low, high = low - 0.5, high + 0.5
    margin = 0.0 if exact else MARGIN * (high - low)
    low, high = low - margin, high + margin
    step = _step(high - low, count)
    if integers:
        step = max(1.0, step)
    digits = max(0, -math.floor(math.log10(step)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return Axis(label, low, high, [(number * step, f"{number * step:.{digits}f}") for number in range(first, last + 1)])


def _step(span: float, count: int) -> float:
    """The round number (1, 2 or 5 times a power of ten) nearest above a `count`-th of the span."""
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def row_axis(names: Sequence[str]) -> Axis:
    """An axis of rows, the first at the top; a name stands above its row."""
    return Axis("", len(names) - 0.6, -0.75, [(number, name) for number, name in enumerate(names)])


@dataclass(frozen=True)
class Line:
    """A line through points; a value that is not finite interrupts it.

    Attributes:
        style: its class in the style sheet.
    """

    points: Sequence[Point]
    style: str = ""


@dataclass(frozen=True)
class Mark:
    """A point.

    Attributes:
        style: its class in the style sheet.
        text: shown when the pointer is on it.
        candidate: number of the candidate that it opens; None if it opens nothing.
    """

    x: float
    y: float
    style: str = ""
    text: str = ""
    candidate: int | None = None


@dataclass(frozen=True)
class Chart:
    """A chart, in the units of its own view box.

    Attributes:
        key: unique in its page; made of letters and dashes.
        title: what it shows.
        description: the same for those who do not see it, with the numbers that matter.
        rows: whether y is an axis of rows.
        legend: (style, text) pairs.
    """

    key: str
    title: str
    description: str
    x: Axis
    y: Axis
    lines: Sequence[Line] = ()
    marks: Sequence[Mark] = ()
    rows: bool = False
    legend: Sequence[tuple[str, str]] = ()
    width: int = 440
    height: int = 280
    margins: tuple[int, int, int, int] = field(default=(8, 8, 40, 48))  # top, right, bottom, left

    @property
    def inner_width(self) -> int:
        return self.width - self.margins[1] - self.left

    @property
    def inner_height(self) -> int:
        return self.height - self.top - self.margins[2]

    @property
    def top(self) -> int:
        return self.margins[0]

    @property
    def left(self) -> int:
        return 8 if self.rows else self.margins[3]

    def px(self, x: float) -> float:
        """The horizontal position of a value within the plot."""
        return round(self.inner_width * self.x.share(x), 1)

    def py(self, y: float) -> float:
        """The vertical position of a value within the plot."""
        return round(self.inner_height * (1 - self.y.share(y)), 1)

    def path(self, line: Line) -> str:
        """A line as the commands of an SVG path, interrupted where it is not finite or far outside."""
        parts: list[str] = []
        pen = "M"
        for x, y in line.points:
            if not math.isfinite(y) or not -1 <= self.y.share(y) <= 2:
                pen = "M"
                continue
            parts.append(f"{pen}{self.px(x):g} {self.py(y):g}")
            pen = "L"
        return "".join(parts)

    @property
    def drawn(self) -> list[Mark]:
        """The marks, each place once: thousands of candidates share a few places."""
        places: dict[tuple[float, float, str], Mark] = {}
        for mark in self.marks:
            places.setdefault((round(self.px(mark.x)), round(self.py(mark.y)), mark.style), mark)
        return list(places.values())
