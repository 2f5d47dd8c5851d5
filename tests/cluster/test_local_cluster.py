"""Training on workers of this machine: results are those of this process even if workers die; hanging trainings fail."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="a cluster needs glo-torch[cluster]")

import psutil
from torch import Tensor, nn

import glo
from cluster import misbehaving
from cluster.commands import wait_until
from cluster.processes import workers, workers_killed
from glo.errors import ClusterError, TaskError
from glo.execution import Batch, Executor, InlineExecutor, open_executor, train
from glo.execution.dask import cluster_executor
from glo.execution.dask.config import LocalConfig
from glo.execution.dask.executor import DaskExecutor
from glo.expr import parse
from glo.records import Failure, Result, Status, Training, TrainingConfig, TrainingResult
from glo.tasks import Task, load_task
from glo.testing import ExecutorContract

pytestmark = pytest.mark.cluster
LOSSES = [*misbehaving.RIGHT, misbehaving.WRONG]
SHORT = TrainingConfig(steps=40)


@pytest.fixture(scope="module")
def two_workers() -> Iterator[DaskExecutor]:
    """A cluster that several tests share; only a training that hangs exceeds its time limit."""
    with cluster_executor(LocalConfig(workers=2, time_limit=3, retries=1), "cpu") as executor:
        yield executor


class TestDask(ExecutorContract):
    """The contract of every executor, on real workers."""

    @pytest.fixture(autouse=True)
    def _executor(self, two_workers: DaskExecutor) -> None:
        self.executor = two_workers

    executor: DaskExecutor

    def make(self) -> Executor:
        return self.executor


def one(task: Task, text: str = "x*log(y)", config: TrainingConfig = SHORT) -> Batch:
    """One training."""
    return Batch(task, config, [Training(parse(text), 0.3)], seeds=[0])


@pytest.mark.parametrize("named", [True, False], ids=["by name", "as an object"])
def test_results_are_those_of_this_process(two_workers: DaskExecutor, named: bool) -> None:
    task = load_task("digits") if named else unimportable_task(scale=2.0)
    assert (task.source is not None) is named
    trainings = [Training(parse(text), rate) for text in ("x*log(y)", "x*y") for rate in (0.1, 1.0, 1e38)]
    batch = Batch(task, TrainingConfig(steps=30), trainings, seeds=[3, 3, 3, 4, 4, 4], test=True)
    done: list[int] = []
    assert train(two_workers, batch, done.append) == train(InlineExecutor(), batch)
    assert done[-1] == len(trainings)
    assert done == sorted(done)


@pytest.mark.parametrize("scale", [3.0, 4.0])
def test_tasks_that_differ_in_code_alone_are_not_confused(two_workers: DaskExecutor, scale: float) -> None:
    task = unimportable_task(scale)
    assert task.digest() != unimportable_task(scale=2.0).digest()
    assert train(two_workers, one(task)) == train(InlineExecutor(), one(task))


def unimportable_task(scale: float) -> Task:
    """A task with a model that no worker could import."""

    class Scaled(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name of the base class
            return scale * super().forward(input)

    return Task(
        "own",
        lambda: Scaled(*misbehaving.model().children()),
        misbehaving.points(1),
        misbehaving.points(2),
        misbehaving.points(3),
    )


def test_a_pickled_task_is_sent_once(two_workers: DaskExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    submit = two_workers._submit

    def counted(function: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(function.__name__)
        return submit(function, *arguments, **options)

    monkeypatch.setattr(two_workers, "_submit", counted)
    task = unimportable_task(scale=5.0)
    for _ in range(2):
        train(two_workers, one(task))
    assert sent.count("_same") == 1
    assert sent.count("train_job") == 2


def test_a_search_has_the_same_history_with_workers_killed_again_and_again(tmp_path: Path) -> None:
    """`kill -9` of a worker while a child of it trains, or reports its device."""
    options: dict[str, Any] = {"seed": 3, "generations": 2, "population": 12, "steps": 300, "device": "cpu"}
    whole = glo.discover("digits", storage=tmp_path / "whole.db", **options)
    with workers_killed(3) as killed:
        interrupted = glo.discover("digits", storage=tmp_path / "interrupted.db", cluster="local:2", **options)
    assert len(killed) == 3
    assert interrupted.history_digest() == whole.history_digest()
    assert sum(trial.status is Status.TRAINED for trial in interrupted.trials) > 10


def trained(task: Task, executor: Executor) -> dict[str, Result]:
    """The result of each of `LOSSES`, by text."""
    config = TrainingConfig.model_validate(dict(task.training))
    batch = Batch(task, config, [Training(parse(text), 0.3) for text in LOSSES], seeds=[0] * len(LOSSES))
    return dict(zip(LOSSES, train(executor, batch), strict=True))


def assert_only_the_wrong_one_failed(results: dict[str, Result], failure: Failure) -> None:
    expected = trained(misbehaving.task(lambda: None), InlineExecutor())
    for text in misbehaving.RIGHT:
        assert isinstance(expected[text], TrainingResult)
        assert results[text] == expected[text]
    assert results[misbehaving.WRONG] == failure


@pytest.mark.parametrize("named", [True, False], ids=["by name", "as an object"])
def test_a_training_that_hangs_is_killed_and_timed_out(two_workers: DaskExecutor, named: bool) -> None:
    task = load_task("cluster.misbehaving:hanging") if named else misbehaving.hanging()
    results = trained(task, two_workers)
    assert_only_the_wrong_one_failed(results, Failure(Status.TIMED_OUT, "not ended after 3 s"))


def test_a_training_whose_process_dies_is_crashed(two_workers: DaskExecutor) -> None:
    results = trained(misbehaving.dying(), two_workers)
    assert_only_the_wrong_one_failed(results, Failure(Status.CRASHED, "its process was killed by SIGKILL"))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_training_that_kills_its_workers_is_crashed_after_some_attempts(workers: int) -> None:
    """Others that were on the same workers are trained again, alone."""
    with open_executor(LocalConfig(workers=workers, allowed_failures=1), "cpu") as executor:
        results = trained(misbehaving.killing_workers(), executor)
    assert_only_the_wrong_one_failed(results, Failure(Status.CRASHED, "2 workers died while training it"))


def test_a_retry_goes_to_another_worker(two_workers: DaskExecutor, tmp_path: Path) -> None:
    """The process dies twice, in a population and alone; the next attempt succeeds."""
    note = tmp_path / "note"

    def die_twice() -> None:
        tries = note.read_text().split() if note.exists() else []
        note.write_text(" ".join([*tries, str(os.getppid())]))
        if len(tries) < 2:
            os.kill(os.getpid(), signal.SIGKILL)

    results = trained(misbehaving.task(die_twice), two_workers)
    assert {type(result) for result in results.values()} == {TrainingResult}
    _, alone, again = note.read_text().split()
    assert alone != again


def test_a_retry_whose_worker_dies_goes_to_any_worker_that_is_left(tmp_path: Path) -> None:
    """The process dies twice, in a population and alone; then the worker of the retry is killed, and only the worker that it
    should avoid is left."""
    note = tmp_path / "note"

    def die_often() -> None:
        tries = note.read_text().split() if note.exists() else []
        note.write_text(" ".join([*tries, str(os.getppid())]))
        if len(tries) < 3:
            os.kill(os.getppid() if len(tries) == 2 else os.getpid(), signal.SIGKILL)
            signal.pause()

    with open_executor(LocalConfig(workers=2, retries=1), "cpu") as executor:
        results = trained(misbehaving.task(die_often), executor)
    assert {type(result) for result in results.values()} == {TrainingResult}
    assert len(note.read_text().split()) == 4


def test_a_mistake_in_the_users_code_is_a_failure_that_says_where(two_workers: DaskExecutor) -> None:
    def wrong() -> None:
        raise NameError("predicitons")

    (result,) = train(two_workers, one(misbehaving.task(wrong), misbehaving.WRONG, TrainingConfig(steps=200)))
    assert isinstance(result, Failure)
    assert result.reason.startswith("NameError: predicitons (in wrong, test_local_cluster.py:")


def test_a_task_that_differs_on_the_workers_is_refused(two_workers: DaskExecutor) -> None:
    task = load_task("cluster.misbehaving:different")
    with pytest.raises(TaskError, match=f"'different' differs on worker .*{task.digest()} here"):
        train(two_workers, one(task))


def test_a_task_that_workers_cannot_load_is_refused(two_workers: DaskExecutor, tmp_path: Path, monkeypatch: Any) -> None:
    """Its module is on the driver's path only, since the workers were started before."""
    (tmp_path / "only_here.py").write_text("from cluster.misbehaving import seen_gpus\ntask = seen_gpus()\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TaskError, match=r"cannot be loaded on worker .*only_here"):
        train(two_workers, one(load_task("only_here:task")))


def test_workers_of_another_version_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    before, version = workers(psutil.Process()), glo.__version__
    monkeypatch.setattr("glo.provenance.__version__", "99.9")
    message = re.escape(f"has other versions than the driver: glo is {version} there and 99.9 here")
    with pytest.raises(ClusterError, match=message), open_executor("local:1", "cpu"):
        pass
    assert workers(psutil.Process()) == before


def test_a_worker_of_another_version_that_comes_later_is_refused(
    two_workers: DaskExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_workers, "_versions", {**two_workers._versions, "torch": "1.0"})
    with pytest.raises(ClusterError, match=r"torch is .* there and 1\.0 here"):
        train(two_workers, one(load_task("digits")))


def test_each_worker_has_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the GPUs that the trainings see; there is no GPU here, and they train on the CPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    monkeypatch.setenv("GLO_TEST_SEEN", str(tmp_path))
    # By name: dask prefers the worker that has a pickled task, until another one has been idle for a while.
    task = load_task("cluster.misbehaving:seen_gpus")
    trainings = [Training(parse("x*log(y)"), 0.3)] * 30
    with open_executor("local:3", "cpu") as executor:
        wait_until(lambda: executor.slots == 3)
        for _ in range(4):
            train(executor, Batch(task, TrainingConfig(steps=5), trainings, seeds=[0] * 30))
    assert {path.name.rsplit("-", 2)[0] for path in tmp_path.iterdir()} == {"GPU-a", "GPU-b"}


def test_there_is_a_slot_for_each_worker(two_workers: DaskExecutor) -> None:
    wait_until(lambda: two_workers.slots == 2)


def test_close_cancels_the_parts_that_have_not_started(two_workers: DaskExecutor, tmp_path: Path) -> None:
    """Those that are training end by themselves."""
    slow = misbehaving.slow(str(tmp_path))
    trainings = [Training(parse("x*log(y)"), 0.3)] * 8
    two_workers.submit("slow", Batch(slow, TrainingConfig(steps=5), trainings, seeds=list(range(8))))
    wait_until(lambda: any(worker.children() for worker in workers(psutil.Process())))
    (tmp_path / "go").touch()
    two_workers.next()
    two_workers.close()
    (result,) = train(two_workers, one(load_task("digits")))
    assert isinstance(result, TrainingResult)


def test_a_cluster_with_endless_trainings_closes_at_once() -> None:
    endless = one(load_task("digits"), config=TrainingConfig(steps=10**7))
    with open_executor("local:1", "cpu") as executor:
        executor.submit("endless", endless)
        wait_until(lambda: any(worker.children() for worker in workers(psutil.Process())))
