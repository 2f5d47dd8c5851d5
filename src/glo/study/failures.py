"""Failures of a study: stop one whose trainings all fail alike, and explain why nothing was trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from glo.errors import StudyError
from glo.records import Outcome, Stage, Status

if TYPE_CHECKING:
    from glo.study.result import Trial

FAILED = (Status.CRASHED, Status.TIMED_OUT)
IN_A_ROW = 20  # failures of one kind that stop a study

ADVICE = {
    Status.REJECTED: "search longer, with a larger population or more generations",
    Status.STOPPED: "training.early_stop=0 turns that off; or train with more steps",
    Status.DIVERGED: "give smaller training.learning_rates",
    Status.CRASHED: "the error is in the model or the metric",
    Status.TIMED_OUT: "give a longer time limit, or fewer training.steps",
}


class RepeatedFailures:
    """Counts trainings that fail in the same way, without one between them that does not.

    Args:
        study: its name, for the message.
    """

    def __init__(self, study: str) -> None:
        self._study = study
        self._reason, self._count = "", 0
        self._works = False  # whether any training of this process has not failed

    def count(self, outcome: Outcome) -> None:
        """Count an outcome.

        Raises:
            StudyError: if it is one failure too many.
        """
        if outcome.status in FAILED:
            self._count = self._count + 1 if outcome.reason == self._reason else 1
            self._reason = outcome.reason
            if self._count == IN_A_ROW:
                raise self._error()
        elif outcome.status is not Status.REJECTED:
            self._reason, self._count, self._works = "", 0, True

    def check(self, generation: Sequence[Outcome]) -> None:
        """Check the outcomes of a generation before it is recorded.

        Raises:
            StudyError: if all its trainings failed in the same way, and no other training has worked.
        """
        trained = [outcome for outcome in generation if outcome.status is not Status.REJECTED]
        if len(trained) > 1 and self._count >= len(trained) and not self._works:
            raise self._error()

    def _error(self) -> StudyError:
        return StudyError(
            f"study '{self._study}' stopped: {self._count} trainings in a row failed in the same way: {self._reason}; "
            "their generation is not recorded, so that the study goes on there when the cause is mended"
        )


def why_nothing_trained(trials: Sequence[Trial]) -> str:
    """What became of the candidates of a study without a trained one, the most frequent first, and what to change."""
    if not trials:
        return "no candidate was evaluated"
    kinds = Counter((trial.status, trial.stage) for trial in trials)
    parts: list[str] = []
    for (status, stage), count in kinds.most_common():
        reasons = Counter(t.reason for t in trials if (t.status, t.stage) == (status, stage))
        reason, _ = reasons.most_common(1)[0]
        often = "" if len(reasons) == 1 else ", most often"
        parts.append(f"{count} of {len(trials)} were {_said(status, stage)}{often}: {reason}")
    (status, _), _ = kinds.most_common(1)[0]
    return f"{'; '.join(parts)}. What to change: {ADVICE[status]}"


def _said(status: Status, stage: Stage) -> str:
    if status is Status.REJECTED:
        return f"rejected by the check of {stage}"
    return {Status.STOPPED: "stopped early", Status.CRASHED: "ended by an error"}.get(status, str(status))
