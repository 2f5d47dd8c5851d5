"""What is checked before a study begins, and a record that nothing was written to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callbacks import Interrupting
from glo.errors import ConfigError, ReplayError, StudyError
from glo.records import Outcome, PhaseKind
from glo.store import GenerationRecord, Store
from glo.study import Callback, Study, StudyResult, discover, load_study
from glo.tasks import Task

MakeTask = Callable[..., Task]
SMALL: Any = {"population": 6, "generations": 2, "steps": 10, "confirm": 0}


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """The file of a store that does not exist yet."""
    return tmp_path / "glo.db"


class BeforeAnything(Callback):
    """Ends the study before its first generation is recorded."""

    def on_outcome(self, study: Study, outcome: Outcome) -> None:
        raise KeyboardInterrupt


def left_empty(task: Task, storage: Path, **options: Any) -> None:
    """Leave a study of which nothing is recorded but its configuration."""
    with pytest.raises(KeyboardInterrupt):
        discover(task, storage=storage, name="study", callbacks=[BeforeAnything()], **options)
    assert Store(storage).study("study").generations == 0


@pytest.mark.parametrize(
    "options", [{"device": "gpu"}, {"cluster": "abacus"}, {"cluster": "nowhere.toml"}, {"slots": 2}, {"preset": "papper"}]
)
def test_a_mistake_leaves_nothing_behind(make_task: MakeTask, storage: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        discover(make_task(), storage=storage, **options, **SMALL)
    assert not storage.exists()
    assert len(discover(make_task(), storage=storage, **SMALL).history) == 2


def test_slots_are_for_a_steady_state_search(make_task: MakeTask, storage: Path) -> None:
    for phase in (
        lambda study: study.search(**SMALL),
        lambda study: study.enumerate(max_depth=1),
        lambda study: study.tune("baikal"),
    ):
        with pytest.raises(ConfigError, match="slots are for a steady-state search"):
            phase(Study(make_task(), storage=storage, slots=2))
    found = discover(make_task(), storage=storage, name="a", slots=2, steady_state=True, **SMALL)
    assert load_study("a", storage, task=make_task(), slots=1).resume().history == found.history


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ([BeforeAnything], "not the class BeforeAnything"),
        ([print], "not builtin_function_or_method"),
        ([None], "not NoneType"),
        (print, "not builtin_function_or_method"),
        (BeforeAnything(), "callbacks are a list"),
    ],
)
def test_a_callback_that_is_none_is_refused_at_once(make_task: MakeTask, callbacks: Any, message: str) -> None:
    """Not when the first outcome arrives."""
    with pytest.raises(ConfigError, match=message):
        Study(make_task(), callbacks=callbacks)


def test_another_call_replaces_a_record_without_generations(make_task: MakeTask, storage: Path) -> None:
    """The study then is as if it were the first of its name: other options, another task, another phase."""
    left_empty(make_task(), storage, **SMALL)
    longer = discover(make_task(shift=1.0), storage=storage, name="study", **{**SMALL, "steps": 15})
    expected = discover(make_task(shift=1.0), storage=storage, name="other", **{**SMALL, "steps": 15})
    assert longer.history_lines() == expected.history_lines()
    assert longer.config == Study(make_task(), storage=storage, name="study").result.config == expected.config
    with pytest.raises(ReplayError, match=r"training\.steps is 15 there and 10 here"):
        discover(make_task(shift=1.0), storage=storage, name="study", **SMALL)


def test_another_phase_replaces_a_record_without_generations(make_task: MakeTask, storage: Path) -> None:
    left_empty(make_task(), storage, **SMALL)
    study = Study(make_task(), storage=storage, name="study")
    with pytest.raises(ConfigError, match="nothing to tune"):
        study.tune()
    assert study.tune("baikal", iterations=1, population=4, steps=5).config.phases == (PhaseKind.COEFFICIENTS,)


def test_a_record_without_generations_can_be_gone_on_with(make_task: MakeTask, storage: Path) -> None:
    """With its recorded options, by a call again and by `resume`."""
    expected = discover(make_task(), storage=storage, name="expected", **SMALL)
    for go_on in (Study.search, Study.resume):
        left_empty(make_task(), storage, **SMALL)
        found: StudyResult = go_on(load_study("study", storage, task=make_task()))
        assert found.history_lines() == expected.history_lines()
        storage.unlink()


def test_a_record_with_generations_is_not_replaced(make_task: MakeTask, storage: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        discover(make_task(), storage=storage, name="study", callbacks=[Interrupting(1)], **SMALL)
    before = Store(storage).study("study")
    assert before.generations == 1
    with pytest.raises(StudyError, match="already a study 'study'"):
        discover(make_task(), storage=storage, name="study", load_if_exists=False, **SMALL)
    with pytest.raises(ReplayError, match=r"training\.steps"):
        discover(make_task(), storage=storage, name="study", **{**SMALL, "steps": 15})
    assert Store(storage).study("study") == before


def test_a_study_that_another_process_has_just_begun_is_not_replaced(
    make_task: MakeTask, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It recorded its first generation between the look at the record and the lock."""
    left_empty(make_task(), storage, **SMALL)
    empty = Store(storage).study("study")
    study = load_study("study", storage, task=make_task())
    study.search()
    monkeypatch.setattr("glo.study.study.find_record", lambda storage, name: empty)
    with pytest.raises(StudyError, match="already a study 'study'"):
        discover(make_task(), storage=storage, name="study", **{**SMALL, "steps": 15})
    history: list[GenerationRecord] = Store(storage).generations("study")
    assert history == study.result.history
