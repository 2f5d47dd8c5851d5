"""Trainings are sent to workers, and their results brought back as they come."""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from distributed import CancelledError, Client, Future, KilledWorker
from distributed.client import ClosedClientError

from glo.errors import ClusterError
from glo.execution.children import Died, Overdue, in_words
from glo.execution.dask.config import ClusterConfig
from glo.execution.dask.worker import Errand, Report, train_part
from glo.training import Result, Training

Tag = TypeVar("Tag", bound=Hashable)
LOOK_AROUND = 5.0  # seconds between looks at which workers there are


@dataclass(frozen=True)
class Parcel(Generic[Tag]):
    """Trainings of one seed that are sent together, by tag; how often that was tried before, and where only it may go."""

    trainings: Mapping[Tag, Training]
    seed: int
    tried: int
    future: Future
    only: frozenset[str]


class Courier(Generic[Tag]):
    """Sends trainings under tags of the sender's choice.

    Trainings whose child crashes or takes too long are tried again, one network at a time, then elsewhere; what fails again
    is a result in words.  What loses its worker is sent to another by dask itself.

    Args:
        client: of the cluster.
        config: time limit, retries and patience.
        errand: what all trainings have in common.
        packed: the task, where it is not loaded by name.
        test: whether to measure on the test split too.
        work: what a worker does; another than training is for simulations.
    """

    def __init__(
        self,
        client: Client,
        config: ClusterConfig,
        errand: Errand,
        packed: Any,
        test: bool = False,
        work: Callable[..., Report] = train_part,
    ) -> None:
        self._client: Any = client  # whose methods are typed as if they might be coroutines
        self._config, self._errand, self._packed, self._test, self._work = config, errand, packed, test, work
        self._ended: queue.SimpleQueue[tuple[str, Report | BaseException]] = queue.SimpleQueue()
        self._under_way: dict[str, Parcel[Tag]] = {}
        self._bound: set[str] = set()  # those that may not go everywhere

    def __len__(self) -> int:
        """How many parcels are under way."""
        return len(self._under_way)

    def send(self, trainings: Mapping[Tag, Training], seed: int, tried: int = 0, avoid: str | None = None) -> None:
        """Send trainings of one seed to one worker; never waits.

        Args:
            avoid: a worker that they should not go to, if there is another.
        """
        # Strictly: what merely prefers other workers is stolen back by the idle one that it should avoid.
        others = [worker for worker in self._workers() if worker != avoid] if avoid else []
        where = {"workers": others} if others else {}
        sent = list(trainings.values())
        future = submit(self._client, self._work, self._errand, self._packed, sent, seed, self._test, **where)
        key = str(future.key)
        self._under_way[key] = Parcel(trainings, seed, tried, future, frozenset(others))
        if others:
            self._bound.add(key)
        self._client.loop.add_callback(self._bring, future)

    def next(self) -> dict[Tag, Result]:
        """Wait for the results of whatever ends first.

        Raises:
            ClusterError: if the scheduler or all workers are gone.
        """
        while True:
            key, brought = self._next()
            parcel = self._under_way.pop(key, None)
            if parcel is None:  # it was sent again meanwhile
                continue
            found, worker = self._opened(parcel.future, brought)
            if isinstance(found, list):
                return dict(zip(parcel.trainings, found, strict=True))
            if len(parcel.trainings) > 1:
                for tag, training in parcel.trainings.items():
                    self.send({tag: training}, parcel.seed)
            elif worker is not None and parcel.tried < self._config.retries:
                self.send(parcel.trainings, parcel.seed, parcel.tried + 1, avoid=worker)
            else:
                return dict.fromkeys(parcel.trainings, found if isinstance(found, str) else in_words(found))

    def close(self) -> None:
        """Give up what is under way."""
        if self._under_way and self._client.status == "running":
            self._client.cancel([parcel.future for parcel in self._under_way.values()])
        self._under_way.clear()

    async def _bring(self, future: Future) -> None:
        """Its result, as soon as it is here.

        Until then it is at its worker; if that goes before, dask has it trained anew, by a worker that comes.
        """
        brought: Report | BaseException
        try:
            brought = await self._client.gather(future, asynchronous=True)
        except (Exception, CancelledError) as error:  # noqa: BLE001 - it is looked at by who waits
            brought = error
        self._ended.put((str(future.key), brought))

    def _next(self) -> tuple[str, Report | BaseException]:
        lonely = time.monotonic()
        while True:
            self._send_stranded()
            try:
                return self._ended.get(timeout=LOOK_AROUND)
            except queue.Empty:
                if self._workers():
                    lonely = time.monotonic()
                elif time.monotonic() - lonely > self._config.patience:
                    raise ClusterError(f"no worker has been there for {self._config.patience:g} s") from None

    def _send_stranded(self) -> None:
        """Anew, anywhere: what may only go where nobody is any more."""
        self._bound &= self._under_way.keys()
        here = self._workers() if self._bound else []
        for key in sorted(self._bound):
            if self._under_way[key].only.isdisjoint(here):
                parcel = self._under_way.pop(key)
                self._client.cancel([parcel.future])
                self.send(parcel.trainings, parcel.seed, parcel.tried)

    def _workers(self) -> list[str]:
        with asking(self._client):
            return list(self._client.scheduler_info()["workers"])

    def _opened(
        self, future: Future, brought: Report | BaseException
    ) -> tuple[list[Result] | Died | Overdue | str, str | None]:
        """What came of a parcel, and at which worker; a worker that is gone is none."""
        if isinstance(brought, Report):
            return brought.found, brought.worker
        if isinstance(brought, KilledWorker):
            return f"{brought.allowed_failures + 1} workers died while training it", None
        if future.status == "error":
            raise brought
        with asking(self._client):
            raise brought


def submit(client: Any, function: Callable[..., Any], *arguments: Any, **where: Any) -> Future:
    """`function(*arguments)` on a worker, each time anew."""
    with asking(client):
        return client.submit(function, *arguments, key=f"{function.__name__}-{uuid.uuid4().hex}", pure=False, **where)


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
