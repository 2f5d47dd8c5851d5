"""Studies of a task that trains in a moment: repeated, replayed, resumed, and refused."""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from callbacks import Following, Interrupting
from glo.errors import ConfigError, ReplayError, StoreError, StudyError
from glo.expr import parse
from glo.loss import ExpressionLoss
from glo.provenance import versions
from glo.records import Outcome, PhaseKind, Stage, Status, new_counts
from glo.store import GenerationRecord, Store
from glo.study import StudyConfig, StudyResult, TaskConfig, asked_digest, discover, load_study, recorded_result, study_states
from glo.tasks import Task
from sealed import execute

MakeTask = Callable[..., Task]
SMALL: Any = {"population": 8, "generations": 3, "steps": 20, "confirm": 0}


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """The file of a store that is not there yet."""
    return tmp_path / "glo.db"


def edit(storage: Path, column: str, change: Callable[[Any], None], name: str = "run") -> None:
    """Change the JSON that is recorded of a run."""
    with closing(sqlite3.connect(storage)) as connection, connection:
        (text,) = connection.execute(f"SELECT {column} FROM runs WHERE name = ?", [name]).fetchone()  # noqa: S608
    value = json.loads(text)
    change(value)
    execute(storage, f"UPDATE runs SET {column} = ? WHERE name = ?", (json.dumps(value), name))  # noqa: S608


def interrupted(task: Task | str, storage: Path, after: int, **options: Any) -> None:
    """A run that is left after some generations."""

    with pytest.raises(KeyboardInterrupt):
        discover(task, storage=storage, name="run", callbacks=[Interrupting(after)], **options)
    assert recorded(storage) == after


def recorded(storage: Path, name: str = "run") -> int:
    """The number of generations that are recorded of a run."""
    return Store(storage, create=False).study(name).generations


def test_same_seed_same_history(make_task: MakeTask, tmp_path: Path) -> None:
    runs = [discover(make_task(), storage=tmp_path / f"{n}.db", **SMALL) for n in range(2)]
    assert runs[0].history_lines() == runs[1].history_lines()
    assert runs[0].history_digest() == runs[1].history_digest()
    assert len(runs[0].history_lines()) == 1 + 3 * 8
    other = discover(make_task(), storage=tmp_path / "0.db", seed=1, **SMALL)
    assert other.history_digest() != runs[0].history_digest()


def test_same_seed_same_history_under_another_name(make_task: MakeTask, storage: Path) -> None:
    """The second run finds all in the cache, and records the same."""
    first = discover(make_task(), storage=storage, name="first", **SMALL)
    second = discover(make_task(), storage=storage, name="second", **SMALL)
    assert second.history_lines() == first.history_lines()
    assert first.funnel[Stage.TRAINING].candidates > 0
    assert second.funnel[Stage.TRAINING].candidates == 0


def test_what_is_recorded_is_what_was_returned(make_task: MakeTask, storage: Path) -> None:
    found = discover(make_task(), storage=storage, name="run", **SMALL)
    read = recorded_result(Store(storage), "run")
    assert read.history == found.history
    assert read.config == found.config
    assert read.history_lines() == found.history_lines()


