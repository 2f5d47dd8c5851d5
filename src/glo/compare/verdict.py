"""The verdict on a discovered loss, in words: use it, use one from the shelf, or stay with the standard loss.

A p-value over seeds ignores that the test set is a sample too: the same ten seeds would repeat the same luck on the same few
images.  So the error of a difference has two parts: that of the seeds (Welch), and that of the test set, from the
difference without each group of its samples (docs/decisions/0023-verdict.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from glo.compare.rows import ComparisonRow
from glo.compare.statistics import Gain, gain
from glo.records import Direction

LEVEL = 0.05
WORTHWHILE = 0.1  # of the standard loss's error: a smaller gain counts as none


class Finding(StrEnum):
    """What a verdict says."""

    BETTER = "better than everything it was compared with"
    AHEAD = "better than the standard loss, and ahead of the others"
    SHELF = "a known loss is as good or better"
    NO_GAIN = "no gain"
    UNDECIDED = "not enough seeds to say"
    NOTHING = "nothing could be trained"


@dataclass(frozen=True)
class Verdict:
    """Which loss to use, and what that rests on.

    Attributes:
        finding: what was found.
        text: the verdict as a sentence.
        use: the name of the loss to use: "discovered", or that of a known one.
        expression, scale, learning_rate, variant: of that loss.
        gains: of the discovered loss over each other one on test; positive is better.
        seeds: fresh seeds of the measurement.
        test_samples: size of the test set; None where its own error is not known.
        notes: what limits the verdict, a sentence for each.
    """

    finding: Finding
    text: str
    use: str
    expression: str = ""
    scale: float = 1.0
    learning_rate: float = 0.0
    variant: str = ""
    gains: Mapping[str, Gain] = field(default_factory=dict[str, Gain])
    seeds: int = 0
    test_samples: int | None = None
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        return "\n".join([self.text, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-like data."""
        return {**asdict(self), "finding": self.finding.name.lower(), "notes": list(self.notes), "level": LEVEL}


def verdict_of(rows: Sequence[ComparisonRow], metric: str, direction: Direction = Direction.MAXIMIZE) -> Verdict:
    """The verdict on the first row, the discovered loss, against the others.

    It is "better" only if it is better than each of them at the level of 5 %, so a false one is at least as rare as that for
    a single comparison (an intersection-union test; Berger 1982).  A known loss is as good if it is not shown to be worse,
    and its mean is not behind by more than what counts (`worthwhile`).

    Args:
        rows: the discovered loss, the standard loss, and what else there is; each chosen on validation.
    """
    found, others = rows[0], [row for row in rows[1:] if not row.failed]
    if found.failed or not others:
        return Verdict(Finding.NOTHING, "The trainings on test failed: there is nothing to compare.", "")
    gains = {row.name: gain(found.sample, row.sample, direction.sign) for row in others}
    rivals = [row for row in others if not _is_better(gains[row.name])]
    if not rivals:
        conclusion = _better_than_all(found, others, gains, metric, direction)
    elif others[0] not in rivals:
        conclusion = _better_than_standard(found, others[0], rivals, gains, direction)
    else:
        conclusion = _not_better(found, others, gains, direction)
    finding, text, use = conclusion
    return Verdict(
        finding, text, use.name, use.expression, use.scale, use.learning_rate, use.variant, gains, found.n,
        found.test_samples, _notes(rows, gains, metric),
    )  # fmt: skip


Conclusion = tuple[Finding, str, ComparisonRow]  # the last is the loss to use


def _better_than_all(
    found: ComparisonRow, others: Sequence[ComparisonRow], gains: Mapping[str, Gain], metric: str, direction: Direction
) -> Conclusion:
    best = max(others, key=lambda row: direction.sign * row.mean)
    than, has = "everything on the shelf", f"the best of them, {_named(best)}, has"
    if len(others) == 1:
        than, has = best.name, f"{best.name} has"
    text = (
        f"Use the discovered loss: it is better than {than}. Its test {metric} is {found.mean:.4f}; {has} "
        f"{best.mean:.4f} ({_numbers(gains[best.name])})."
    )
    closest = max(others, key=lambda row: gains[row.name].p_value)
    if closest is not best:  # the claim is as sure as the least sure of its parts
        text += f" The least sure is the gain over {_named(closest)}: {_numbers(gains[closest.name])}."
    return Finding.BETTER, text, found


