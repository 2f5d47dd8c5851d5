"""`Study.compare`: the trainings are those of the search, and what differs is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glo.compare import ComparisonConfig, compare_losses
from glo.errors import ConfigError
from glo.execution import Batch, InlineExecutor, Key
from glo.study import Study, load_study
from glo.tasks import Task

MakeTask = Callable[..., Task]
SMALL: Any = {"population": 8, "generations": 2, "steps": 20}
HOW = ComparisonConfig(learning_rates=(0.1, 1.0), tuning_seeds=1, repeats=2, smoothings=(0.2,))
UNLIKE_THE_TASK = [
    "training.batch_size=50", "training.momentum=0.9", "training.weight_decay=0.01", "training.schedule=[[10, 0.5]]",
    "training.class_reduction=mean", "training.eps=1e-3",
]  # fmt: skip


class Recording(InlineExecutor):
    """Trains, and remembers the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Batch] = []

    def submit(self, key: Key, batch: Batch) -> None:
        self.batches.append(batch)
        super().submit(key, batch)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """The file of a store that does not exist yet."""
    return tmp_path / "glo.db"


def test_every_training_has_the_settings_of_the_search(make_task: MakeTask, storage: Path) -> None:
    task, executor = make_task(), Recording()
    study = Study(task, storage=storage, settings=UNLIKE_THE_TASK, cluster=executor)
    search = study.search(**SMALL).config.training
    assert (search.batch_size, search.momentum, search.steps, search.eps) == (50, 0.9, 20, 1e-3)
    executor.batches.clear()
    comparison = study.compare(config=HOW)
    assert {batch.test for batch in executor.batches} == {False, True}
    assert [batch.config for batch in executor.batches] == [search.whole] * len(executor.batches)
    assert comparison.training == search
    assert not any("the search" in warning for warning in comparison.warnings)
    best = study.best.expression
    assert comparison.row(best).values != compare_losses(task, [best], HOW, device="cpu").row(best).values


def test_other_steps_than_those_of_the_search_are_said(make_task: MakeTask, storage: Path) -> None:
    study = Study(make_task(), storage=storage, cluster=InlineExecutor())
    study.search(**SMALL)
    longer = study.compare(config=HOW.model_copy(update={"steps": (10, 20, 30)}))
    assert "trained for 10 and 30 steps; the search used 20" in longer.warnings
    assert "Warning: trained for 10 and 30 steps; the search used 20" in str(longer)
    same = study.compare(config=HOW.model_copy(update={"steps": (20,)}))
    assert not any("the search used" in warning for warning in same.warnings)


def test_a_task_that_has_changed_since_is_said(make_task: MakeTask, storage: Path) -> None:
    Study(make_task(), storage=storage, name="mine").search(**SMALL)
    changed = load_study("mine", storage, task=make_task(shift=1.0), cluster=InlineExecutor())
    (warning,) = [text for text in changed.compare(config=HOW).warnings if "of the search" in text]
    assert "the data, model or metric of task 'points'" in warning


def test_a_loss_that_is_given_and_was_found_has_one_row(make_task: MakeTask, storage: Path) -> None:
    study = Study(make_task(), storage=storage, cluster=InlineExecutor())
    study.search(**SMALL)
    best = study.best.expression
    comparison = study.compare([best, "baikal"], HOW)
    assert [row.name for row in comparison.rows] == ["discovered", "cross_entropy", "label_smoothing", "baikal"]
    assert f"{best} is discovered, and has no row of its own" in comparison.warnings


def test_finalists(make_task: MakeTask, storage: Path) -> None:
    study = Study(make_task(), storage=storage, cluster=InlineExecutor())
    result = study.search(generations=3, population=12, steps=40)
    finalists = [trial.expression for trial in result.finalists(3)]
    assert len(finalists) == 3
    progress: list[str] = []
    comparison = study.compare(["baikal"], HOW, finalists=3, on_progress=lambda label, *_: progress.append(label))
    names = [row.name for row in comparison.rows]
    assert names == ["discovered", "discovered 2", "discovered 3", "cross_entropy", "label_smoothing", "baikal"]
    assert [row.expression for row in comparison.rows[:3]] == finalists
    assert comparison.baseline == "discovered"
    assert comparison.row("discovered 2") == comparison.row(finalists[1])
    assert set(progress) == {"choosing learning rates", "measuring on test"}
    for count in (0, -1):
        with pytest.raises(ConfigError, match=f"at least 1 finalist is compared, not {count}"):
            study.compare(config=HOW, finalists=count)
