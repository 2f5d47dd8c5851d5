"""What changed in the predictions on test: confusions, calibration, and where predictions or residuals lie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glo.records import BINS, RESIDUAL_RANGE, Link
from glo.report.charts import Axis, Chart, Line, Mark, axis
from glo.report.figures import STYLES

TABLE = 12  # classes up to which confusions are a table
WORST = 8  # confusions that are listed instead
FEW = 5  # predictions in a part of the confidences, below which it is not drawn
SMALLEST = 1e-5  # share of the predictions, on a logarithmic scale


@dataclass(frozen=True)
class Confusion:
    """How often each true class was predicted as each class, in per cent of the true class.

    Attributes:
        name: of the loss.
        rows: per cent, a row for each true class; empty if there are too many classes for a table.
        worst: the most frequent confusions instead: true class, predicted class, per cent.
    """

    name: str
    rows: Sequence[Sequence[float]]
    worst: Sequence[tuple[int, int, float]]


def confusions(predictions: Mapping[str, Any]) -> list[Confusion]:
    """The confusions of the discovered and the standard loss, where they were counted.

    Args:
        predictions: the counts (`glo.records.Predicted`) and the histogram of each loss, by name.
    """
    found: list[Confusion] = []
    for name, counts in list(predictions.items())[:2]:
        if not counts["confusion"]:
            continue
        shares = [[100 * count / max(1, sum(row)) for count in row] for row in counts["confusion"]]
        wrong = [(a, b, share) for a, row in enumerate(shares) for b, share in enumerate(row) if a != b and share > 0]
        many = len(shares) > TABLE
        found.append(Confusion(name, [] if many else shares, sorted(wrong, key=lambda each: -each[2])[:WORST]))
    return found


def prediction_charts(predictions: Mapping[str, Any], link: Link) -> list[Chart]:
    """Calibration and outputs of a classification; residuals of a regression."""
    if link is Link.IDENTITY:
        return [_residuals(predictions)] if all(counts["residuals"] for counts in predictions.values()) else []
    return [_calibration(predictions), _outputs(predictions)]


def _legend(predictions: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(style, name) for style, name in zip(STYLES, predictions, strict=False)]


def _calibration(predictions: Mapping[str, Any]) -> Chart:
    lines, marks = [Line([(0.0, 0.0), (1.0, 1.0)], "zero")], list[Mark]()
    told: list[str] = []
    for style, (name, counts) in reversed(list(zip(STYLES, predictions.items(), strict=False))):
        parts = [(total / count, right / count, count) for count, total, right in counts["calibration"] if count >= FEW]
        lines.append(Line([(confidence, right) for confidence, right, _ in parts], style))
        marks += [
            Mark(c, right, f"mean {style}", f"{name}: confidence {c:.2f}, {right:.2f} right, {count:,} predictions")
            for c, right, count in parts
        ]
        told.insert(0, f"{name} {_error(counts['calibration']):.3f}")
    ends = axis("confidence of the prediction", [0.0, 1.0], exact=True)
    return Chart(
        "calibration", "Calibration",
        "The share of right predictions by their confidence; on the diagonal, confidences are true. "
        f"The mean distance from it (expected calibration error): {'; '.join(told)}.",
        ends, axis("share of right predictions", [0.0, 1.0], exact=True), lines, marks, legend=_legend(predictions),
    )  # fmt: skip


def _error(calibration: Sequence[tuple[int, float, int]]) -> float:
    """The expected calibration error, of `CONFIDENCES` parts."""
    return sum(abs(right - total) for _, total, right in calibration) / max(1, sum(count for count, _, _ in calibration))


def _outputs(predictions: Mapping[str, Any]) -> Chart:
    """Where the probabilities lie that networks put out (the paper's Figure 7)."""
    lines: list[Line] = []
    told: list[str] = []
    for style, (name, counts) in reversed(list(zip(STYLES, predictions.items(), strict=False))):
        shares = _shares(counts["histogram"])
        points = [(edge / BINS, math.log10(max(share, SMALLEST))) for edge, share in _stairs(shares)]
        lines.append(Line(points, style))
        told.insert(0, f"{name} {sum(shares[1:-1]):.1%}")
    powers = [(float(power), f"{100 * 10.0**power:g} %") for power in range(round(math.log10(SMALLEST)), 1)]
    return Chart(
        "outputs", "Outputs",
        "The share of the outputs on test in each of 50 parts of [0, 1], on a logarithmic scale. "
        f"Between 0.02 and 0.98 are: {'; '.join(told)}.",
        axis("predicted probability", [0.0, 1.0], exact=True), Axis("share of the outputs", powers[0][0], 0.0, powers),
        lines, legend=_legend(predictions),
    )  # fmt: skip


def _residuals(predictions: Mapping[str, Any]) -> Chart:
    lines: list[Line] = []
    told: list[str] = []
    for style, (name, counts) in reversed(list(zip(STYLES, predictions.items(), strict=False))):
        shares = _shares(counts["residuals"])
        width = 2 * RESIDUAL_RANGE / len(shares)
        lines.append(Line([(edge * width - RESIDUAL_RANGE, 100 * share) for edge, share in _stairs(shares)], style))
        middle = sum(shares[3 * len(shares) // 8 : 5 * len(shares) // 8])
        told.insert(0, f"{name} {middle:.1%}")
    tops = [y for line in lines for _, y in line.points]
    return Chart(
        "residuals", "Residuals",
        "How far predictions on test are above or below their labels, in standard deviations of the labels; what is beyond "
        f"the range counts at its ends. Within half a standard deviation are: {'; '.join(told)}.",
        axis("prediction minus label", [-RESIDUAL_RANGE, RESIDUAL_RANGE], exact=True),
        axis("per cent of the predictions", [0.0, *tops], exact=True), lines, legend=_legend(predictions),
    )  # fmt: skip


def _shares(counts: Sequence[int]) -> list[float]:
    total = max(1, sum(counts))
    return [count / total for count in counts]


def _stairs(values: Sequence[float]) -> list[tuple[float, float]]:
    """The outline of a histogram: two points for each part, by the number of its edge."""
    return [(float(edge), value) for part, value in enumerate(values) for edge in (part, part + 1)]
