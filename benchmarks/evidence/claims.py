"""What the numbers of the suite say: wins, ties and losses, corrected for the number of problems."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from statistics import median
from typing import Any

from glo.compare.statistics import holm

LEVEL = 0.05
STRICT = 0.01  # the level of the goal


class Outcome(IntEnum):
    """How a problem ended, the worst first."""

    ERROR = 0
    LOSS = 1
    TIE = 2
    WIN = 3


@dataclass(frozen=True)
class Claim:
    """One problem.

    Attributes:
        problem: as it was measured.
        outcome: a win is a discovered loss that is better than each loss of the shelf, by `p_holm`; a loss is one that is
            worse than the known loss that validation chooses, or than any other by Holm's correction over the shelf.
        rival: the known loss that is best on validation; empty after an error.
        p_shelf: of "better than the whole shelf": the largest p-value over the shelf (an intersection-union test,
            Berger 1982).
        p_holm: the same, by Holm's correction over the problems.
        worse_than: the known losses that are shown to be better.
    """

    problem: Mapping[str, Any]
    outcome: Outcome
    rival: str
    p_shelf: float
    p_holm: float
    worse_than: tuple[str, ...]


def claims(problems: Sequence[Mapping[str, Any]], level: float = LEVEL) -> list[Claim]:
    """What is claimed of each problem, failures first; those of one outcome in the order of the suite."""
    p_values = [shelf_p_value(problem) for problem in problems]
    found: list[Claim] = []
    for problem, p_shelf, p_holm in zip(problems, p_values, holm(p_values), strict=True):
        rivals = rivals_of(problem)
        rival = _best_on_validation(problem)
        worse = _worse_than(rivals, rival)
        if not rivals:
            outcome = Outcome.ERROR
        elif worse:
            outcome = Outcome.LOSS
        else:
            outcome = Outcome.WIN if p_holm < level else Outcome.TIE
        found.append(Claim(problem, outcome, rival, p_shelf, p_holm, worse))
    return sorted(found, key=lambda claim: claim.outcome)


def rivals_of(problem: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The gain of the discovered loss over each known one that could be trained; none after an error."""
    return {name: row["gain"] for name, row in problem.get("losses", {}).items() if row["gain"] is not None}


def shelf_p_value(problem: Mapping[str, Any]) -> float:
    """The p-value of "better than the whole shelf"; 1 if it is behind one of them, or nothing could be compared."""
    gains = rivals_of(problem).values()
    return max((gain["p_value"] if gain["difference"] > 0 else 1.0 for gain in gains), default=1.0)


def _best_on_validation(problem: Mapping[str, Any]) -> str:
    sign = 1 if problem["direction"] == "maximize" else -1
    names = rivals_of(problem)
    return max(names, key=lambda name: sign * problem["losses"][name]["validation"], default="")


def _worse_than(rivals: Mapping[str, Mapping[str, Any]], rival: str) -> tuple[str, ...]:
    p_values = [gain["p_value"] if gain["difference"] < 0 else 1.0 for gain in rivals.values()]
    corrected = dict(zip(rivals, holm(p_values), strict=True))
    if rival and rivals[rival]["difference"] < 0:
        corrected[rival] = rivals[rival]["p_value"]  # one test, chosen beforehand
    return tuple(name for name, p_value in corrected.items() if p_value < LEVEL)


def pooled_optimism(reported: Sequence[Mapping[str, Any]]) -> float:
    """The optimism of all problems together in standard errors (Stouffer 1949); a problem without spread does not count."""
    scores = [each["optimism"] / each["error"] for each in reported if each["error"] > 0]
    return sum(scores) / math.sqrt(len(scores)) if scores else 0.0


@dataclass(frozen=True)
class Reached:
    """When a search first had a loss that reaches a test metric; infinite if it never did."""

    seconds: float
    steps: float


NEVER = Reached(float("inf"), float("inf"))


def reached(search: Mapping[str, Any], confirmed: Mapping[str, Mapping[str, Any]], target: float) -> Reached:
    """When the best of a search so far first reaches a confirmed test metric.

    Args:
        search: with its points, the last of which is its result.
        confirmed: the test metric of each expression over fresh seeds.
        target: the test metric; higher is better.
    """
    for point in search["points"]:
        if confirmed[point["expression"]]["mean"] >= target:
            return Reached(point["seconds"], point["steps"])
    return NEVER


def target_of(race: Mapping[str, Any]) -> float:
    """The confirmed test metric of the result of the old search, minus one standard error: as good, as far as is known."""
    result = race["confirmed"][race["old"]["points"][-1]["expression"]]
    return result["mean"] - result["sd"] / math.sqrt(len(result["values"]))


def ratios(race: Mapping[str, Any]) -> tuple[float, float]:
    """Seconds and steps of the new search until it reaches the target, over those of the old one."""
    old, new = (reached(race[which], race["confirmed"], target_of(race)) for which in ("old", "new"))
    return new.seconds / old.seconds, new.steps / old.steps


def median_ratios(races: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Medians of the ratios over seeds; infinite if most never reach the target."""
    seconds, steps = zip(*map(ratios, races), strict=True)
    return median(seconds), median(steps)
