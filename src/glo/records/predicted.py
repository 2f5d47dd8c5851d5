"""What networks predict on a test split, counted, so that the predictions of two losses can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

CONFIDENCES = 10  # equal parts of [0, 1] for calibration
RESIDUALS = 40  # parts of the range of residuals
RESIDUAL_RANGE = 2.0  # in standard deviations of the labels; what is beyond counts in the last part on its side
CONFUSED = 20  # classes up to which confusions are counted


@dataclass(frozen=True, slots=True)
class Predicted:
    """Counts of predictions; what does not fit a task is empty.

    Attributes:
        confusion: for each true class, how often each class was predicted.
        calibration: for each of `CONFIDENCES` equal parts of [0, 1]: how many predictions have a confidence in it, the sum
            of these confidences, and how many of these predictions are right.
        residuals: of a regression, in how many cases prediction minus label is in each of `RESIDUALS` parts.
    """

    confusion: tuple[tuple[int, ...], ...] = ()
    calibration: tuple[tuple[int, float, int], ...] = ()
    residuals: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-like data."""
        return asdict(self)


def together(counts: Sequence[Predicted]) -> Predicted:
    """The sum of the counts of several networks on one split."""
    return Predicted(
        tuple(tuple(map(sum, zip(*rows, strict=True))) for rows in zip(*(each.confusion for each in counts), strict=True)),
        tuple(
            (sum(each[0] for each in parts), sum(each[1] for each in parts), sum(each[2] for each in parts))
            for parts in zip(*(each.calibration for each in counts), strict=True)
        ),
        tuple(map(sum, zip(*(each.residuals for each in counts), strict=True))),
    )