def test_global_random_state_does_not_matter(make_task: MakeTask, tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = discover(make_task(), storage=tmp_path / "1.db", **SMALL)
    task = make_task()
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = discover(task, storage=tmp_path / "2.db", **SMALL)
    assert first.history_lines() == second.history_lines()
    assert torch.equal(torch.get_rng_state(), state)


def test_finished_run_is_replayed(make_task: MakeTask, storage: Path) -> None:
    first = discover(make_task(), storage=storage, name="run", **SMALL)
    following = Following()
    again = discover(make_task(), storage=storage, name="run", callbacks=[following], **SMALL)
    assert following.seen == [(0, True), (1, True), (2, True)]
    assert again.history == first.history
    assert recorded(storage) == 3


@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("preset", ["default", "paper"])
def test_unfinished_run_goes_on(make_task: MakeTask, tmp_path: Path, after: int, preset: str) -> None:
    options = {**SMALL, "preset": preset, "settings": ["training.learning_rates=[0.3]"]}
    whole = discover(make_task(), storage=tmp_path / "whole.db", **options)
    storage = tmp_path / "glo.db"
    interrupted(make_task(), storage, after, **options)
    following = Following()
    found = discover(make_task(), storage=storage, name="run", callbacks=[following], **options)
    assert following.replayed == [n < after for n in range(3)]
    assert found.history_lines() == whole.history_lines()
    assert found.finalists(3) == whole.finalists(3)
    # The funnel's counters are those of the uninterrupted run too, screening included.
    for stage, count in whole.funnel.items():
        assert (found.funnel[stage].candidates, found.funnel[stage].rejected) == (count.candidates, count.rejected)


def test_resume_goes_on_with_a_builtin_task(tmp_path: Path) -> None:
    options = {**SMALL, "task_options": {"split_seed": 1}}
    whole = discover("digits", storage=tmp_path / "whole.db", **options)
    interrupted("digits", tmp_path / "glo.db", 1, **options)
    found = load_study("run", tmp_path / "glo.db").resume()
    assert found.history_lines() == whole.history_lines()
    assert found.config.task.options == {"split_seed": 1}


def test_resume_goes_on_with_a_task_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "task_for_resume.py").write_text(
        "import numpy as np, torch, glo\n"
        "x = np.random.default_rng(0).normal(size=(60, 2)).astype('float32')\n"
        "t = (x[:, 0] > 0).astype('int64')\n"
        "task = glo.Task('mine', lambda: torch.nn.Linear(2, 2), (x[:40], t[:40]), (x[40:], t[40:]))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    interrupted("task_for_resume:task", tmp_path / "glo.db", 1, **SMALL)
    name = "task_for_resume:task"
    assert len(load_study("run", tmp_path / "glo.db", task=name).resume().history) == 3
    with pytest.raises(ConfigError, match="is for the task task_for_resume:task, not digits"):
        load_study("run", tmp_path / "glo.db", task="digits")


def test_resume_of_an_unknown_run(tmp_path: Path, make_task: MakeTask) -> None:
    with pytest.raises(StoreError, match="no store"):
        load_study("run", tmp_path / "glo.db")
    discover(make_task(), storage=tmp_path / "glo.db", name="first", **SMALL)
    with pytest.raises(StudyError, match=r"no study .run..*first"):
        load_study("run", tmp_path / "glo.db")


def test_run_is_not_started_twice(make_task: MakeTask, storage: Path) -> None:
    discover(make_task(), storage=storage, name="run", **SMALL)
    with pytest.raises(StudyError, match=r"already a study 'run'.*glo resume run"):
        discover(make_task(), storage=storage, name="run", load_if_exists=False, **SMALL)


def test_run_in_use_is_refused(make_task: MakeTask, storage: Path) -> None:
    with Store(storage).lock("run"), pytest.raises(StudyError, match="in use"):
        discover(make_task(), storage=storage, name="run", **SMALL)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"steps": 30}, "training.steps is 20 there and 30 here"),
        ({"generations": 4}, "generations is 3 there and 4 here"),
        ({"generations": 4}, "for more generations: resume(generations=), or glo resume run --generations 4"),
        ({"seed": 5}, "seed is 0 there and 5 here"),
        ({"settings": ["genetic.crossover=0.5"]}, "genetic.crossover is 0.8 there and 0.5 here"),
        ({"preset": "paper"}, "preset is 'default' there and 'paper' here"),
    ],
)
def test_another_configuration_is_refused(
    make_task: MakeTask, storage: Path, change: dict[str, Any], difference: str
) -> None:
    interrupted(make_task(), storage, 1, **SMALL)
    with pytest.raises(ReplayError, match="study 'run' was recorded differently") as caught:
        discover(make_task(), storage=storage, name="run", **{**SMALL, **change})
    assert difference in str(caught.value)
    assert recorded(storage) == 1


def test_changed_data_is_refused(make_task: MakeTask, storage: Path) -> None:
    interrupted(make_task(), storage, 1, **SMALL)
    with pytest.raises(ReplayError, match=r"task\.digest is '\w+' there and '\w+' here"):
        discover(make_task(shift=0.5), storage=storage, name="run", **SMALL)


