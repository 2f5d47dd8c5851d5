"""The horizon check: does the order of the losses hold when networks are trained for longer?"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from glo.compare.rows import ComparisonRow
from glo.compare.statistics import kendall_tau, welch


@dataclass(frozen=True)
class Horizon:
    """A length of training, and the rows of all losses at it."""

    steps: int
    rows: list[ComparisonRow]

    def to_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "losses": {row.name: row.to_dict() for row in self.rows}}


@dataclass(frozen=True)
class Flip:
    """Two losses whose order differs between two horizons.

    Attributes:
        losses: names of the two.
        ahead: by how much the first is ahead of the second at either horizon.
        p_values: of that, by Welch's test, uncorrected.
    """

    losses: tuple[str, str]
    ahead: tuple[float, float]
    p_values: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        return {"losses": list(self.losses), "ahead": list(self.ahead), "p_values": list(self.p_values)}


@dataclass(frozen=True)
class Agreement:
    """How far the order of the losses agrees between two horizons.

    Attributes:
        steps: of the two.
        kendall_tau: of the means; None if all means of one horizon are equal.
        flips: the pairs of losses whose order differs.
    """

    steps: tuple[int, int]
    kendall_tau: float | None
    flips: list[Flip]

    def to_dict(self) -> dict[str, Any]:
        flips = [flip.to_dict() for flip in self.flips]
        return {"steps": list(self.steps), "kendall_tau": self.kendall_tau, "flips": flips}


def agreement(horizons: Sequence[Horizon]) -> list[Agreement]:
    """How far each two horizons agree."""
    return [
        Agreement(
            (short.steps, long.steps),
            kendall_tau([row.mean for row in short.rows], [row.mean for row in long.rows]),
            _flips(short, long),
        )
        for short, long in itertools.combinations(horizons, 2)
    ]


def _flips(short: Horizon, long: Horizon) -> list[Flip]:
    pairs = itertools.combinations(zip(short.rows, long.rows, strict=True), 2)
    return [
        Flip(
            (a.name, b.name),
            (a.mean - b.mean, later_a.mean - later_b.mean),
            (welch(a.values, b.values), welch(later_a.values, later_b.values)),
        )
        for (a, later_a), (b, later_b) in pairs
        if (a.mean - b.mean) * (later_a.mean - later_b.mean) < 0
    ]


def flip_warnings(agreements: Sequence[Agreement]) -> list[str]:
    """A sentence for each flip."""
    texts: list[str] = []
    for between in agreements:
        short, long = between.steps
        for flip in between.flips:
            (a, b), (early, late) = flip.losses, flip.ahead
            first, second = (a, b) if early > 0 else (b, a)
            sure = "both differences have p < 0.05, uncorrected" if max(flip.p_values) < 0.05 else "not beyond noise"
            texts.append(
                f"{first} is ahead of {second} at {short} steps ({abs(early):+.4f}) and behind at {long} "
                f"({-abs(late):+.4f}); {sure}"
            )
    return texts
