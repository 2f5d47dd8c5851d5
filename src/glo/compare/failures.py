"""The trainings of a comparison that failed: how many, and why the first one did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glo.records import Failure, Result


@dataclass(frozen=True)
class Failures:
    """The failed trainings of one loss; each counts 0.

    Attributes:
        count: how many failed.  Of those that choose the learning rate, the diverged ones are not counted: a rate that is
            too high is tried for every loss.
        trainings: out of how many.
        on_test: how many of the failed ones measure on the test split.
        reason: why the first of them failed; empty if none did.
    """

    count: int = 0
    trainings: int = 0
    on_test: int = 0
    reason: str = ""

    def __add__(self, other: Failures) -> Failures:
        return Failures(
            self.count + other.count,
            self.trainings + other.trainings,
            self.on_test + other.on_test,
            self.reason or other.reason,
        )


NO_FAILURES = Failures()


def failures_of(results: Sequence[Result], test: bool = False) -> Failures:
    """The failures among results of one loss.

    Args:
        test: whether these trainings measure on the test split.
    """
    reasons = [reason for result in results if (reason := _reason(result, test))]
    return Failures(len(reasons), len(results), len(reasons) if test else 0, reasons[0] if reasons else "")


def _reason(result: Result, test: bool) -> str:
    if isinstance(result, Failure):
        return f"{result.status}: {result.reason}"
    return f"diverged: {result.why_diverged}" if test and result.diverged else ""
