"""The time that is left, as the progress of a command shows it."""

from __future__ import annotations

import math


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
