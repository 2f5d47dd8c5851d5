"""The executor of a cluster: it sends each part of a batch to a worker, and sends it again if that fails."""

from __future__ import annotations

import hashlib
import queue
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import cloudpickle
from distributed import CancelledError, Client, Future, KilledWorker

from glo.errors import ClusterError
from glo.execution.dask.config import ClusterConfig
from glo.execution.dask.worker import TaskSpec, WorkerJob, WorkerReport, train_job
from glo.execution.parts import Part, parts_of
from glo.execution.protocol import Batch, Key
from glo.provenance import versions
from glo.records import Failure, Result, Status
from glo.tasks import Problem, Task

LOOK_AROUND = 5.0  # seconds between questions to the scheduler about its workers


@dataclass(frozen=True)
class _Attempt:
    """A part that was sent to the cluster.

    Attributes:
        retries: how many times it was sent before, because its process had crashed or timed out.
        workers: addresses of the only workers that may take it; empty for any worker.
        alone: whether nothing else was under way when it was sent.
    """

    part: Part
    future: Future
    retries: int
    workers: frozenset[str]
    alone: bool


class DaskExecutor:
    """Trains on the workers of a cluster, which may come and go.

    If the child process of a part crashes or times out, its networks are trained again one by one; a network that fails
    alone is sent to another worker, up to `config.retries` times, and is then a `Failure`.  If a worker is lost, dask itself
    gives its parts to others.  A part that has lost too many workers may only have been on the same workers as a training
    that kills them: it is trained again when nothing else is under way, and fails if its workers die then too.

    Args:
        client: of the cluster.
        config: time limit, retries and patience.
        device: of the workers: "cpu" or "cuda".
        max_slots: how many slots the cluster may grow to; 0 if it does not grow.
        work: the function that workers call; simulations replace it.
    """

    def __init__(
        self,
        client: Client,
        config: ClusterConfig,
        device: str,
        max_slots: int = 0,
        work: Callable[[WorkerJob, bytes | None], WorkerReport] = train_job,
    ) -> None:
        self.device = device
        self._client: Any = client  # its methods are typed as if they returned coroutines
        self._config, self._max_slots, self._work = config, max_slots, work
        self._versions = versions()
        self._tasks: WeakKeyDictionary[Problem, tuple[TaskSpec, Future | None]] = WeakKeyDictionary()
        self._attempts: dict[str, _Attempt] = {}  # under way, by the key of their future
        self._suspects: deque[Part] = deque()  # have lost too many workers, perhaps because of others
        self._replies: queue.SimpleQueue[tuple[str, WorkerReport | BaseException]] = queue.SimpleQueue()
        self._slots, self._asked = 1, -LOOK_AROUND

    @property
    def slots(self) -> int:
        now = time.monotonic()
        if now - self._asked >= LOOK_AROUND:
            self._slots, self._asked = max(1, self._max_slots, sum(self._workers().values())), now
        return self._slots

    def submit(self, key: Key, batch: Batch) -> None:
        if any(part.key == key for part in (*(attempt.part for attempt in self._attempts.values()), *self._suspects)):
            raise ValueError(f"a batch with the key {key!r} is under way")
        for part in parts_of(key, batch, self.device, max(1, self.slots - len(self._attempts))):
            self._send(part)

    def next(self) -> tuple[Key, dict[int, Result]]:
        while self._attempts or self._suspects:
            if not self._attempts:
                self._send(self._suspects.popleft(), alone=True)
            sent, reply = self._next_reply()
            attempt = self._attempts.pop(sent, None)
            if attempt is None:  # it was cancelled
                continue
            part = attempt.part
            found, worker = self._unpacked(attempt.future, reply)
            if not isinstance(found, Failure):
                return part.key, part.by_position(found)
            if worker is None and not attempt.alone:
                self._suspects += part.one_by_one()
            elif len(part.positions) > 1:
                for one in part.one_by_one():
                    self._send(one)
            elif worker is not None and attempt.retries < self._config.retries:
                self._send(part, attempt.retries + 1, worker, attempt.alone)
            else:
                return part.key, part.by_position([found])
        raise RuntimeError("nothing is under way")

    def close(self) -> None:
        if self._attempts and self._client.status == "running":
            self._client.cancel([attempt.future for attempt in self._attempts.values()])
        self._attempts.clear()
        self._suspects.clear()

    def _send(self, part: Part, retries: int = 0, avoid: str | None = None, alone: bool = False) -> None:
        """Send a part to a worker.

        Args:
            avoid: a worker that should not take it, unless there is no other.
        """
        # A strict choice: of a mere preference, dask would let the idle worker that is to be avoided steal the part.
        others = [worker for worker in self._workers() if worker != avoid] if avoid else []
        batch = part.batch
        spec, pickled = self._task(batch.task)
        job = WorkerJob(
            spec, batch.config, part.trainings, part.seed, batch.test, part.together, self.device, self._versions,
            self._config.time_limit, batch.earlier,
        )  # fmt: skip
        future = self._submit(self._work, job, pickled, workers=others or None)
        self._attempts[str(future.key)] = _Attempt(part, future, retries, frozenset(others), alone)
        self._client.loop.add_callback(self._fetch, future)

    def _task(self, task: Problem) -> tuple[TaskSpec, Future | None]:
        """How workers obtain a task; a pickled one is sent to the cluster once."""
        if task not in self._tasks:
            source = task.source if isinstance(task, Task) else None  # a function is pickled by its name, if it has one
            pickled = b"" if source else cloudpickle.dumps(task)
            digest = task.digest()
            identity = f"{digest} {source} {hashlib.blake2b(pickled).hexdigest()}"
            spec = TaskSpec(task.name, source, str(Path.cwd()), digest, identity)
            self._tasks[task] = spec, self._submit(_same, pickled) if pickled else None
        return self._tasks[task]

    def _submit(self, function: Callable[..., Any], *arguments: Any, workers: list[str] | None = None) -> Future:
        """Have dask call a function on a worker, even if it has called it with the same arguments before."""
        key = f"{function.__name__}-{uuid.uuid4().hex}"
        with scheduler_needed(self._client):
            return self._client.submit(function, *arguments, key=key, pure=False, workers=workers)

    async def _fetch(self, future: Future) -> None:
        """Queue the reply of a worker once it is here.  Runs in dask's event loop.

        A reply stays on its worker until it is fetched; if the worker dies first, dask has another one train the part again.
        """
        reply: WorkerReport | BaseException
        try:
            reply = await self._client.gather(future, asynchronous=True)
        except Exception as error:  # noqa: BLE001 - `next` raises it in the caller's thread
            reply = error
        self._replies.put((str(future.key), reply))

    def _next_reply(self) -> tuple[str, WorkerReport | BaseException]:
        """Wait for a reply and return it with the key of its future; look for workers every `LOOK_AROUND` seconds."""
        seen = time.monotonic()
        while True:
            self._resend_stranded()
            try:
                return self._replies.get(timeout=LOOK_AROUND)
            except queue.Empty:
                if self._workers():
                    seen = time.monotonic()
                elif time.monotonic() - seen > self._config.patience:
                    raise ClusterError(f"the cluster has had no worker for {self._config.patience:g} s") from None

    def _resend_stranded(self) -> None:
        """Send a part to any worker if all workers that may take it have gone."""
        restricted = {sent: attempt for sent, attempt in self._attempts.items() if attempt.workers}
        workers = self._workers() if restricted else {}
        for sent, attempt in restricted.items():
            if attempt.workers.isdisjoint(workers):
                del self._attempts[sent]
                self._client.cancel([attempt.future])
                self._send(attempt.part, attempt.retries, alone=attempt.alone)

    def _workers(self) -> dict[str, int]:
        """The slots of each worker that is there now, by address."""
        with scheduler_needed(self._client):
            return self._client.nthreads()

    def _unpacked(self, future: Future, reply: WorkerReport | BaseException) -> tuple[list[Result] | Failure, str | None]:
        """The results in a reply, or why there are none, and the worker that sent it; None if workers have died.

        An exception of the worker's function is raised here.
        """
        if isinstance(reply, WorkerReport):
            found = reply.found
            return (found if isinstance(found, list) else found.failure()), reply.worker
        if isinstance(reply, KilledWorker):
            return Failure(Status.CRASHED, f"{reply.allowed_failures + 1} workers died while training it"), None
        if future.status == "error":
            raise reply
        with scheduler_needed(self._client):
            raise reply


@contextmanager
def scheduler_needed(client: Client) -> Iterator[None]:
    """Raise a ClusterError of one line if the scheduler is gone, before or during the block."""
    gone = ClusterError("the scheduler of the cluster is gone")
    if not _connected(client):
        raise gone
    try:
        yield
    except Exception as error:
        if isinstance(error, (CancelledError, OSError)) or not _connected(client):
            raise gone from error
        raise


def _connected(client: Client) -> bool:
    return client.status in ("running", "connecting")


def _same(pickled: bytes) -> bytes:
    return pickled
