"""The same failure of many trainings in a row is an error of the study, not of its losses."""

from __future__ import annotations

import pytest

from glo.errors import StudyError
from glo.evaluation.failures import IN_A_ROW, RepeatedFailures
from glo.records import Outcome, Stage, Status


def outcome(status: Status, reason: str = "") -> Outcome:
    return Outcome("x*y", "", status, Stage.TRAINING, reason)


def test_the_same_failure_many_times_in_a_row_is_an_error() -> None:
    failures = RepeatedFailures()
    for _ in range(IN_A_ROW - 1):
        failures.count(outcome(Status.CRASHED, "KeyError: 'a'"))
    with pytest.raises(StudyError, match=f"{IN_A_ROW} trainings in a row failed.*KeyError: 'a'"):
        failures.count(outcome(Status.CRASHED, "KeyError: 'a'"))


@pytest.mark.parametrize("between", [outcome(Status.TRAINED), outcome(Status.DIVERGED), outcome(Status.CRASHED, "another")])
def test_failures_with_something_else_between_them_are_none(between: Outcome) -> None:
    failures = RepeatedFailures()
    for _ in range(3):
        for _ in range(IN_A_ROW - 1):
            failures.count(outcome(Status.CRASHED, "out of memory"))
        failures.count(between)


def test_a_batch_in_which_every_training_failed_alike_is_an_error() -> None:
    failures = RepeatedFailures()
    batch = [outcome(Status.TIMED_OUT, "not ended after 5 s")] * 3
    for each in batch:
        failures.count(each)
    failures.check([*batch, outcome(Status.TRAINED)])
    failures.check(batch[:2])
    with pytest.raises(StudyError, match="3 trainings in a row failed in the same way: not ended after 5 s"):
        failures.check(batch)
