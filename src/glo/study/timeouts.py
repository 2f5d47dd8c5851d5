"""Lengths of time, as a person writes them."""

from __future__ import annotations

import math
import re

from glo.errors import ConfigError

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LENGTH = re.compile(r"\s*([0-9.]+)\s*([smhd]?)\s*")


def seconds_of(length: float | str) -> float:
    """The seconds of "90", "90s", "30m", "2h" or "1d", or of a number.

    Raises:
        ConfigError: for another text, or no time at all.
    """
    found = LENGTH.fullmatch(str(length))
    try:
        seconds = float(found[1]) * UNITS[found[2]] if found else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"a timeout is a number of seconds above 0, or 90s, 30m, 2h, 1d, not {length!r}")
    return seconds
