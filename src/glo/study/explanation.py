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
        parts.append(f"{count} of {len(trials)} were {_said(status, stage)}{often}: {reason}")
    (status, stage), _ = kinds.most_common(1)[0]
    return f"{'; '.join(parts)}. What to change: {ADVICE.get(stage, ADVICE[status])}"


def _said(status: Status, stage: Stage) -> str:
    if status is Status.REJECTED:
        return f"rejected by the check of {stage}"
    return {Status.STOPPED: "stopped early", Status.CRASHED: "ended by an error"}.get(status, str(status))
