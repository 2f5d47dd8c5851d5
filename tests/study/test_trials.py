"""How many candidates a search with generations evaluates, and whether it has reached its target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import glo
from glo.errors import ConfigError, ReplayError
from glo.study import compose, discover
from glo.tasks import Task

MakeTask = Callable[..., Task]
SMALL: dict[str, Any] = {"population": 8, "steps": 10, "confirm": 0}


def lengths(result: glo.StudyResult) -> list[int]:
    return [len(record.outcomes) for record in result.history]


@pytest.mark.parametrize(
    ("trials", "generations", "expected"),
    [(20, None, [8, 8, 4]), (16, None, [8, 8]), (5, None, [5]), (20, 2, [8, 8]), (9, 5, [8, 1])],
)
def test_trials_and_generations(
    make_task: MakeTask, tmp_path: Path, trials: int, generations: int | None, expected: list[int]
) -> None:
    """What is reached first ends the search; trials alone have as many generations as they need."""
    study = glo.Study(make_task(), storage=tmp_path / "glo.db")
    found = study.search(trials=trials, generations=generations, **SMALL)
    assert lengths(found) == expected
    assert found.config.planned == len(expected)
    whole = discover(make_task(), storage=tmp_path / "whole.db", generations=3, **SMALL)
    full = len([length for length in expected if length == 8])
    assert found.history_lines()[1 : 1 + 8 * full] == whole.history_lines()[1 : 1 + 8 * full]
    if expected[-1] < 8 and full:  # what is left is for new candidates, not for the elites
        before = {trial.fingerprint for trial in found.trials[: 8 * full]}
        assert before.isdisjoint(trial.fingerprint for trial in found.trials[8 * full :])
    assert study.search().history == found.history
    with pytest.raises(ReplayError, match="trials is"):
        study.search(trials=trials + 1)


def test_given_losses_count_too(make_task: MakeTask, tmp_path: Path) -> None:
    study = glo.Study(make_task(), storage=tmp_path / "glo.db")
    found = study.search(trials=12, start=["x*sqrt(y)", "x*y"], **SMALL)
    assert lengths(found) == [10, 2]
    assert found.config.planned == 2


def test_trials_in_a_file_or_setting(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task()
    assert compose(task, settings=["trials=1000"]).generations == 25
    assert compose(task, settings=["trials=1000", "generations=3"]).generations == 3
    file = tmp_path / "options.toml"
    file.write_text("trials = 100\n[genetic]\npopulation = 10\n", encoding="utf-8")
    assert compose(task, file=file).generations == 10
    assert compose(task, settings=["trials=1000", "genetic.steady_state=true"]).generations == 15  # which it does not read
    assert compose(task, preset="paper", settings=["trials=1000"]).candidates == 1000


def test_a_search_after_another_phase_has_trials_of_its_own(make_task: MakeTask, tmp_path: Path) -> None:
    study = glo.Study(make_task(), storage=tmp_path / "glo.db", settings=["genetic.elites=0", "genetic.viable=false"])
    study.enumerate(max_depth=1, repeats=1, steps=10)
    before = len(study.trials)
    found = study.search(trials=33, population=2, confirm=0)
    assert found.config.generations == 17
    assert len(found.trials) == before + 33


@pytest.mark.parametrize("steady", [False, True])
def test_trials_that_are_fewer_than_the_finalists(make_task: MakeTask, tmp_path: Path, steady: bool) -> None:
    study = glo.Study(make_task(), storage=tmp_path / "glo.db")
    with pytest.raises(ConfigError, match=r"11 trials are fewer than the 12 candidates of the confirmation: .*--confirm 11"):
        study.search(trials=11, steady_state=steady)
    assert list(tmp_path.iterdir()) == []
    assert compose(make_task(), settings=["trials=11", "confirmation.candidates=11"]).trials == 11


@pytest.mark.parametrize(("target", "reached"), [(None, None), (0.1, True), (1.5, False)])
def test_whether_the_target_was_reached(
    make_task: MakeTask, tmp_path: Path, target: float | None, reached: bool | None
) -> None:
    found = discover(make_task(), storage=tmp_path / "glo.db", generations=2, target=target, **SMALL)
    assert found.target_reached is found.summary()["target_reached"] is reached


def test_a_target_of_an_error_is_below(tmp_path: Path) -> None:
    study = glo.Study(lambda trial: 0.5, name="mine", classes=3, direction="minimize", storage=tmp_path / "glo.db")
    assert study.search(trials=3, target=0.4).target_reached is False
    other = glo.Study(lambda trial: 0.3, name="other", classes=3, direction="minimize", storage=tmp_path / "glo.db")
    assert other.search(trials=3, target=0.4).target_reached is True
