"""Training on workers of this machine: the same history to the byte, whatever dies; a hanging training is an outcome."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="a cluster needs glo[cluster]")

import psutil

import glo
from cluster import misbehaving
from cluster.commands import wait_until
from cluster.family import workers, workers_killed
from contracts.evaluator_contract import SHORT, EvaluatorContract, digits
from glo.errors import ClusterError, TaskError
from glo.evaluation import LocalEvaluator
from glo.execution import MakeTrainer, Trainer, trainers
from glo.execution.dask.config import LocalConfig
from glo.expr import parse
from glo.records import Job, Outcome, Stage, Status, TrainingConfig
from glo.tasks import Task, load_task
from glo.training import Training, TrainingResult

pytestmark = pytest.mark.cluster
LOSSES = [*misbehaving.RIGHT, misbehaving.WRONG]


@pytest.fixture(scope="module")
def two_workers() -> Iterator[MakeTrainer]:
    """A cluster that several tests share; only a training that hangs takes longer than its limit."""
    with trainers(LocalConfig(workers=2, time_limit=3, retries=1), "cpu") as make_trainer:
        yield make_trainer


class TestClusterEvaluator(EvaluatorContract):
    """The contract of every evaluator, over real workers."""

    @pytest.fixture(autouse=True)
    def _over(self, two_workers: MakeTrainer) -> None:
        type(self).make_trainer = staticmethod(two_workers)

    make_trainer: Any

    def make(self) -> LocalEvaluator:
        return LocalEvaluator(digits(), SHORT, trainer=self.make_trainer(digits(), SHORT))


def test_outcomes_are_those_of_this_machine(two_workers: MakeTrainer) -> None:
    jobs = [Job(parse(text), seed) for text in ("x*log(y)", "log(y) - x/y", "x*sqrt(-1 - y)") for seed in (1, 2)]
    here = LocalEvaluator(digits(), SHORT).evaluate(jobs)
    assert LocalEvaluator(digits(), SHORT, trainer=two_workers(digits(), SHORT)).evaluate(jobs) == here


@pytest.mark.parametrize("named", [True, False], ids=["by name", "as an object"])
def test_results_are_those_of_this_machine(two_workers: MakeTrainer, named: bool) -> None:
    task = load_task("digits") if named else task_of_main(scale=2.0)
    assert (task.source is not None) is named
    trainings = [Training(parse(text), rate) for text in ("x*log(y)", "x*y") for rate in (0.1, 1.0, 1e38)]
    seeds = [3, 3, 3, 4, 4, 4]
    config, done = TrainingConfig(steps=30), list[int]()
    found = two_workers(task, config).train(trainings, seeds, test=True, on_done=done.append)
    assert found == Trainer(task, config).train(trainings, seeds, test=True)
    assert done[-1] == len(trainings)
    assert done == sorted(done)


@pytest.mark.parametrize("scale", [3.0, 4.0])
def test_tasks_that_differ_in_code_alone_are_not_confused(two_workers: MakeTrainer, scale: float) -> None:
    task, training = task_of_main(scale), Training(parse("x*log(y)"), 0.3)
    assert task.digest() == task_of_main(scale=2.0).digest()
    assert two_workers(task, SHORT).train([training], 0) == Trainer(task, SHORT).train([training], 0)


def task_of_main(scale: float) -> Task:
    """A task with a function that no worker could import."""
    return Task(
        "own",
        lambda: misbehaving.model(),
        misbehaving.points(1),
        misbehaving.points(2),
        misbehaving.points(3),
        metric=lambda predictions, targets: float((predictions.argmax(1) == targets).float().mean()) / scale,
    )


def test_a_search_has_the_same_history_with_workers_killed_again_and_again(tmp_path: Path) -> None:
    """`kill -9` of a worker while a child of it trains, or says what device it has."""
    options: dict[str, Any] = {"seed": 3, "generations": 2, "population": 12, "steps": 300, "device": "cpu"}
    whole = glo.discover("digits", storage=tmp_path / "whole.db", **options)
    with workers_killed(3) as killed:
        shot = glo.discover("digits", storage=tmp_path / "shot.db", cluster="local:2", **options)
    assert len(killed) == 3
    assert shot.history_digest() == whole.history_digest()
    assert sum(outcome.status is Status.TRAINED for record in shot.history for outcome in record.outcomes) > 10


def judged(task: Task, make_trainer: MakeTrainer) -> dict[str, Outcome]:
    training = TrainingConfig.model_validate({"learning_rates": [0.3], **task.training})
    evaluator = LocalEvaluator(task, training, trainer=make_trainer(task, training))
    outcomes = evaluator.evaluate([Job(parse(text), 0) for text in LOSSES])
    return dict(zip(LOSSES, outcomes, strict=True))


def assert_only_the_wrong_one_failed(outcomes: dict[str, Outcome], status: Status, reason: str) -> None:
    here = LocalEvaluator(misbehaving.task(lambda: None), TrainingConfig(learning_rates=(0.3,), steps=200, batch_size=20))
    for text, expected in zip(misbehaving.RIGHT, here.evaluate([Job(parse(t), 0) for t in misbehaving.RIGHT]), strict=True):
        assert outcomes[text] == expected
        assert expected.status is Status.TRAINED
    wrong = outcomes[misbehaving.WRONG]
    assert (wrong.status, wrong.stage, wrong.fitness) == (status, Stage.TRAINING, 0.0)
    assert wrong.reason == reason


@pytest.mark.parametrize("named", [True, False], ids=["by name", "as an object"])
def test_a_training_that_hangs_is_killed_and_timed_out(two_workers: MakeTrainer, named: bool) -> None:
    task = load_task("cluster.misbehaving:hanging") if named else misbehaving.hanging()
    outcomes = judged(task, two_workers)
    assert_only_the_wrong_one_failed(outcomes, Status.TIMED_OUT, "not ended after 3 s")


def test_a_training_whose_process_dies_is_crashed(two_workers: MakeTrainer) -> None:
    outcomes = judged(misbehaving.dying(), two_workers)
    assert_only_the_wrong_one_failed(outcomes, Status.CRASHED, "its process was killed by SIGKILL")


def test_a_training_that_kills_its_workers_is_crashed_and_not_tried_for_ever() -> None:
    with trainers(LocalConfig(workers=2, allowed_failures=1), "cpu") as make_trainer:
        outcomes = judged(misbehaving.murdering(), make_trainer)
    assert_only_the_wrong_one_failed(outcomes, Status.CRASHED, "2 workers died while training it")


def test_a_retry_goes_elsewhere_and_helps_where_the_place_was_to_blame(two_workers: MakeTrainer, tmp_path: Path) -> None:
    """It dies once, and leaves a note for the next."""
    note = tmp_path / "note"

    def die_once() -> None:
        tries = note.read_text().split() if note.exists() else []
        note.write_text(" ".join([*tries, str(os.getppid())]))
        if len(tries) < 2:  # with the others, and then alone
            os.kill(os.getpid(), signal.SIGKILL)

    outcomes = judged(misbehaving.task(die_once), two_workers)
    assert {outcome.status for outcome in outcomes.values()} == {Status.TRAINED}
    _, alone, elsewhere = note.read_text().split()
    assert alone != elsewhere


def test_a_retry_whose_worker_goes_is_made_where_there_is_one(tmp_path: Path) -> None:
    """Twice it dies, with the others and alone; then its worker is killed, and only the one that it should avoid is left."""
    note = tmp_path / "note"

    def die_often() -> None:
        tries = note.read_text().split() if note.exists() else []
        note.write_text(" ".join([*tries, str(os.getppid())]))
        if len(tries) < 3:
            os.kill(os.getppid() if len(tries) == 2 else os.getpid(), signal.SIGKILL)
            signal.pause()

    with trainers(LocalConfig(workers=2, retries=1), "cpu") as make_trainer:
        outcomes = judged(misbehaving.task(die_often), make_trainer)
    assert {outcome.status for outcome in outcomes.values()} == {Status.TRAINED}
    assert len(note.read_text().split()) == 4


def test_a_mistake_in_the_users_code_is_raised_here(two_workers: MakeTrainer) -> None:
    def wrong() -> None:
        raise NameError("predicitons")

    with pytest.raises(NameError, match="predicitons"):
        two_workers(misbehaving.task(wrong), TrainingConfig(steps=200)).train([Training(parse(misbehaving.WRONG), 0.3)], 0)


def test_a_task_that_is_another_on_the_workers_is_refused(two_workers: MakeTrainer) -> None:
    task = load_task("cluster.misbehaving:different")
    with pytest.raises(TaskError, match=f"'different' is another on worker .*{task.digest()} here"):
        two_workers(task, TrainingConfig(steps=5)).train([Training(parse("x*log(y)"), 0.3)], 0)


def test_a_task_that_workers_cannot_load_is_refused(two_workers: MakeTrainer, tmp_path: Path, monkeypatch: Any) -> None:
    """A module that only the driver has, on its path since the workers were started."""
    (tmp_path / "only_here.py").write_text("from cluster.misbehaving import where\ntask = where()\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TaskError, match=r"cannot be loaded on worker .*only_here"):
        two_workers(load_task("only_here:task"), TrainingConfig(steps=5)).train([Training(parse("x*log(y)"), 0.3)], 0)


def test_workers_of_another_version_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    before, version = workers(psutil.Process()), glo.__version__
    monkeypatch.setattr("glo.__version__", "99.9")
    message = re.escape(f"is not like the driver: glo is {version} there and 99.9 here")
    with pytest.raises(ClusterError, match=message), trainers("local:1", "cpu"):
        pass
    assert workers(psutil.Process()) == before


def test_a_worker_of_another_version_that_comes_later_is_refused(
    two_workers: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.__version__", "1.0")
    trainer = two_workers(digits(), SHORT)
    with pytest.raises(ClusterError, match=r"torch is .* there and 1\.0 here"):
        trainer.train([Training(parse("x*log(y)"), 0.3)], 0)


def test_each_worker_has_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the trainings see; there is no GPU here, and they train on the CPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    monkeypatch.setenv("GLO_TEST_SEEN", str(tmp_path))
    # By name: a pickled one would be trained where it lies, until somebody else has had nothing to do for a while.
    task = load_task("cluster.misbehaving:where")
    make_trainer: Any
    with trainers("local:3", "cpu") as make_trainer:
        wait_until(lambda: make_trainer.slots() == 3)
        trainer = make_trainer(task, TrainingConfig(steps=5))
        for _ in range(4):
            trainer.train([Training(parse("x*log(y)"), 0.3)] * 30, 0)
    assert {path.name.rsplit("-", 2)[0] for path in tmp_path.iterdir()} == {"GPU-a", "GPU-b"}


def test_nobody_waits_for_what_is_not_wanted(two_workers: MakeTrainer, tmp_path: Path) -> None:
    """Who stops early leaves nothing waiting: what is under way ends by itself, and the rest is not begun."""
    slow = misbehaving.slow(str(tmp_path))
    parts = two_workers(slow, TrainingConfig(steps=5)).parts([Training(parse("x*log(y)"), 0.3)] * 8, list(range(8)))
    first = threading.Thread(target=lambda: next(parts))
    first.start()
    wait_until(lambda: any(worker.children() for worker in workers(psutil.Process())))
    (tmp_path / "go").touch()
    first.join()
    parts.close()  # pyright: ignore[reportAttributeAccessIssue]
    (result,) = two_workers(digits(), SHORT).train([Training(parse("x*log(y)"), 0.3)], 0)
    assert isinstance(result, TrainingResult)
