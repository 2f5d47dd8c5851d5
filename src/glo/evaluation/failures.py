"""Stop where one training after the other fails alike: the cause is not in the losses."""

from __future__ import annotations

from collections.abc import Sequence

from glo.errors import StudyError, UserCodeError
from glo.records import Outcome, Status

FAILED = (Status.CRASHED, Status.TIMED_OUT)
IN_A_ROW = 10  # failures of one kind
WHOLE_BATCH = 3  # or a batch of at least so many jobs, in which all fail alike


class RepeatedFailures:
    """Counts trainings that fail in the same way, without another outcome between them.

    Args:
        max_failures: of an objective, how many of its trials in a row may fail, for whatever reasons.
    """

    def __init__(self, max_failures: int | None = None) -> None:
        self._reason, self._count = "", 0
        self._max, self._in_a_row = max_failures, list[tuple[str, str]]()

    def count(self, outcome: Outcome, trace: str = "") -> None:
        """Count the outcome of a training.

        Args:
            trace: the traceback of the user's code, if it has raised an exception.

        Raises:
            StudyError: if it is one failure too many.
            UserCodeError: if it is that of an objective; it has the first traceback.
        """
        if self._max is not None:
            self._count_trial(outcome, trace, self._max)
            return
        if outcome.status not in FAILED:
            self._reason, self._count = "", 0
            return
        self._count = self._count + 1 if outcome.reason == self._reason else 1
        self._reason = outcome.reason
        if self._count >= IN_A_ROW:
            raise _error(self._count, self._reason)

    def _count_trial(self, outcome: Outcome, trace: str, limit: int) -> None:
        if outcome.status not in (*FAILED, Status.DIVERGED):
            self._in_a_row.clear()
            return
        self._in_a_row.append((outcome.reason, trace))
        if len(self._in_a_row) >= limit:
            reason, first = self._in_a_row[0]
            error = UserCodeError(
                f"{limit} trials in a row failed, the first with: {reason}; the study goes on here when the cause is mended"
            )
            error.trace = first
            raise error

    def check(self, batch: Sequence[Outcome]) -> None:
        """Check the outcomes of all jobs of a batch.

        Raises:
            StudyError: if they all failed in the same way.
        """
        if (
            self._max is None
            and len(batch) >= WHOLE_BATCH
            and all(o.status in FAILED and o.reason == batch[0].reason for o in batch)
        ):
            raise _error(len(batch), batch[0].reason)


def _error(count: int, reason: str) -> StudyError:
    return StudyError(
        f"{count} trainings in a row failed in the same way: {reason}; their generation is not recorded, "
        "so that the study goes on there when the cause is mended"
    )
