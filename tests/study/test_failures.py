"""Failures in the user's code: shown at once, stopped when they repeat, never recorded as a finished search."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor, nn

import glo
from glo.errors import StudyError, UserCodeError
from glo.records import Outcome, PhaseKind, Stage, Status
from glo.study.explanation import explained
from glo.study.result import FrozenTrial
from glo.tasks import Task
from small import points


def search(study: glo.Study) -> glo.StudyResult:
    return study.search(generations=3, population=20, steps=10, confirm=0)


def outcome(status: Status, reason: str = "") -> Outcome:
    stage = {Status.REJECTED: Stage.DESCENT, Status.STOPPED: Stage.EARLY_STOP}.get(status, Stage.TRAINING)
    return Outcome("x*y", "", status, stage, reason)


def test_an_error_before_anything_is_trained_leaves_no_study(tmp_path: Path) -> None:
    def metric(predictions: Tensor, targets: Tensor) -> float:
        raise ValueError("only one class")

    task = Task("mine", lambda: nn.Linear(4, 3), points(0), points(1), metric=metric)
    study = glo.Study(task, name="s", storage=tmp_path / "g.db")
    with pytest.raises(UserCodeError, match="task 'mine': the metric fails: ValueError: only one class"):
        search(study)
    with pytest.raises(StudyError):
        _ = study.result


class Breaks(glo.Callback):
    """Something outside the task breaks after the first generation, as a disk that is full."""

    def __init__(self, broken: Path) -> None:
        self.broken = broken

    def on_generation(self, study: glo.Study, generation: object) -> None:
        self.broken.touch()


def test_a_failing_study_stops_and_goes_on_when_its_cause_is_mended(tmp_path: Path) -> None:
    broken = tmp_path / "broken"

    def metric(predictions: Tensor, targets: Tensor) -> float:
        if broken.exists():
            raise OSError("no space left")
        return float((predictions.argmax(1) == targets).float().mean())

    task = Task("mine", lambda: nn.Linear(4, 3), points(0), points(1), metric=metric)
    whole = search(glo.Study(task, name="whole", storage=tmp_path / "whole.db"))
    study = glo.Study(task, name="s", storage=tmp_path / "s.db", callbacks=[Breaks(broken)])
    with pytest.raises(StudyError, match=r"trainings in a row failed in the same way: OSError: no space left \(in metric, "):
        search(study)
    assert len(study.result.history) == 1
    broken.unlink()
    mended = search(glo.Study(task, name="s", storage=tmp_path / "s.db"))
    assert mended.history_digest() == whole.history_digest()


def trial(number: int, outcome: Outcome) -> FrozenTrial:
    return FrozenTrial(
        number, 0, PhaseKind.GENETIC, number, "x*y", "", outcome.status, outcome.stage, outcome.reason, 0.0, None
    )


def test_the_reasons_are_said_when_nothing_trains() -> None:
    outcomes = [
        *[outcome(Status.STOPPED, "at chance after 10% of the steps")] * 5,
        *[outcome(Status.REJECTED, "minimising it does not make the decisions right (50% are)")] * 2,
        outcome(Status.REJECTED, "minimising it does not make the decisions right (60% are)"),
    ]
    assert explained([trial(n, each) for n, each in enumerate(outcomes)]) == (
        "5 of 8 candidates were stopped early: at chance after 10% of the steps; 3 were rejected by the check of descent, "
        "most often: minimising it does not make the decisions right (50% are). What to change: training.early_stop=0 turns "
        "that off; or train with more steps"
    )


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (Status.REJECTED, "rejected by the check of descent"),
        (Status.STOPPED, "stopped early"),
        (Status.DIVERGED, "diverged"),
        (Status.CRASHED, "ended with an error"),
        (Status.TIMED_OUT, "timed out"),
    ],
)
def test_every_end_is_said_in_a_sentence(status: Status, said: str) -> None:
    """Of one candidate, of all, and of some."""
    one, many = ("was ", "were ") if status in (Status.REJECTED, Status.STOPPED) else ("", "")
    other = Status.CRASHED if status is Status.DIVERGED else Status.DIVERGED
    of_others = "ended with an error" if other is Status.CRASHED else "diverged"

    def told(*statuses: Status) -> str:
        return explained([trial(n, outcome(each, "a reason")) for n, each in enumerate(statuses)]).split(". What")[0]

    assert told(status) == f"the only candidate {one}{said}: a reason"
    assert told(status, status) == f"all 2 candidates {many}{said}: a reason"
    assert told(status, status, other) == f"2 of 3 candidates {many}{said}: a reason; 1 {of_others}: a reason"
    assert told(other, other, status) == f"2 of 3 candidates {of_others}: a reason; 1 {one}{said}: a reason"
