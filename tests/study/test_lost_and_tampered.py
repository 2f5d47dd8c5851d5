"""A store that is lost while a study runs, and records that are longer or other than the study."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from glo.errors import LostStoreError, ReplayError
from glo.study import Callback, Study, StudyResult, discover, load_study
from glo.tasks import Task
from sealed import execute, reseal

MakeTask = Callable[..., Task]
SMALL: Any = {"population": 6, "generations": 3, "steps": 10, "name": "run", "confirm": 0}


class Losing(Callback):
    """Loses the store after the first generation."""

    def __init__(self, path: Path, lose: Callable[[Path], object]) -> None:
        self.path, self.lose = path, lose

    def on_generation(self, study: Study, generation: Any) -> None:
        if generation.generation == 0:
            self.lose(self.path)


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["deleted", "emptied"])
def test_a_study_whose_store_is_lost_is_saved_beside_it(
    make_task: MakeTask, tmp_path: Path, lose: Callable[[Path], object]
) -> None:
    path = tmp_path / "glo.db"
    with pytest.raises(LostStoreError, match=r"saved in .*glo-rescued-1\.db: go on with glo resume run") as caught:
        discover(make_task(), storage=path, callbacks=[Losing(path, lose)], **SMALL)
    result = caught.value.result
    assert isinstance(result, StudyResult)
    saved = load_study("run", tmp_path / "glo-rescued-1.db", task=make_task())
    assert [record.outcomes for record in saved.result.history] == [record.outcomes for record in result.history]
    assert len(result.history) >= 1
    whole = discover(make_task(), storage=tmp_path / "whole.db", **SMALL)
    assert [r.outcomes for r in saved.resume().history] == [r.outcomes for r in whole.history]


def test_surplus_generations_are_refused(make_task: MakeTask, tmp_path: Path) -> None:
    path = tmp_path / "glo.db"
    discover(make_task(), storage=path, **SMALL)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.row_factory = sqlite3.Row
        for table in ("generations", "outcomes"):
            columns = [row["name"] for row in connection.execute(f"PRAGMA table_info({table})")]
            chosen = ", ".join("3" if column == "generation" else column for column in columns)
            connection.execute(f"INSERT INTO {table} SELECT {chosen} FROM {table} WHERE generation = 2")  # noqa: S608
        reseal(connection)
    with pytest.raises(ReplayError, match="study 'run' ends after 3 generations, and its record has 4"):
        load_study("run", path, task=make_task()).resume()


def test_a_generation_of_another_phase_is_refused(make_task: MakeTask, tmp_path: Path) -> None:
    path = tmp_path / "glo.db"
    discover(make_task(), storage=path, **SMALL)
    execute(path, "UPDATE generations SET phase = 'enumeration' WHERE generation = 1")
    with pytest.raises(ReplayError, match="generation 1 is of phase enumeration in the record and of phase genetic now"):
        load_study("run", path, task=make_task()).resume()