def test_resume_refuses_changed_data(tmp_path: Path) -> None:
    interrupted("digits", tmp_path / "glo.db", 1, **SMALL)
    edit(tmp_path / "glo.db", "config", lambda config: config["task"].update(digest="0" * 16))
    with pytest.raises(ReplayError, match=r"task\.digest is '0{16}' there"):
        load_study("run", tmp_path / "glo.db").resume()


def test_a_study_of_a_task_object_goes_on_with_the_task_only(make_task: MakeTask, storage: Path) -> None:
    interrupted(make_task(), storage, 1, **SMALL)
    with pytest.raises(StudyError, match=r"started with a Task object.*task="):
        load_study("run", storage).resume()
    assert len(load_study("run", storage, task=make_task()).resume().history) == 3


def test_a_study_recorded_without_the_name_of_its_metric_goes_on_and_gets_it(make_task: MakeTask, storage: Path) -> None:
    """As one of an earlier version; the digest of the task says whether the metric itself is another one."""
    interrupted(make_task(), storage, 1, **SMALL)
    edit(storage, "config", lambda config: config["task"].pop("metric"))
    assert load_study("run", storage).result.config.task.metric == ""
    discover(make_task(), storage=storage, name="run", **SMALL)
    resumed = load_study("run", storage).result
    assert resumed.config.task.metric == "accuracy"
    whole = discover(make_task(), storage=storage, name="whole", **SMALL)
    assert resumed.history_digest() == whole.history_digest()


@pytest.mark.parametrize("library", ["glo", "python", "torch", "numpy"])
def test_changed_versions_are_refused(make_task: MakeTask, storage: Path, library: str) -> None:
    interrupted(make_task(), storage, 1, **SMALL)
    edit(storage, "versions", lambda versions: versions.update({library: "0.0.1"}))
    with pytest.raises(ReplayError, match=rf"{library} is 0\.0\.1 there and .* here") as caught:
        discover(make_task(), storage=storage, name="run", **SMALL)
    assert str(caught.value).count(" there and ") == 1
    assert recorded(storage) == 1


def test_other_candidates_than_recorded_are_refused(make_task: MakeTask, storage: Path) -> None:
    """As after a change of the search's code: generation and candidate are named, and both expressions."""
    interrupted(make_task(), storage, 2, **SMALL)
    execute(storage, "UPDATE outcomes SET expression = 'x*y*7' WHERE generation = 1 AND position = 4")
    execute(storage, "UPDATE generations SET asked = 'something else' WHERE generation = 1")
    with pytest.raises(ReplayError, match=r"in generation 1, candidate 4 is x\*y\*7 in the record and .* now"):
        discover(make_task(), storage=storage, name="run", **SMALL)
    assert recorded(storage) == 2


def test_changed_fitness_leads_to_other_candidates(make_task: MakeTask, storage: Path) -> None:
    """The record is what the search is told, so a record that was tampered with does not go unnoticed."""
    interrupted(make_task(), storage, 2, **SMALL)
    execute(storage, "UPDATE outcomes SET fitness = 1.0 - fitness WHERE generation = 0")
    with pytest.raises(ReplayError, match="in generation 1, candidate"):
        discover(make_task(), storage=storage, name="run", **SMALL)


def test_asked_digest_depends_on_order_and_text() -> None:
    a, b = parse("x*y"), parse("x + y")
    assert len({asked_digest(asked) for asked in ([a, b], [b, a], [a], [b], [])}) == 5
    assert asked_digest([a, b]) == asked_digest([parse("x * y"), parse("x+y")])


def trained(expression: str, mark: str, fitness: float, status: Status = Status.TRAINED) -> Outcome:
    """An outcome of the training of an expression."""
    return Outcome(expression, mark, status, Stage.TRAINING, "", fitness, 0.1)


def of_generations(*generations: list[Outcome]) -> StudyResult:
    """A discovery with this history."""
    history = [
        GenerationRecord(n, PhaseKind.GENETIC, "", outcomes, new_counts(), 1.0) for n, outcomes in enumerate(generations)
    ]
    return StudyResult("run", StudyConfig(task=TaskConfig(name="points")), {}, history)


