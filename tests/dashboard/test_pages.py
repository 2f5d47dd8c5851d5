"""What the pages of the dashboard say of several studies."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dashboards import record
from glo.dashboard.pages import KEPT, Pages
from glo.dashboard.watch import Watch
from glo.records import Direction
from glo.report.content import StudyContent
from glo.store import Store
from made_up_studies import generation, outcome, result

ACCURACY = result([outcome("x*y", 0.5)], task_metric="accuracy")
LOSS = result([outcome("x*y", 0.4)], task_metric="log_loss", task_direction=Direction.MINIMIZE)
UNNAMED = result([outcome("x*y", 0.3)])  # as of an earlier version, which recorded no metric


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "glo.db"


@pytest.fixture
def pages(storage: Path) -> Iterator[Pages]:
    with closing(Watch(storage)) as watch:
        yield Pages(watch)


def test_each_fitness_has_the_name_of_its_metric(storage: Path, pages: Pages) -> None:
    record(storage, ACCURACY, "first")
    record(storage, LOSS, "second")
    record(storage, UNNAMED, "third")
    _, index = pages.index()
    cells = re.findall(r'<td class="n">([^<]*)</td><td>([^<]*)</td>', index)
    assert cells == [
        ("0.3000", "validation metric"),
        ("0.4000", "validation log_loss, lower is better"),
        ("0.5000", "validation accuracy"),
    ]
    for name, label in (("first", "validation accuracy"), ("second", "validation log_loss, lower is better")):
        assert f"({label})" in pages.study(name)[1]


def test_studies_of_two_metrics_are_not_drawn_in_one_chart(storage: Path, pages: Pages) -> None:
    for name, made in (("first", ACCURACY), ("second", LOSS), ("third", UNNAMED)):
        record(storage, made, name)
    _, page = pages.compared(["first", "second", "third"])
    described = re.findall(r"The best (validation [^:]*) so far, by candidates trained: ([^<]*?)\.<", page)
    assert described == [
        ("validation accuracy", "first reaches 0.5000 with 1 candidates; third reaches 0.3000 with 1 candidates"),
        ("validation log_loss, lower is better", "second reaches 0.4000 with 1 candidates"),
    ]


def contents_in_memory() -> int:
    gc.collect()
    return sum(type(each) is StudyContent for each in gc.get_objects())


def test_few_studies_are_kept_in_memory_however_many_are_shown(storage: Path, pages: Pages) -> None:
    names = [f"study-{number}" for number in range(KEPT + 4)]
    for name in names:
        record(storage, ACCURACY, name)
    before = contents_in_memory()
    assert all(name in pages.index()[1] for name in names)
    assert contents_in_memory() == before  # the table of all studies keeps a row of each
    for name in names:
        assert name in pages.study(name)[1]
    assert before < contents_in_memory() <= before + KEPT
    assert all(name in pages.compared(names)[1] for name in names)
    assert contents_in_memory() <= before + KEPT


def test_the_table_of_all_studies_follows_each_of_them(storage: Path, pages: Pages) -> None:
    for name in ("first", "second"):
        record(storage, ACCURACY, name)
    assert pages.index()[1].count("0.5000") == 2
    with closing(Store(storage)) as store:
        store.record("first", generation(1, [outcome("x*log(y)", 0.7)]))
    page = pages.index()[1]
    assert (page.count("0.5000"), page.count("0.7000")) == (1, 1)
    with closing(Store(storage)) as store:
        store.delete("second")
    page = pages.index()[1]
    assert (page.count("0.5000"), page.count("0.7000")) == (0, 1)
