"""The worker's side: train the trainings of a job in a child process, which can be killed."""

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
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cloudpickle
import torch
from distributed import Worker, get_worker

from glo.errors import ClusterError, TaskError
from glo.execution.children import Died, Overdue, import_before_forking, in_processes
from glo.execution.lasting import LastingChild
from glo.execution.trial import Reports
from glo.execution.work import train_part
from glo.provenance import versions
from glo.records import Result, Training, TrainingConfig
from glo.tasks import Problem, TaskSource, load_task
from glo.training import choose_device
from glo.training.memory import budget

Answer = TypeVar("Answer")
DEVICE_LIMIT = 60.0  # seconds that finding the device of a worker may take
LASTING = ("cuda",)  # devices on which a child process stays for the next job
idle: dict[str | None, tuple[str, LastingChild]] = {}  # by GPU: the identity of the task, and the child that trained it
tasks: dict[str, Problem] = {}  # by identity; a process loads each task once
loading = threading.Lock()


@dataclass(frozen=True)
class TaskSpec:
    """How a worker obtains a task.

    Attributes:
        name: of the task.
        source: how to load it by name; None if it is sent as pickled bytes.
        folder: the driver's working directory, which may contain the user's own modules.
        digest: of the driver's task; the worker's task must have the same.
        identity: digest, source and a hash of the pickled bytes; two tasks that differ in code alone have the same digest.
    """

    name: str
    source: TaskSource | None
    folder: str
    digest: str
    identity: str


@dataclass(frozen=True)
class WorkerJob:
    """Trainings of one seed for one worker, with everything that they depend on.

    Attributes:
        together: whether to train them as one population.
        versions: of the driver.
        time_limit: seconds that all of them may take.
        earlier: what earlier candidates have reported to an objective, or had at the rungs, by step.
    """

    task: TaskSpec
    config: TrainingConfig
    trainings: list[Training]
    seed: int
    test: bool
    together: bool
    device: str
    versions: dict[str, str]
    time_limit: float
    earlier: Reports | None = None


@dataclass(frozen=True)
class WorkerReport:
    """The results of a job, or why there are none.

    Attributes:
        worker: its address.
    """

    worker: str
    found: list[Result] | Died | Overdue


def train_job(job: WorkerJob, pickled: bytes | None) -> WorkerReport:
    """Train the networks of a job.  One that hangs or dies takes only its child process with it.

    Args:
        pickled: the task, if it is not loaded by name.

    Raises:
        ClusterError: if the driver's versions differ.
        TaskError: if the task cannot be loaded here, or differs from the driver's.
    """
    check_versions(job.versions)
    worker = get_worker()
    with leased_gpu() as gpu:
        return WorkerReport(worker.address, train_in_child(job, pickled, _memory_share(worker), gpu))


def train_in_child(job: WorkerJob, pickled: bytes | None, memory: int, gpu: str | None) -> list[Result] | Died | Overdue:
    """Train in a new child process; on a GPU in the one that has trained the task before, if there is one.

    Only a child uses a GPU, since a process that has used one cannot be forked; and a new child needs seconds to open it.

    Args:
        memory: bytes that a training on a CPU may take.
        gpu: the only GPU that the child sees; None for all that its parent may use.
    """
    work = partial(_train, job, pickled, memory)
    if job.device in LASTING:
        return _in_lasting_child(work, job, gpu)
    _task(job.task, pickled)  # here, so that all children have it
    return _in_child(work, job.time_limit, gpu)