def _better_than_standard(
    found: ComparisonRow,
    standard: ComparisonRow,
    rivals: Sequence[ComparisonRow],
    gains: Mapping[str, Gain],
    direction: Direction,
) -> Conclusion:
    """Of the rivals, those that are not shown to be worse, the one to use is that which validation prefers.

    A loss that diverges with some seeds has a mean that is known badly: it is not as good only because it is not shown to be
    worse.
    """
    better = f"better than {standard.name} ({_numbers(gains[standard.name])})"
    as_good = [row for row in rivals if gains[row.name].difference < worthwhile(standard, direction)]
    if as_good:
        rival = max(as_good, key=lambda row: direction.sign * row.validation)
        but = f"but not shown to be better than {_named(rival)} ({_numbers(gains[rival.name])})"
        return Finding.SHELF, f"Use {_named(rival)}: the discovered loss is {better}, {but}.", rival
    rival = max(rivals, key=lambda row: gains[row.name].p_value)
    ahead = f"ahead of everything on the shelf, which the seeds do not show for {_named(rival)}"
    return Finding.AHEAD, f"Use the discovered loss: it is {better}, and {ahead} ({_numbers(gains[rival.name])}).", found


def _not_better(
    found: ComparisonRow, others: Sequence[ComparisonRow], gains: Mapping[str, Gain], direction: Direction
) -> Conclusion:
    """The discovered loss is not shown to be better than the standard one; perhaps a known loss is."""
    standard, shelf = others[0], others[1:]
    if shelf:
        rival = max(shelf, key=lambda row: direction.sign * row.validation)
        over = gain(rival.sample, standard.sample, direction.sign)
        if _is_better(over):
            text = (
                f"Use {_named(rival)}: it is better than {standard.name} ({_numbers(over)}), "
                f"and the discovered loss is not ({_numbers(gains[standard.name])})."
            )
            return Finding.SHELF, text, rival
    finding, text = _against(standard, found, gains[standard.name], direction)
    return finding, text, standard


def _against(standard: ComparisonRow, found: ComparisonRow, over: Gain, direction: Direction) -> tuple[Finding, str]:
    """What to say of a discovered loss that is not shown to be better than the standard one, as no known loss is."""
    if over.difference <= 0 or over.high < worthwhile(standard, direction):
        return Finding.NO_GAIN, f"No gain: use {standard.name}. The discovered loss is {_numbers(over)}."
    seeds = _seeds_that_would_tell(over, found.n)
    if seeds is None:
        return Finding.NO_GAIN, (
            f"No gain can be shown: use {standard.name}. The discovered loss is {_numbers(over)}, and for so small a "
            f"difference the test set of {found.test_samples} samples is too small, however many seeds there are."
        )
    return Finding.UNDECIDED, (
        f"Not enough seeds to say whether the discovered loss is better than {standard.name}: {_numbers(over)}. "
        f"About {seeds} would tell, if the difference is real; until then use {standard.name}."
    )


def worthwhile(standard: ComparisonRow, direction: Direction) -> float:
    """The smallest gain that counts: a tenth of the standard loss's error, as far as that is known from the metric."""
    bounded = direction is Direction.MAXIMIZE and 0 <= standard.mean <= 1
    return WORTHWHILE * (1 - standard.mean if bounded else abs(standard.mean))


def _is_better(found: Gain) -> bool:
    return found.difference > 0 and found.p_value < LEVEL


def _named(row: ComparisonRow) -> str:
    return f"{row.name} {row.variant}".strip()


def _numbers(found: Gain) -> str:
    return f"{found.difference:+.4f}, 95 % interval {found.low:+.4f} to {found.high:+.4f}, p = {found.p_value:.1e}"


def _seeds_that_would_tell(over: Gain, seeds: int) -> int | None:
    """How many seeds would show a difference of this size; None if the test set is too small for any number of them."""
    room = (over.difference / 1.96) ** 2 - (over.test_error or 0.0) ** 2
    return None if room <= 0 else math.ceil(seeds * over.seed_error**2 / room) + 1


def _notes(rows: Sequence[ComparisonRow], gains: Mapping[str, Gain], metric: str) -> list[str]:
    found: list[str] = []
    saturated = [row.name for row in rows if row.validation == 1.0]
    if saturated and metric not in ("brier", "ece", "log_loss", "mae", "rmse"):
        found.append(
            f"The validation {metric} is 1 for {', '.join(saturated[:3])}{' and others' * (len(saturated) > 3)}: "
            "it ranks nothing, and a larger validation split would."
        )
    if rows[0].test_samples is None:
        found.append(f"The error of the test set is not included: the {metric} is not known for parts of it.")
    lucky = [name for name, each in gains.items() if each.difference > 0 and each.p_seeds < LEVEL <= each.p_value]
    if lucky:
        found.append(
            f"Over the seeds alone the discovered loss is ahead of {', '.join(lucky)}, but the test set of "
            f"{rows[0].test_samples} samples is too small to show it."
        )
    return found
