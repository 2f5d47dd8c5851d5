"""Jobs in a child that stays, as on a GPU, and which GPUs a cluster may use; without a GPU they train on the CPU."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="a cluster needs glo-torch[cluster]")

import cloudpickle
import torch
from torch import Tensor, nn

from glo.errors import ClusterError, TaskError
from glo.execution import Batch, open_executor, train
from glo.execution.children import Died, Overdue
from glo.execution.dask import worker
from glo.execution.dask.cluster import shared_gpu
from glo.execution.dask.worker import TaskSpec, WorkerJob, train_in_child
from glo.expr import parse
from glo.provenance import versions
from glo.records import Training, TrainingConfig
from glo.tasks import Task, load_task

pytestmark = pytest.mark.cluster

TRAININGS = [Training(parse(text), rate) for text in ("x*log(y)", "x*y") for rate in (0.1, 0.5)]
MEMORY = 2**30
HERE = os.getpid()  # where the metric of a task is tried before it is used


@pytest.fixture(autouse=True)
def _lasting_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(worker, "LASTING", ("cpu",))
    yield
    for _, child in worker.idle.values():
        child.end()
    worker.idle.clear()


def job_for(task: Task, limit: float = 600.0, digest: str | None = None) -> tuple[WorkerJob, bytes]:
    """A job with the task as it is sent to a worker."""
    pickled = cloudpickle.dumps(task)
    identity = hashlib.sha256(pickled).hexdigest()
    spec = TaskSpec(task.name, None, str(Path.cwd()), digest or cloudpickle.loads(pickled).digest(), identity)
    config = TrainingConfig(steps=20, batch_size=20)
    return WorkerJob(spec, config, TRAININGS, 3, False, True, "cpu", versions(), limit), pickled


def task_of(metric: Any, name: str = "points") -> Task:
    generator = torch.Generator().manual_seed(1)
    targets = torch.arange(60) % 3
    inputs = torch.randn(60, 6, generator=generator) + 2 * torch.eye(3, 6)[targets]
    return Task(
        name, lambda: nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.2)), (inputs, targets), (inputs, targets), metric=metric
    )


def share_of_right(predictions: Tensor, targets: Tensor) -> float:
    return float((predictions.argmax(1) == targets).float().mean())


def process_of(gpu: str | None = None) -> int:
    (found,) = [child for card, (_, child) in worker.idle.items() if card == gpu]
    answer = found.call(os.getpid)
    assert isinstance(answer, int)
    return answer


def test_results_are_those_of_new_processes_whatever_was_trained_before(monkeypatch: pytest.MonkeyPatch) -> None:
    job, pickled = job_for(task_of(share_of_right))
    lasting = [train_in_child(job, pickled, MEMORY, None) for _ in range(3)]
    monkeypatch.setattr(worker, "LASTING", ())
    assert [train_in_child(job, pickled, MEMORY, None)] * 3 == lasting
    assert isinstance(lasting[0], list)


def test_a_child_stays_for_the_next_job_of_its_task_and_gpu() -> None:
    job, pickled = job_for(task_of(share_of_right))
    train_in_child(job, pickled, MEMORY, None)
    first = process_of()
    train_in_child(job, pickled, MEMORY, None)
    assert process_of() == first
    train_in_child(job, pickled, MEMORY, "GPU-b")
    assert process_of("GPU-b") != first
    other, pickled = job_for(task_of(share_of_right, "other"))
    train_in_child(other, pickled, MEMORY, None)
    assert process_of() != first


def deadly(predictions: Tensor, targets: Tensor) -> float:
    if os.getpid() != HERE:
        signal.raise_signal(signal.SIGKILL)
    return share_of_right(predictions, targets)


def endless(predictions: Tensor, targets: Tensor) -> float:
    if os.getpid() != HERE:
        signal.pause()
    return share_of_right(predictions, targets)


def test_a_job_that_dies_or_hangs_costs_only_its_child() -> None:
    dead, pickled = job_for(task_of(deadly))
    assert train_in_child(dead, pickled, MEMORY, None) == Died(-signal.SIGKILL)
    assert not worker.idle
    late, pickled = job_for(task_of(endless), limit=5.0)
    assert train_in_child(late, pickled, MEMORY, None) == Overdue(5.0)
    assert not worker.idle
    job, pickled = job_for(task_of(share_of_right))
    assert isinstance(train_in_child(job, pickled, MEMORY, None), list)


def test_an_error_of_the_task_crosses() -> None:
    job, pickled = job_for(task_of(share_of_right, "unknown"), digest="another")
    with pytest.raises(TaskError, match="differs on worker"):
        train_in_child(job, pickled, MEMORY, None)


def of_worker(threads: int, *cards: str) -> dict[str, Any]:
    return {"host": "here", "threads": threads, "cards": list(cards)}


def test_which_workers_share_a_gpu() -> None:
    assert shared_gpu({}) is None
    assert shared_gpu({"a": of_worker(8), "b": of_worker(8)}) is None
    assert shared_gpu({"a": of_worker(1, "GPU-1"), "b": of_worker(2, "GPU-2", "GPU-3")}) is None
    assert (
        shared_gpu({"a": of_worker(1, "GPU-1"), "b": of_worker(1, "GPU-1")})
        == "workers a on here and b on here have the same GPU"
    )
    assert shared_gpu({"a": of_worker(2, "GPU-1")}) == "worker a on here has 2 slots and 1 GPU to train on"


def test_more_workers_than_gpus_are_refused_before_they_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a")
    with (
        pytest.raises(ClusterError, match=r"2 workers would train on 1 GPU; .* start one worker"),
        open_executor("local:2", "auto"),
    ):
        pass


def test_workers_that_may_share_gpus_train(tmp_path: Path) -> None:
    """On the CPU here; the option is read from the cluster's file."""
    file = tmp_path / "cluster.toml"
    file.write_text('kind = "local"\nworkers = 2\nshare_gpus = true\n')
    with open_executor(str(file), "cpu") as executor:
        results = train(executor, Batch(load_task("digits"), TrainingConfig(steps=5), TRAININGS, [0] * len(TRAININGS)))
    assert len(results) == len(TRAININGS)
