"""A timeout ends a search early enough for its confirmation, and what it has ended is replayed and goes on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import glo
from glo.execution import InlineExecutor, Key
from glo.records import PhaseKind, Result
from glo.store import GenerationRecord, Store
from glo.study import Loop, StudyResult, compose, discover, load_study, recorded_result
from glo.study.budget import Budget
from glo.tasks import Task

MakeTask = Callable[..., Task]
SMALL: dict[str, Any] = {"generations": 8, "genetic": {"population": 10}, "training": {"steps": 20}}
ROUNDS = {"confirmation": {"candidates": 4, "seeds": 4, "rounds": 2}}
OPTIONS: dict[str, Any] = {"generations": 8, "population": 10, "steps": 20, "confirm": 4}
SETTINGS = ["confirmation.seeds=4", "confirmation.rounds=2"]


class Clock:
    """Shows the time that it is given."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TimedExecutor(InlineExecutor):
    """Trains in this process; each training takes the same time by a clock.

    Args:
        clock: by which time passes.
        seconds: for each training.

    Attributes:
        trained: how many trainings have ended.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self._clock, self._seconds, self.trained = clock, seconds, 0

    def next(self) -> tuple[Key, dict[int, Result]]:
        key, results = super().next()
        self.trained += len(results)
        self._clock.now += self._seconds * len(results)
        return key, results


def searched(
    task: Task, storage: Path, timeout: float, seconds: float = 1.0, **options: Any
) -> tuple[StudyResult, Clock, TimedExecutor]:
    """A search in which each training takes so many seconds; it goes on if it is recorded."""
    config = compose(task, overrides={**SMALL, **ROUNDS, **options})
    clock = Clock()
    executor = TimedExecutor(clock, seconds)
    with closing(Store(storage)) as store:
        if not store.studies():
            store.create_study("run", config.model_dump(mode="json"), {})
        Loop("run", config, task, store, executor, 1, budget=Budget(timeout, clock)).run()
        return recorded_result(store, "run"), clock, executor


def kinds(result: StudyResult) -> list[tuple[PhaseKind, int]]:
    """The phases in order, each with its number of generations."""
    return [(kind, len(list(records))) for kind, records in itertools.groupby(record.phase for record in result.history)]


def of_search(result: StudyResult) -> list[GenerationRecord]:
    return [record for record in result.history if record.phase is PhaseKind.GENETIC]


def outcomes(records: list[GenerationRecord]) -> list[Any]:
    return [record.outcomes for record in records]


@pytest.fixture
def slow_task() -> Task:
    """A task whose networks are trained one by one, because they have a convolution."""
    train = glo.load_task("breast-cancer").train
    data = [(train.inputs[part, :8], train.targets[part]) for part in (slice(60), slice(60, 120))]

    def model() -> nn.Module:
        return nn.Sequential(nn.Unflatten(1, (1, 8)), nn.Conv1d(1, 1, 8), nn.Flatten())

    return Task("slow", model, data[0], data[1], link="sigmoid", training={"batch_size": 30})


@pytest.mark.parametrize("steady", [False, True])
def test_a_search_and_its_confirmation_end_in_time(make_task: MakeTask, tmp_path: Path, steady: bool) -> None:
    """The longer the time, the longer the search; whenever there is time for it, the best is confirmed."""
    lengths: list[int] = []
    for timeout in (70, 100, 130):
        found, clock, _ = searched(
            make_task(), tmp_path / f"{timeout}.db", timeout, genetic={"population": 10, "steady_state": steady}
        )
        assert clock.now <= timeout
        assert [kind for kind, _ in kinds(found)] == [PhaseKind.GENETIC, PhaseKind.CONFIRMATION]
        assert kinds(found)[1][1] == 2
        assert found.best.phase is PhaseKind.CONFIRMATION
        assert found.seeds == 4
        lengths.append(sum(len(record.outcomes) for record in of_search(found)))
    assert 0 < lengths[0] < lengths[1] < lengths[2] < 80


def test_time_that_suffices_changes_nothing(make_task: MakeTask, tmp_path: Path) -> None:
    found, _, _ = searched(make_task(), tmp_path / "timed.db", 1e6)
    whole = discover(make_task(), storage=tmp_path / "glo.db", settings=SETTINGS, **OPTIONS)
    assert found.history_lines() == whole.history_lines()
    assert kinds(found) == [(PhaseKind.GENETIC, 8), (PhaseKind.CONFIRMATION, 2)]


@pytest.mark.parametrize("steady", [False, True])
def test_what_time_has_ended_goes_on_as_if_it_had_not(make_task: MakeTask, tmp_path: Path, steady: bool) -> None:
    """The search asks for the same as without a break, and ends with the same confirmation; the first one stays recorded."""
    options: dict[str, Any] = {"genetic": {"population": 10, "steady_state": steady}}
    whole, _, _ = searched(make_task(), tmp_path / "whole.db", 1e6, **options)
    storage = tmp_path / "glo.db"
    cut, _, _ = searched(make_task(), storage, 80, **options)
    again, clock, executor = searched(make_task(), storage, 1e-9, **options)
    assert again.history == cut.history
    assert (clock.now, executor.trained) == (2.0, 2)  # what early stopping needs to know
    found, _, _ = searched(make_task(), storage, 1e6, **options)
    first = len(cut.history)
    assert found.history_lines()[1 : 1 + len(cut.trials)] == cut.history_lines()[1:]
    assert [o for record in of_search(found) for o in record.outcomes] == [o for r in of_search(whole) for o in r.outcomes]
    assert outcomes(found.history[-2:]) == outcomes(whole.history[-2:])
    assert found.history[first - 1].phase is PhaseKind.CONFIRMATION
    assert (found.best.expression, found.best.fitness, found.seeds) == (whole.best.expression, whole.best.fitness, 4)
    last, _, executor = searched(make_task(), storage, 1e6, **options)
    assert last.history == found.history
    assert executor.trained == 2


@pytest.mark.parametrize(("rounds", "timeout"), [(0, 25), (1, 12)])
def test_a_confirmation_that_was_killed_goes_on(make_task: MakeTask, tmp_path: Path, rounds: int, timeout: int) -> None:
    """To the byte as without the kill, if time ends the study again where it did."""
    storage = tmp_path / "glo.db"
    whole, _, _ = searched(make_task(), tmp_path / "whole.db", 80)
    generations = len(of_search(whole))
    config = compose(make_task(), overrides={**SMALL, **ROUNDS})
    with closing(Store(storage)) as store:
        store.create_study("run", config.model_dump(mode="json"), {})
        for record in whole.history[: generations + rounds]:
            store.record("run", record)
    found, _, _ = searched(make_task(), storage, timeout)
    assert found.history_lines() == whole.history_lines()


def test_a_confirmation_that_does_not_fit_is_left_out(
    make_task: MakeTask, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the first generation nothing is known before; a round is only begun if it is expected to end in time."""
    found, clock, _ = searched(make_task(), tmp_path / "glo.db", 25)
    assert kinds(found) == [(PhaseKind.GENETIC, 1)]
    assert clock.now < 25
    assert found.best.phase is PhaseKind.GENETIC
    found, clock, _ = searched(make_task(), tmp_path / "glo.db", 1e6)
    assert kinds(found) == [(PhaseKind.GENETIC, 8), (PhaseKind.CONFIRMATION, 2)]


