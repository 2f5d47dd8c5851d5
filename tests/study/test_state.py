"""How far a study is, as its record tells without its task: `glo.study.state`, against studies that really run and stop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from callbacks import Interrupting
from glo.errors import ReplayError
from glo.records import PhaseKind
from glo.store import GenerationRecord, Store
from glo.study import Callback, Study, enumerate_losses, study_states
from glo.tasks import Task

MakeTask = Callable[..., Task]
SMALL: Any = {"population": 8, "generations": 3, "steps": 20, "confirm": 2}
TUNING = ["coefficients.iterations=1", "coefficients.population=4", "coefficients.confirmations=2"]


class Watching(Callback):
    """Notes the state after each generation, from outside."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_generation(self, study: Study, generation: GenerationRecord) -> None:
        self.seen.append(state_in(study.storage))


def state_in(storage: str | Path) -> str:
    with closing(Store(storage, create=False)) as store:
        (state,) = study_states(store)
    return state["state"]


@pytest.mark.parametrize("options", [{}, {"confirm": 0}, {"steady_state": True}, {"tune": True}, {"trials": 10}])
def test_a_search_runs_then_is_stopped_or_finished(make_task: MakeTask, tmp_path: Path, options: dict[str, Any]) -> None:
    """Wherever it is interrupted, it is finished only if nothing was left to do."""
    whole = Study(make_task(), storage=tmp_path / "whole.db", settings=TUNING, callbacks=[watching := Watching()])
    whole.search(**{**SMALL, **options})
    assert state_in(whole.storage) == "finished"
    assert set(watching.seen) == {"running"}
    count = len(watching.seen)
    for after in {1, count // 2, count - 1, count}:
        cut = Study(make_task(), storage=tmp_path / f"{after}.db", settings=TUNING, callbacks=[Interrupting(after)])
        with pytest.raises(KeyboardInterrupt):
            cut.search(**{**SMALL, **options})
        assert state_in(cut.storage) == ("finished" if after == count else "stopped")


def test_a_search_that_ends_early_is_finished(make_task: MakeTask, tmp_path: Path) -> None:
    study = Study(make_task(), storage=tmp_path / "target.db")
    result = study.search(**{**SMALL, "generations": 30}, target=0.5)
    assert len(result.history) < 30
    assert state_in(study.storage) == "finished"
    study = Study(make_task(), storage=tmp_path / "patience.db")
    result = study.search(**{**SMALL, "generations": 30}, patience=1)
    assert len(result.history) < 30
    assert state_in(study.storage) == "finished"


def test_a_search_that_time_has_ended_can_go_on(make_task: MakeTask, tmp_path: Path) -> None:
    study = Study(make_task(), storage=tmp_path / "glo.db")
    study.search(**{**SMALL, "generations": 1000}, timeout=1.5)
    assert state_in(study.storage) == "stopped"


def test_an_enumeration(make_task: MakeTask, tmp_path: Path) -> None:
    storage = tmp_path / "glo.db"
    with pytest.raises(KeyboardInterrupt):
        Study(make_task(), storage=storage, callbacks=[Interrupting(1)], name="atlas").enumerate(max_depth=2, steps=2)
    assert state_in(storage) == "stopped"
    enumerate_losses(make_task(), storage=tmp_path / "whole.db", max_depth=1, steps=2)
    assert state_in(tmp_path / "whole.db") == "finished"


def test_an_enumeration_whose_losses_fill_its_batches(make_task: MakeTask, tmp_path: Path) -> None:
    """The last batch is smaller than the others all the same, and the study is finished after that one alone."""
    few: Any = {"max_depth": 2, "repeats": 1, "steps": 2}
    weights = "genetic.weights={x = 1.0, y = 1.0, log = 1.0, '*' = 1.0}"
    counted = enumerate_losses(make_task(), storage=tmp_path / "counted.db", settings=[weights], **few)
    losses = len(counted.trials)
    batch = next(size for size in range(2, losses) if losses % size == 0)
    settings = [weights, f"enumeration.batch={batch}"]
    whole = enumerate_losses(make_task(), storage=tmp_path / "whole.db", settings=settings, **few)
    assert [trial.expression for trial in whole.trials] == [trial.expression for trial in counted.trials]
    assert state_in(tmp_path / "whole.db") == "finished"
    before = len(whole.history) - 1
    cut = Study(make_task(), storage=tmp_path / "cut.db", settings=settings, callbacks=[Interrupting(before)])
    with pytest.raises(KeyboardInterrupt):
        cut.enumerate(**few)
    assert state_in(cut.storage) == "stopped"


def test_a_search_in_which_nothing_trains_is_finished(make_task: MakeTask, tmp_path: Path) -> None:
    weights = "genetic.weights={x = 1.0, y = 1.0, '-' = 1.0}"
    for name, tune in (("search", False), ("tuned", True)):
        study = Study(make_task(), storage=tmp_path / f"{name}.db", settings=[weights])
        study.search(**SMALL, tune=tune)
        assert state_in(study.storage) == "finished"


@pytest.mark.parametrize("options", [{}, {"confirm": 0}, {"steady_state": True}])
def test_a_search_that_has_ended_gets_more_generations(make_task: MakeTask, tmp_path: Path, options: dict[str, Any]) -> None:
    """Its generations are those of a search that had so many from the start."""
    given = {**SMALL, **options}
    whole = Study(make_task(), storage=tmp_path / "whole.db", slots=1 if "steady_state" in options else None).search(
        **{**given, "generations": 5}
    )
    study = Study(make_task(), storage=tmp_path / "glo.db", slots=1 if "steady_state" in options else None)
    study.search(**given)
    result = study.resume(generations=5)
    assert state_in(study.storage) == "finished"
    searched = [
        [outcome.expression for record in found.history if record.phase is PhaseKind.GENETIC for outcome in record.outcomes]
        for found in (result, whole)
    ]
    assert searched[0] == searched[1]
    assert study.resume().history_digest() == result.history_digest()
    with pytest.raises(ReplayError, match="generations is 5 there and 4 here"):
        study.resume(generations=4)


def test_a_search_with_trials_or_a_tuning_keeps_its_length(make_task: MakeTask, tmp_path: Path) -> None:
    for number, options in enumerate(({"trials": 10}, {"tune": True})):
        study = Study(make_task(), storage=tmp_path / f"{number}.db", settings=TUNING)
        study.search(**{**SMALL, **options})
        with pytest.raises(ReplayError, match=r"generations is 3 there and 5 here; use .* another name$"):
            study.resume(generations=5)
