"""Timeouts: lengths of time as a person writes them, and what is said when one has ended a study."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from glo.errors import ConfigError
from glo.records import PhaseKind, Status
from glo.store import GenerationRecord
from glo.study.config import StudyConfig
from glo.study.history import confirmation_rounds

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LENGTH = re.compile(r"\s*([0-9.]+)\s*([smhd]?)\s*")


def seconds_of(length: float | str) -> float:
    """The seconds of "90", "90s", "30m", "2h" or "1d", or of a number.

    Raises:
        ConfigError: for another text, or no time at all.
    """
    found = LENGTH.fullmatch(str(length))
    try:
        seconds = float(found[1]) * UNITS[found[2]] if found else float(length)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"a timeout is a number of seconds above 0, or 90s, 30m, 2h, 1d, not {length!r}")
    return seconds


def how_time_ended(name: str, config: StudyConfig, history: Sequence[GenerationRecord], timeout: float | str | None) -> str:
    """What a timeout has ended, and what of it is confirmed, in one line.

    Args:
        name: of the study.
        history: as far as the study came.
        timeout: as it was given.
    """
    outcomes = [outcome for record in history for outcome in record.outcomes]
    ended, again = f"the timeout of {timeout} has ended study '{name}'", f"glo resume {name}"
    if not any(outcome.status is Status.TRAINED for outcome in outcomes):
        return f"{ended} before anything was trained to its end: what is known is kept; to go on, {again}"
    made, rounds = len(confirmation_rounds(history)), config.confirmation.rounds
    of_search = {record.phase for record in history} <= {PhaseKind.GENETIC, PhaseKind.CONFIRMATION}
    if not (of_search and config.confirmation.candidates):
        return f"{ended}: to go on, {again}"
    ended += f" after {sum(len(record.outcomes) for record in history if record.phase is PhaseKind.GENETIC)} candidates"
    if made == rounds:
        return f"{ended}, and the best are confirmed: to go on, {again}"
    if made:
        return f"{ended}, with time for {made} of {rounds} rounds of the confirmation: to go on, {again}"
    return f"{ended}, without time to confirm the best, so chance flatters their fitness: to go on, {again}"
