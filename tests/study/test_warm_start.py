"""A warm start: losses that are evaluated in the first generation, beside random ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import glo
from glo.catalog.shelf import shelf, start_expressions
from glo.errors import ConfigError, ExpressionError
from glo.expr import parse
from glo.study import StudyResult, discover
from glo.tasks import Task

MakeTask = Callable[..., Task]
SMALL: Any = {"generations": 2, "population": 6, "steps": 20, "confirm": 0, "name": "run"}


def asked(result: StudyResult, generation: int = 0) -> list[str]:
    return [outcome.expression for outcome in result.history[generation].outcomes]


def test_the_given_losses_come_first_and_the_random_ones_are_the_same(make_task: MakeTask, tmp_path: Path) -> None:
    start = ["x*sqrt(y)", "baikal"]
    with_it = discover(make_task(), storage=tmp_path / "with.db", start=start, **SMALL)
    without = discover(make_task(), storage=tmp_path / "without.db", **SMALL)
    assert asked(with_it)[:2] == ["x*sqrt(y)", str(glo.catalog.baikal)]
    random = [expression for expression in asked(with_it)[2:] if expression in asked(without)]
    assert len(asked(with_it)) == 2 + len(asked(without))
    assert len(random) >= len(asked(without)) - 2  # those that train like a given one are replaced
    assert len(asked(with_it, 1)) == len(asked(without, 1)) == SMALL["population"]


def test_the_shelf(make_task: MakeTask, tmp_path: Path) -> None:
    result = discover(make_task(), storage=tmp_path / "glo.db", start=["shelf"], **SMALL)
    shelved = {str(loss) for family in shelf("softmax", 3).values() for loss in family.values()}
    known = [expression for expression in asked(result) if expression in shelved]
    assert len(known) > 30
    assert len(asked(result)) == len(known) + SMALL["population"]
    assert set(result.config.genetic.start) == shelved, "a resume does not depend on the shelf of another version"


def test_a_steady_state_search_begins_with_them(make_task: MakeTask, tmp_path: Path) -> None:
    options = {**SMALL, "steady_state": True, "slots": 1}
    result = discover(make_task(), storage=tmp_path / "glo.db", start=["x*sqrt(y)", "x*y"], **options)
    assert [trial.expression for trial in result.trials[:2]] == ["x*sqrt(y)", "x*y"]
    assert len(result.trials) == SMALL["population"] * SMALL["generations"]


def test_a_study_goes_on_with_what_it_was_started_with(make_task: MakeTask, tmp_path: Path) -> None:
    first = discover(make_task(), storage=tmp_path / "glo.db", start=["gce"], **SMALL)
    again = glo.load_study("run", tmp_path / "glo.db", task=make_task()).search()
    assert again.history_digest() == first.history_digest()


def test_families_names_and_expressions() -> None:
    found = start_expressions(["gce", "x*y**0.7/0.7", "cross-entropy", parse("x*y")], "softmax", 3)
    assert [str(loss) for loss in found] == [
        *(f"x*pow(y, {q})/{q}" for q in (0.3, 0.5, 0.7, 0.9)), "x*log(y)", "x*y",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [(["gee"], ExpressionError, "named losses are"), ("shelf", ConfigError, r"start=\['shelf'\]")],
)
def test_what_is_no_start(make_task: MakeTask, tmp_path: Path, start: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        discover(make_task(), storage=tmp_path / "glo.db", start=start, **SMALL)
    assert list(tmp_path.iterdir()) == []