def test_before_anything_is_trained(make_task: MakeTask, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    study = glo.Study(make_task(), storage=tmp_path / "glo.db", name="run", settings=SETTINGS)
    found = study.search(timeout=1e-9, **OPTIONS)
    assert (found.history, study.out_of_time, study.time_left) == ([], True, None)
    assert "the timeout of 1e-09 has ended study 'run' before anything was trained to its end" in caplog.text
    assert found.why_nothing_trained == "no candidate was evaluated"
    whole = discover(make_task(), storage=tmp_path / "whole.db", settings=SETTINGS, **OPTIONS)
    resumed = load_study("run", tmp_path / "glo.db", task=make_task())
    assert resumed.resume().history_lines() == whole.history_lines()
    assert not resumed.out_of_time


def test_networks_that_are_trained_one_by_one_are_given_up_in_time(slow_task: Task, tmp_path: Path) -> None:
    """In the middle of a generation, of which nothing is recorded; its trainings are known when the study goes on."""
    storage = tmp_path / "glo.db"
    cut, clock, first = searched(slow_task, storage, 13)
    assert cut.history == []
    assert 13 <= clock.now <= 15
    found, _, second = searched(slow_task, storage, 1e6)
    whole, _, alone = searched(slow_task, tmp_path / "whole.db", 1e6)
    assert found.history_lines() == whole.history_lines()
    assert first.trained + second.trained - alone.trained == 2  # what early stopping needs to know


def test_tuning_waits_for_a_search_that_time_has_ended(make_task: MakeTask, tmp_path: Path) -> None:
    tuning: dict[str, Any] = {"phases": ["genetic", "coefficients"], "generations": 5}
    tuning["coefficients"] = {"iterations": 1, "population": 4, "confirmations": 2}
    storage = tmp_path / "glo.db"
    cut, _, _ = searched(make_task(), storage, 60, **tuning)
    assert [kind for kind, _ in kinds(cut)] == [PhaseKind.GENETIC, PhaseKind.CONFIRMATION]
    found, _, _ = searched(make_task(), storage, 1e6, **tuning)
    assert [kind for kind, _ in kinds(found)][-2:] == [PhaseKind.COEFFICIENTS, PhaseKind.CONFIRMATION]
    assert len(of_search(found)) == 5


class Recording(glo.Callback):
    """Notes the time that is said to be left after each generation."""

    def __init__(self) -> None:
        self.left: list[float | None] = []

    def on_generation(self, study: glo.Study, generation: GenerationRecord) -> None:
        self.left.append(study.time_left)


def test_a_study_says_how_much_time_is_left(make_task: MakeTask, tmp_path: Path) -> None:
    recording = Recording()
    study = glo.Study(make_task(), storage=tmp_path / "glo.db", callbacks=[recording], settings=SETTINGS)
    study.search(**OPTIONS)
    assert len(recording.left) == 10
    assert all(left is not None and left > 0 for left in recording.left[:-1])
    assert recording.left[-1] == 0
    assert study.time_left is None
