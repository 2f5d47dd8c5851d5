"""The horizon check: does the order of the losses hold when networks are trained for longer?"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from glo.compare.statistics import kendall_tau, welch

Rows = Mapping[str, Mapping[str, Any]]


def agreement(horizons: Sequence[tuple[int, Rows]]) -> list[dict[str, Any]]:
    """For each two horizons (steps, rows of `compare`): Kendall's tau of the means, and the pairs whose order flips.

    Each flip says by how much the first loss is ahead of the second at either horizon, and the p-values of that (Welch).
    """
    return [
        {
            "steps": [short, long],
            "kendall_tau": kendall_tau([row["mean"] for row in before.values()], [row["mean"] for row in after.values()]),
            "flips": _flips(before, after),
        }
        for (short, before), (long, after) in itertools.combinations(horizons, 2)
    ]


def _flips(before: Rows, after: Rows) -> list[dict[str, Any]]:
    return [
        {
            "losses": [a, b],
            "ahead": [rows[a]["mean"] - rows[b]["mean"] for rows in (before, after)],
            "p_values": [welch(rows[a]["values"], rows[b]["values"]) for rows in (before, after)],
        }
        for a, b in itertools.combinations(before, 2)
        if (before[a]["mean"] - before[b]["mean"]) * (after[a]["mean"] - after[b]["mean"]) < 0
    ]


def warnings_of(agreements: Sequence[Mapping[str, Any]]) -> list[str]:
    """The flips in words."""
    texts: list[str] = []
    for between in agreements:
        short, long = between["steps"]
        for flip in between["flips"]:
            (a, b), (early, late), p_values = flip["losses"], flip["ahead"], flip["p_values"]
            first, second = (a, b) if early > 0 else (b, a)
            sure = "both differences have p < 0.05, uncorrected" if max(p_values) < 0.05 else "not beyond noise"
            texts.append(
                f"{first} is ahead of {second} at {short} steps ({abs(early):+.4f}) and behind at {long} "
                f"({-abs(late):+.4f}); {sure}"
            )
    return texts
