"""The driver's side: trainings are sent to workers, and results are taken as they come."""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
from distributed import CancelledError, Client, Future, KilledWorker
from distributed.client import ClosedClientError

from glo.errors import ClusterError
from glo.evaluation.dask.config import ClusterConfig
from glo.evaluation.dask.worker import Errand, train_part, versions
from glo.records import TrainingConfig
from glo.tasks import Task
from glo.training import Result, Training, collect, each_seed
from glo.training.processes import Died, Overdue
from glo.training.trainer import in_words, split_parts, worth_stacking

LOOK_AROUND = 5.0  # seconds between looks at whether there are workers at all


@dataclass(frozen=True)
class Sent:
    """A part that is under way: positions, and how often it was tried before."""

    part: list[int]
    future: Future
    tried: int


class ClusterTrainer:
    """Trains networks of one task on the workers of a cluster; otherwise as `glo.training.Trainer`.

    A part whose child crashes or takes too long is tried again, one network at a time, then elsewhere; what fails again is
    a result in words.  A part that loses its worker is sent to another by dask itself.

    Args:
        client: of the cluster.
        config: time limit, retries and patience.
        device: of the workers: "cpu" or "cuda".
        slots: how many parts are trained at once.
    """

    def __init__(
        self,
        client: Client,
        config: ClusterConfig,
        device: str,
        slots: Callable[[], int],
        task: Task,
        training: TrainingConfig,
    ) -> None:
        self._client: Any = client  # whose methods are typed as if they might be coroutines
        self._config, self._slots, self._task, self._training = config, slots, task, training
        self._together = worth_stacking(task, device)
        self._errand = Errand(
            task.name, task.source, str(Path.cwd()), task.digest(), training, device, versions(), config.time_limit
        )
        self._packed: Any = None if task.source else self._send(_same, cloudpickle.dumps(task))

    def train(
        self,
        trainings: Sequence[Training],
        seed: int | Sequence[int],
        test: bool = False,
        on_done: Callable[[int], None] = lambda done: None,
    ) -> list[Result]:
        """As `Trainer.train`."""
        return collect(self.parts(trainings, each_seed(seed, trainings), test), len(trainings), on_done)

    def parts(
        self, trainings: Sequence[Training], seeds: Sequence[int], test: bool = False
    ) -> Iterator[Mapping[int, Result]]:
        """As `Trainer.parts`.

        Raises:
            ClusterError: if the scheduler or all workers are gone.
        """
        if test or self._training.curve_on == "test":
            self._task.split("test")  # misuse is an error, not a failed training
        ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        under_way: dict[str, Sent] = {}

        def send(part: list[int], tried: int = 0, avoid: str | None = None) -> None:
            chosen = [trainings[position] for position in part]
            others = [worker for worker in self._workers() if worker != avoid] if avoid else []
            where = {"workers": others, "allow_other_workers": True} if others else {}
            future = self._send(train_part, self._errand, self._packed, chosen, seeds[part[0]], test, **where)
            key = str(future.key)
            under_way[key] = Sent(part, future, tried)
            future.add_done_callback(lambda _: ended.put(key))

        try:
            for part in split_parts(seeds, self._together, max(1, self._slots())):
                send(part)
            while under_way:
                sent = under_way.pop(self._next(ended))
                found, where = self._found(sent.future)
                if isinstance(found, list):
                    yield dict(zip(sent.part, found, strict=True))
                elif len(sent.part) > 1:
                    for position in sent.part:
                        send([position])
                elif where is not None and sent.tried < self._config.retries:
                    send(sent.part, sent.tried + 1, avoid=where)
                else:
                    yield {sent.part[0]: found if isinstance(found, str) else in_words(found)}
        finally:
            if under_way and self._client.status == "running":
                self._client.cancel([sent.future for sent in under_way.values()])

    def _send(self, function: Callable[..., Any], *arguments: Any, **where: Any) -> Future:
        key = f"{function.__name__}-{uuid.uuid4().hex}"
        with asking(self._client):
            return self._client.submit(function, *arguments, key=key, pure=False, **where)

    def _workers(self) -> list[str]:
        with asking(self._client):
            return list(self._client.scheduler_info()["workers"])

    def _next(self, ended: queue.SimpleQueue[str]) -> str:
        """The key of what has ended next.

        Raises:
            ClusterError: if there is nobody left who could end anything.
        """
        lonely = time.monotonic()
        while True:
            try:
                return ended.get(timeout=LOOK_AROUND)
            except queue.Empty:
                if self._workers():
                    lonely = time.monotonic()
                elif time.monotonic() - lonely > self._config.patience:
                    raise ClusterError(f"no worker has been there for {self._config.patience:g} s") from None

    def _found(self, future: Future) -> tuple[list[Result] | Died | Overdue | str, str | None]:
        """What came of a part, and at which worker; a worker that is gone is none."""
        if future.status == "error":
            error: Any = future.exception()
            if isinstance(error, KilledWorker):
                return f"{error.allowed_failures + 1} workers died while training it", None
            raise error
        with asking(self._client):
            report: Any = future.result()
        return report.found, report.worker


@contextmanager
def asking(client: Client) -> Iterator[None]:
    """A question to the scheduler; that there is none any more is said in one line."""
    gone = ClusterError("the scheduler of the cluster is gone")
    if client.status not in ("running", "connecting"):
        raise gone
    try:
        yield
    except (CancelledError, ClosedClientError, OSError) as error:
        raise gone from error


def _same(packed: bytes) -> bytes:
    return packed