def _train(job: WorkerJob, pickled: bytes | None, memory: int) -> list[Result]:
    device, task = choose_device(job.device), _task(job.task, pickled)
    if device.type == "cuda":
        torch.cuda.empty_cache()  # an earlier job of this process has left memory that would not count as free
    free = budget(job.config, device)
    limited = min(free, memory) if device.type == "cpu" else free
    config = job.config.model_copy(update={"memory_mb": max(1, limited // 2**20)})
    return train_part(task, job.trainings, config, job.seed, device, job.test, job.together, job.earlier)


def _in_lasting_child(work: Callable[[], Answer], job: WorkerJob, gpu: str | None) -> Answer | Died | Overdue:
    """Do some work in the child of this GPU and task; afterwards it waits for the next one."""
    identity, child = idle.pop(gpu, ("", None))
    if child is None or identity != job.task.identity:
        if child is not None:
            child.end()
        child = LastingChild({} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu})
    try:
        return child.call(work, job.time_limit)
    finally:
        if not child.ended and idle.setdefault(gpu, (job.task.identity, child))[1] is not child:
            child.end()  # another one waits for this GPU


def describe(device: str, dask_worker: Worker) -> dict[str, Any]:
    """The host, versions, slots and device of a worker, or an error that keeps it from training.

    Args:
        dask_worker: filled in by dask.
    """
    about = {"host": socket.gethostname(), "versions": versions(), "threads": dask_worker.state.nthreads}
    about["gpus"] = os.environ.get("CUDA_VISIBLE_DEVICES")
    if multiprocessing.current_process().daemon:
        error = "it may not start child processes: start it with DASK_DISTRIBUTED__WORKER__DAEMON=False"
        return {**about, "error": error}
    found = _in_child(partial(_describe_device, device), DEVICE_LIMIT)
    return {**about, **(found if isinstance(found, dict) else {"error": str(found)})}


def _describe_device(name: str) -> dict[str, Any]:
    device = choose_device(name)
    if device.type != "cuda":
        return {"device": device.type, "model": platform.machine(), "cards": []}
    used = range(torch.cuda.device_count()) if named_gpus() else [torch.cuda.current_device()]
    cards = [str(torch.cuda.get_device_properties(card).uuid) for card in used]
    return {"device": device.type, "model": torch.cuda.get_device_name(device), "cards": cards}


def _in_child(work: Callable[[], Answer], limit: float, gpu: str | None = None) -> Answer | Died | Overdue:
    """Do some work in a new child process.

    Args:
        gpu: the only GPU that the child sees; None for all that its parent may use.
    """

    def start(_: None) -> Answer:
        if gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        return work()

    ((_, answer),) = in_processes(start, [None], 1, limit)
    return answer


def named_gpus() -> list[str]:
    """The GPUs that CUDA_VISIBLE_DEVICES names."""
    names = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return [name for name in names if name]


@functools.cache
def free_gpus() -> queue.Queue[str] | None:
    """The named GPUs that no training of this process uses now; None if CUDA_VISIBLE_DEVICES names none."""
    if not (names := named_gpus()):
        return None
    free: queue.Queue[str] = queue.Queue()
    for name in names:
        free.put(name)
    return free


@contextmanager
def leased_gpu() -> Iterator[str | None]:
    """A GPU for one training; waits until one is free.  None if CUDA_VISIBLE_DEVICES names none."""
    if (free := free_gpus()) is None:
        yield None
        return
    gpu = free.get()
    try:
        yield gpu
    finally:
        free.put(gpu)


def check_versions(driver: dict[str, str], worker: dict[str, str] | None = None, where: str | None = None) -> None:
    """Refuse to work with other versions.

    Args:
        worker: the versions of the worker; by default those of this process.
        where: the worker's address and host; by default this host.

    Raises:
        ClusterError: naming the versions that differ.
    """
    found = versions() if worker is None else worker
    differ = [name for name, ours in driver.items() if found.get(name) != ours]
    if differ:
        shown = "; ".join(f"{name} is {found.get(name)} there and {driver[name]} here" for name in differ)
        raise ClusterError(
            f"worker {where or socket.gethostname()} has other versions than the driver: {shown}; install the same on both"
        )


def _task(spec: TaskSpec, pickled: bytes | None) -> Problem:
    with loading:
        if spec.identity not in tasks:
            tasks[spec.identity] = _loaded(spec, pickled)
        return tasks[spec.identity]


def _loaded(spec: TaskSpec, pickled: bytes | None) -> Problem:
    if spec.folder not in sys.path and Path(spec.folder).is_dir():
        sys.path.insert(0, spec.folder)
    import_before_forking()
    try:
        if spec.source is None:
            task = cloudpickle.loads(pickled or b"")
        else:
            task = load_task(spec.source.name, dict(spec.source.options), spec.source.data_dir)
    except (ImportError, AttributeError, TaskError) as error:
        raise TaskError(
            f"task '{spec.name}' cannot be loaded on worker {socket.gethostname()}: {error}; its modules must be installed "
            f"there, or be in {spec.folder}"
        ) from None
    if (digest := task.digest()) != spec.digest:
        raise TaskError(
            f"task '{spec.name}' differs on worker {socket.gethostname()} ({digest} there, {spec.digest} here): its data, "
            "model or metric is not the same"
        )
    return task


def _memory_share(worker: Worker) -> int:
    """Bytes for one training: half of the worker's limit, divided by its slots."""
    limit = worker.memory_manager.memory_limit or sys.maxsize
    return limit // 2 // worker.state.nthreads
