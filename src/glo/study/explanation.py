"""Explain why a study has not trained anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from glo.records import Stage, Status

if TYPE_CHECKING:
    from glo.study.result import FrozenTrial

ADVICE: dict[Status | Stage, str] = {
    Stage.CONSTRAINT: "drop one of the constraints, or allow more operators (genetic.weights) or larger expressions",
    Status.REJECTED: "search longer, with a larger population or more generations",
    Status.STOPPED: "training.early_stop=0 turns that off; or train with more steps",
    Status.DIVERGED: "give smaller training.learning_rates",
    Status.CRASHED: "the error is in the model or the metric",
    Status.TIMED_OUT: "give a longer time limit, or fewer training.steps",
}


def explained(trials: Sequence[FrozenTrial]) -> str:
    """What became of the candidates of a study without a trained one, the most frequent first, and what to change."""
    if not trials:
        return "no candidate was evaluated"
    kinds = Counter((trial.status, trial.stage) for trial in trials)
    parts: list[str] = []
    for (status, stage), count in kinds.most_common():
        reasons = Counter(t.reason for t in trials if (t.status, t.stage) == (status, stage))
        reason, _ = reasons.most_common(1)[0]
        often = "" if len(reasons) == 1 else ", most often"
        parts.append(f"{_counted(count, len(trials), first=not parts)} {_said(status, stage, count)}{often}: {reason}")
    (status, stage), _ = kinds.most_common(1)[0]
    return f"{'; '.join(parts)}. What to change: {ADVICE.get(stage, ADVICE[status])}"


def _counted(count: int, total: int, *, first: bool) -> str:
    """How many candidates: "all 12 candidates", "12 of 20 candidates", and then "8"."""
    if not first:
        return str(count)
    if count == total:
        return "the only candidate" if total == 1 else f"all {total} candidates"
    return f"{count} of {total} candidates"


def _said(status: Status, stage: Stage, count: int) -> str:
    """What became of them, as a predicate."""
    be = "was" if count == 1 else "were"
    match status:
        case Status.REJECTED:
            return f"{be} rejected by the check of {stage}"
        case Status.STOPPED:
            return f"{be} stopped early"
        case Status.CRASHED:
            return "ended with an error"
        case _:
            return str(status)  # trained, diverged, timed out
