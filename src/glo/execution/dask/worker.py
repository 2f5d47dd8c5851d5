"""What runs on a worker: a part of the trainings, in a child process that can be killed."""

from __future__ import annotations

import functools
import multiprocessing
import os
import platform
import queue
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cloudpickle
import numpy as np
import torch
from distributed import Worker, get_worker

import glo
from glo.errors import ClusterError, TaskError
from glo.execution import Trainer
from glo.execution.children import Died, Overdue, import_before_forking, in_processes
from glo.records import TrainingConfig
from glo.tasks import Task, TaskSource, load_task
from glo.training import Result, Training, choose_device
from glo.training.memory import budget

Answer = TypeVar("Answer")
LOOK = 60.0  # seconds that looking for a GPU may take
tasks: dict[str, Task] = {}  # by identity: each is loaded once in a process
loading = threading.Lock()


@dataclass(frozen=True)
class Errand:
    """What all parts of a job have in common.

    Attributes:
        source: how the task is loaded; None if it comes pickled.
        folder: of the driver, where modules of the user's own are.
        digest: of the driver's task; the worker's must be the same.
        identity: of the task; two whose code differs may have the same digest.
        versions: of the driver.
        limit: seconds that a part may take.
    """

    task: str
    source: TaskSource | None
    folder: str
    digest: str
    identity: str
    training: TrainingConfig
    device: str
    versions: dict[str, str]
    limit: float


@dataclass(frozen=True)
class Report:
    """What came of a part, and where."""

    worker: str
    found: list[Result] | Died | Overdue


def train_part(errand: Errand, packed: bytes | None, trainings: list[Training], seed: int, test: bool) -> Report:
    """Train some networks of one seed; one that hangs or dies takes only its child with it.

    Args:
        packed: the pickled task, if it is not loaded by name.

    Raises:
        ClusterError: if versions differ.
        TaskError: if the task cannot be loaded here, or is another.
    """
    check_versions(errand.versions)
    worker = get_worker()
    task = _task(errand, packed)
    share = _memory(worker)

    def train(place: torch.device) -> list[Result]:
        memory = min(budget(errand.training, place), share if place.type == "cpu" else sys.maxsize)
        config = errand.training.model_copy(update={"memory_mb": max(1, memory // 2**20)})
        return Trainer(task, config, place, processes=1).train(trainings, seed, test)

    with leased_gpu() as gpu:
        return Report(worker.address, _in_child(train, errand.device, errand.limit, gpu))


def describe(device: str, dask_worker: Worker) -> dict[str, Any]:
    """What a worker is: its versions, and where it would train.

    Args:
        dask_worker: given by dask.
    """
    about = {"host": socket.gethostname(), "versions": versions(), "threads": dask_worker.state.nthreads}
    about["gpus"] = os.environ.get("CUDA_VISIBLE_DEVICES")
    if multiprocessing.current_process().daemon:
        return {**about, "error": "it may not have children: start it with DASK_DISTRIBUTED__WORKER__DAEMON=False"}
    found = _in_child(_place, device, LOOK)
    return {**about, **(found if isinstance(found, dict) else {"error": str(found)})}


def _place(place: torch.device) -> dict[str, str]:
    return {"device": place.type, "model": torch.cuda.get_device_name(place) if place.type == "cuda" else platform.machine()}


def _in_child(
    work: Callable[[torch.device], Answer], device: str, limit: float, gpu: str | None = None
) -> Answer | Died | Overdue:
    """Only the child uses a GPU: a process that has used one cannot be forked.

    Args:
        gpu: the only one that it sees; None for all that its parent may use.
    """

    def begin(_: None) -> Answer:
        if gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        return work(choose_device(device))

    ((_, answer),) = in_processes(begin, [None], 1, limit)
    return answer


def named_gpus() -> list[str]:
    """The GPUs that CUDA_VISIBLE_DEVICES names."""
    names = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return [name for name in names if name]


@functools.cache
def gpus() -> queue.Queue[str] | None:
    """Those GPUs of this process that are free; None where none is named."""
    if not (names := named_gpus()):
        return None
    free: queue.Queue[str] = queue.Queue()
    for name in names:
        free.put(name)
    return free


@contextmanager
def leased_gpu() -> Iterator[str | None]:
    """One of the GPUs, for one training; None where there are none to share out."""
    if (free := gpus()) is None:
        yield None
        return
    gpu = free.get()
    try:
        yield gpu
    finally:
        free.put(gpu)


def versions() -> dict[str, str]:
    """What driver and workers must have in common."""
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "glo": glo.__version__,
    }


def check_versions(driver: dict[str, str], here: dict[str, str] | None = None, where: str | None = None) -> None:
    """Refuse to work with another version.

    Raises:
        ClusterError: naming what differs.
    """
    found = versions() if here is None else here
    differ = [name for name, ours in driver.items() if found.get(name) != ours]
    if differ:
        shown = "; ".join(f"{name} is {found.get(name)} there and {driver[name]} here" for name in differ)
        raise ClusterError(
            f"worker {where or socket.gethostname()} is not like the driver: {shown}; install the same on both"
        )


def _task(errand: Errand, packed: bytes | None) -> Task:
    with loading:
        if errand.identity not in tasks:
            tasks[errand.identity] = _loaded(errand, packed)
        return tasks[errand.identity]


def _loaded(errand: Errand, packed: bytes | None) -> Task:
    if errand.folder not in sys.path and Path(errand.folder).is_dir():
        sys.path.insert(0, errand.folder)
    import_before_forking()
    try:
        if errand.source is None:
            task = cloudpickle.loads(packed or b"")
        else:
            task = load_task(errand.source.name, dict(errand.source.options), errand.source.data_dir)
    except (ImportError, AttributeError, TaskError) as error:
        raise TaskError(
            f"task '{errand.task}' cannot be loaded on worker {socket.gethostname()}: {error}; what it needs must be "
            f"installed there, or be in {errand.folder}"
        ) from None
    if (digest := task.digest()) != errand.digest:
        raise TaskError(
            f"task '{errand.task}' is another on worker {socket.gethostname()} ({digest} there, {errand.digest} here): its "
            "data, model or metric differ"
        )
    return task


def _memory(worker: Worker) -> int:
    """Bytes that one training may take of what the worker may."""
    limit = worker.memory_manager.memory_limit or sys.maxsize
    return limit // 2 // worker.state.nthreads