def test_finalists_are_ordered_by_fitness_then_size_then_age() -> None:
    found = of_generations(
        [trained("x*y + 1 + 1", "a", 0.5), trained("x + y", "b", 0.9), trained("log(y)*x", "c", 0.5)],
        [trained("x*y", "d", 0.5), trained("y*x", "e", 0.5), trained("x*sqrt(y)", "f", 0.7)],
    )
    ranked = [outcome.expression for outcome in found.finalists(10)]
    assert ranked == ["x + y", "x*sqrt(y)", "x*y", "y*x", "log(y)*x", "x*y + 1 + 1"]
    assert [outcome.expression for outcome in found.finalists(2)] == ranked[:2]
    assert found.best.expression == found.expression == "x + y"
    assert (found.fitness, found.learning_rate) == (0.9, 0.1)


def test_finalists_are_distinct_and_trained() -> None:
    found = of_generations(
        [trained("x*y", "a", 0.5), trained("x + y", "b", 0.9, Status.STOPPED), trained("x - y", "c", 1.0, Status.DIVERGED)],
        [trained("y*x", "a", 0.5), trained("x/y", "d", 0.4)],
    )
    assert [outcome.expression for outcome in found.finalists(10)] == ["x*y", "x/y"]


def test_run_in_which_nothing_trains(make_task: MakeTask, storage: Path) -> None:
    # Nothing but x, y and differences: no derivative depends on y or the label, and the funnel rejects all.
    weights = "genetic.weights={x = 1.0, y = 1.0, '-' = 1.0}"
    found = discover(make_task(), storage=storage, name="run", settings=[weights], **SMALL)
    assert found.finalists(5) == []
    assert found.summary()["expression"] is None
    for get in (lambda: found.best, lambda: found.expression, found.loss):
        with pytest.raises(StudyError, match=r"found no loss that trains: .*24 candidates were rejected .* search longer"):
            get()
    # What was tried can still be seen.
    assert len(found.history_lines()) == 1 + 3 * 8
    (state,) = study_states(Store(storage))
    assert (state["name"], state["generations"], state["planned"]) == ("run", 3, 3)
    assert (state["fitness"], state["expression"]) == (None, None)


def test_summary(make_task: MakeTask, storage: Path) -> None:
    found = discover(make_task(), storage=storage, name="run", generations=3, population=8, steps=60, confirm=0)
    summary = found.summary()
    assert json.loads(json.dumps(summary)) == summary
    assert summary["name"] == "run"
    assert summary["expression"] == found.expression
    assert summary["fitness"] == found.fitness == max(o.fitness for o in found.finalists(99))
    assert summary["learning_rate"] == found.learning_rate
    assert summary["generations"] == 3
    assert summary["history_digest"] == found.history_digest()
    assert summary["config"]["training"]["steps"] == 60
    assert summary["versions"] == versions()
    assert summary["seconds"] > 0
    assert {"canonical", "latex", "fingerprint", "funnel"} <= summary.keys()
    assert set(summary["funnel"]) == {str(stage) for stage in Stage if stage is not Stage.CONSTRAINT}
    assert all({"candidates", "rejected", "seconds", "saved"} == set(row) for row in summary["funnel"].values())
    assert summary["funnel"]["cache"]["candidates"] == 24
    assert study_states(Store(storage))[0]["expression"] == found.expression


def test_loss_trains_a_network(make_task: MakeTask, storage: Path) -> None:
    task = make_task()
    loss = discover(task, storage=storage, name="run", generations=3, population=8, steps=60).loss()
    assert isinstance(loss, ExpressionLoss)
    assert str(pickle.loads(pickle.dumps(loss))) == str(loss)  # noqa: S301
    train = task.split("train")
    torch.manual_seed(0)
    network = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(network.parameters(), 0.3)
    before = (network(train.inputs).argmax(1) == train.targets).double().mean()
    for _ in range(200):
        optimizer.zero_grad()
        loss(network(train.inputs), train.targets).backward()
        optimizer.step()
    after = (network(train.inputs).argmax(1) == train.targets).double().mean()
    assert after > max(0.7, float(before))


def test_unknown_device(make_task: MakeTask, storage: Path) -> None:
    with pytest.raises(ConfigError, match="device 'abacus' cannot be used"):
        discover(make_task(), storage=storage, device="abacus", **SMALL)
