"""Stop where one training after the other fails alike: the cause is not in the losses."""

from __future__ import annotations

from collections.abc import Sequence

from glo.errors import StudyError
from glo.records import Outcome, Status

FAILED = (Status.CRASHED, Status.TIMED_OUT)
IN_A_ROW = 10  # failures of one kind
WHOLE_BATCH = 3  # or a batch of at least so many jobs, in which all fail alike


class RepeatedFailures:
    """Counts trainings that fail in the same way, without another outcome between them."""

    def __init__(self) -> None:
        self._reason, self._count = "", 0

    def count(self, outcome: Outcome) -> None:
        """Count the outcome of a training.

        Raises:
            StudyError: if it is one failure too many.
        """
        if outcome.status not in FAILED:
            self._reason, self._count = "", 0
            return
        self._count = self._count + 1 if outcome.reason == self._reason else 1
        self._reason = outcome.reason
        if self._count >= IN_A_ROW:
            raise _error(self._count, self._reason)

    def check(self, batch: Sequence[Outcome]) -> None:
        """Check the outcomes of all jobs of a batch.

        Raises:
            StudyError: if they all failed in the same way.
        """
        if len(batch) >= WHOLE_BATCH and all(o.status in FAILED and o.reason == batch[0].reason for o in batch):
            raise _error(len(batch), batch[0].reason)


def _error(count: int, reason: str) -> StudyError:
    return StudyError(
        f"{count} trainings in a row failed in the same way: {reason}; their generation is not recorded, "
        "so that the study goes on there when the cause is mended"
    )
