"""Steady-state runs: the same from a seed with one slot, the same from their record with any, killed and resumed."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from callbacks import Following, Interrupting
from glo.errors import ConfigError, ReplayError
from glo.execution import can_fork
from glo.expr import parse
from glo.records import PhaseKind, Stage, Status
from glo.report import progress_figure
from glo.store import GenerationRecord, Store
from glo.study import StudyResult, asked_digest, discover, load_study, recorded_result, study_states
from glo.tasks import Task
from outside import GENERATIONS, rows
from sealed import execute

MakeTask = Callable[..., Task]
SMALL: Any = {"population": 6, "generations": 3, "steps": 20, "steady_state": True, "confirm": 0, "name": "run"}
TOTAL = 18
SLOTS = [1, pytest.param(3, marks=pytest.mark.skipif(not can_fork("cpu"), reason="forking is not safe here"))]

SEARCH = """
import sys
from glo.cli.app import main
main()
"""


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "glo.db"


def arrivals(storage: Path) -> list[GenerationRecord]:
    """What is recorded."""
    with closing(Store(storage, create=False)) as store:
        return store.generations("run")


def left(task: Task, storage: Path, after: int, **options: Any) -> None:
    """A run that is left after some arrivals."""

    with pytest.raises(KeyboardInterrupt):
        discover(task, storage=storage, callbacks=[Interrupting(after)], **{**SMALL, **options})
    assert len(arrivals(storage)) == after


def test_with_one_slot_the_seed_decides(make_task: MakeTask, tmp_path: Path) -> None:
    first, second, other = (
        discover(make_task(), storage=tmp_path / f"{n}.db", slots=1, seed=seed, **SMALL) for n, seed in enumerate([0, 0, 1])
    )
    assert first.history_lines() == second.history_lines()
    assert first.history_digest() == second.history_digest() != other.history_digest()


@pytest.mark.parametrize("slots", SLOTS)
def test_arrivals_are_recorded_one_by_one_and_shown_in_generations(make_task: MakeTask, storage: Path, slots: int) -> None:
    following = Following()
    found = discover(make_task(), storage=storage, slots=slots, callbacks=[following], **SMALL)
    assert following.seen == [(number, False) for number in range(TOTAL)]
    records = arrivals(storage)
    assert [len(record.outcomes) for record in records] == [1] * TOTAL
    assert [len(record.outcomes) for record in found.history] == [6] * 3
    assert [record.generation for record in found.history] == [0, 1, 2]
    assert [o for record in found.history for o in record.outcomes] == [record.outcomes[0] for record in records]
    best = max((r.outcomes[0] for r in records), key=lambda o: (o.status is Status.TRAINED, o.fitness))
    assert (found.expression, found.fitness, found.learning_rate) == (best.expression, best.fitness, best.learning_rate)
    assert len(found.history_lines()) == 1 + TOTAL
    shown = recorded_result(Store(storage), "run")
    assert shown.history == found.history
    assert shown.history_digest() == found.history_digest()
    (state,) = study_states(Store(storage))
    assert (state["generations"], state["planned"], state["fitness"]) == (3, 3, found.fitness)
    figure = progress_figure(shown.history)
    assert np.asarray(figure.axes[0].lines[0].get_xdata()).tolist() == [0, 1, 2]
    assert found.summary()["generations"] == 3


def test_nothing_is_trained_twice(make_task: MakeTask, storage: Path) -> None:
    """With the screen, every candidate is a new loss."""
    found = discover(make_task(), storage=storage, slots=1, **SMALL)
    marks = [outcome.fingerprint for record in found.history for outcome in record.outcomes]
    assert len(set(marks)) == TOTAL
    counts = found.funnel
    assert counts[Stage.EARLY_STOP].candidates == counts[Stage.CACHE].candidates == TOTAL
    assert counts[Stage.CACHE].rejected == 0


@pytest.mark.parametrize("slots", SLOTS)
def test_finished_run_is_replayed(make_task: MakeTask, storage: Path, slots: int) -> None:
    """In the recorded order, whatever the number of slots is now."""
    first = discover(make_task(), storage=storage, slots=slots, **SMALL)
    following = Following()
    again = discover(make_task(), storage=storage, slots=1, callbacks=[following], **SMALL)
    assert following.replayed == [True] * TOTAL
    assert again.history == first.history


@pytest.mark.parametrize("after", [1, 6, 17])
@pytest.mark.parametrize("preset", ["default", "paper"])
def test_unfinished_run_with_one_slot_goes_on_as_if_never_left(
    make_task: MakeTask, tmp_path: Path, after: int, preset: str
) -> None:
    options: dict[str, Any] = {"slots": 1, "preset": preset, "settings": ["training.learning_rates=[0.3]"]}
    whole = discover(make_task(), storage=tmp_path / "whole.db", **{**SMALL, **options})
    left(make_task(), tmp_path / "glo.db", after, **options)
    found = discover(make_task(), storage=tmp_path / "glo.db", **{**SMALL, **options})
    assert found.history_lines() == whole.history_lines()
    for stage, count in whole.funnel.items():
        assert (found.funnel[stage].candidates, found.funnel[stage].rejected) == (count.candidates, count.rejected)


@pytest.mark.parametrize(("after", "slots", "later"), [(1, 3, 3), (7, 3, 1), (16, 3, 3), (12, 1, 8)])
@pytest.mark.skipif(not can_fork("cpu"), reason="forking is not safe here")
def test_unfinished_run_goes_on_from_its_record(
    make_task: MakeTask, storage: Path, after: int, slots: int, later: int
) -> None:
    """What was recorded stays; what was under way is begun anew, and nothing is lost or judged twice."""
    left(make_task(), storage, after, slots=slots)
    before = arrivals(storage)
    found = discover(make_task(), storage=storage, slots=later, **SMALL)
    now = arrivals(storage)
    assert now[:after] == before
    assert len(now) == TOTAL
    assert len({record.outcomes[0].fingerprint for record in now}) == TOTAL
    again = discover(make_task(), storage=storage, **SMALL)
    assert again.history == found.history


def test_arrivals_in_another_order_are_refused(make_task: MakeTask, storage: Path) -> None:
    left(make_task(), storage, 12, slots=1)
    execute(storage, "UPDATE outcomes SET generation = 100 WHERE generation = 7")
    execute(storage, "UPDATE outcomes SET generation = 7 WHERE generation = 8")
    execute(storage, "UPDATE outcomes SET generation = 8 WHERE generation = 100")
    with pytest.raises(ReplayError, match=r"study 'run' cannot go on: before arrival 7, .* start a new study"):
        discover(make_task(), storage=storage, **SMALL)
    assert len(arrivals(storage)) == 12


@pytest.mark.parametrize(
    "change", ["UPDATE outcomes SET fitness = 1.0 - fitness", "UPDATE generations SET asked = 'else' WHERE generation = 9"]
)
def test_a_changed_record_is_refused(make_task: MakeTask, storage: Path, change: str) -> None:
    left(make_task(), storage, 14, slots=1)
    execute(storage, change)
    with pytest.raises(ReplayError, match="other candidates were asked for than are asked for now"):
        discover(make_task(), storage=storage, **SMALL)


def test_steady_state_is_an_option_of_the_run(make_task: MakeTask, storage: Path) -> None:
    discover(make_task(), storage=storage, **SMALL)
    generational: dict[str, Any] = {**SMALL, "steady_state": False}
    with pytest.raises(ReplayError, match=r"genetic\.steady_state is True there and False here"):
        discover(make_task(), storage=storage, **generational)
    unnamed: list[dict[str, Any]] = [{**SMALL, "name": None, "steady_state": steady} for steady in (True, None)]
    names = [discover(make_task(), storage=storage, **options).name for options in unnamed]
    assert names == ["points-default-steady-0", "points-default-0"]


def test_a_run_from_before_the_option_goes_on(make_task: MakeTask, storage: Path) -> None:
    """A record that does not know an option is of a run that had its default."""
    options: dict[str, Any] = {**SMALL, "steady_state": None}
    first = discover(make_task(), storage=storage, **options)
    with closing(sqlite3.connect(storage)) as connection, connection:
        (config,) = connection.execute("SELECT config FROM runs").fetchone()
    recorded = json.loads(config)
    del recorded["genetic"]["steady_state"]
    execute(storage, "UPDATE runs SET config = ?", (json.dumps(recorded),))
    assert discover(make_task(), storage=storage, **options).history == first.history


@pytest.mark.parametrize("slots", [0, -1])
def test_bad_slots(make_task: MakeTask, storage: Path, slots: int) -> None:
    with pytest.raises(ConfigError, match="slots are 1 or more"):
        discover(make_task(), storage=storage, slots=slots, **SMALL)


@pytest.mark.parametrize("slots", SLOTS)
def test_the_best_of_a_steady_state_search_is_tuned(make_task: MakeTask, storage: Path, slots: int) -> None:
    """The phases after it are as ever, and replay after its arrivals."""
    settings = ["coefficients.iterations=2", "coefficients.population=4", "coefficients.confirmations=2", "repeats=2"]
    options: dict[str, Any] = {**SMALL, "tune": True, "settings": settings}
    found = discover(make_task(), storage=storage, slots=slots, **options)
    phases = [record.phase for record in found.history]
    assert phases == [PhaseKind.GENETIC] * 3 + [PhaseKind.COEFFICIENTS] * 2 + [PhaseKind.CONFIRMATION]
    assert [record.generation for record in found.history] == list(range(6))
    genetic = [o for r in found.history[:3] for o in r.outcomes if o.status is Status.TRAINED]
    assert found.tuning is not None
    assert found.tuning["start"] in {o.expression for o in genetic if o.fitness == max(g.fitness for g in genetic)}
    assert discover(make_task(), storage=storage, slots=slots, **options).history == found.history


@pytest.mark.parametrize("slots", SLOTS)
def test_killed_searches_go_on(tmp_path: Path, slots: int) -> None:
    """SIGKILL at random moments: each arrival is in the store or is not, and stays; the end is that of the whole run."""
    options = ["--generations", "3", "--population", "6", "--steps", "60", "--device", "cpu", "--slots", str(slots)]
    search = [
        "search",
        "--task",
        "digits",
        "--steady-state",
        "--confirm",
        "0",
        "--baselines",
        "none",
        *options,
        "--name",
        "run",
    ]
    storage = tmp_path / "glo.db"
    moments = random.Random(slots)  # noqa: S311 - moments, not secrets
    kept: list[GenerationRecord] = []
    for target in (2, 11):
        begin = ["resume", "run", "--baselines", "none", "--slots", str(slots)] if kept else search
        with started([*begin, "--storage", str(storage)]) as process:
            while rows(storage, GENERATIONS) < target:
                assert process.poll() is None, "the search ended before it was killed"
            try:
                process.wait(moments.uniform(0, 0.3))
            except subprocess.TimeoutExpired:
                process.kill()
        assert process.returncode == -signal.SIGKILL
        records = arrivals(storage)
        assert records[: len(kept)] == kept
        assert len(records) >= target
        kept = records
    with started(["resume", "run", "--baselines", "none", "--slots", str(slots), "--storage", str(storage)]) as process:
        assert process.wait(600) == 0
    records = arrivals(storage)
    assert records[: len(kept)] == kept
    assert len({record.outcomes[0].fingerprint for record in records}) == TOTAL
    found = replay(storage)
    assert [o for r in found.history for o in r.outcomes] == [record.outcomes[0] for record in records]
    if slots == 1:
        with started([*search, "--storage", str(tmp_path / "whole.db")]) as process:
            assert process.wait(600) == 0
        assert recorded_result(Store(tmp_path / "whole.db"), "run").history_lines() == found.history_lines()


def started(arguments: list[str]) -> subprocess.Popen[bytes]:
    """A command line in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", SEARCH, *arguments], stdout=subprocess.DEVNULL, env=environment)


def replay(storage: Path) -> StudyResult:
    """The finished run again: every question is asked anew and compared with the record."""
    following = Following()
    found = load_study("run", storage, device="cpu", callbacks=[following]).resume()
    assert following.replayed == [True] * TOTAL
    return found


def test_digest_of_an_arrival_is_of_what_was_asked_since_the_last(make_task: MakeTask, storage: Path) -> None:
    """With one slot, of the candidate that arrives."""
    discover(make_task(), storage=storage, slots=1, **SMALL)
    for record in arrivals(storage):
        assert record.asked == asked_digest([parse(record.outcomes[0].expression)])
