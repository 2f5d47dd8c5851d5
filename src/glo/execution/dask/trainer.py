"""The driver's side of training on a cluster: what is trained together, and where it is sent."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import cloudpickle
from distributed import Client

from glo.errors import ConfigError
from glo.execution import TrainsInFlow
from glo.execution.dask.config import ClusterConfig
from glo.execution.dask.courier import LOOK_AROUND, Courier, submit
from glo.execution.dask.worker import Errand, versions
from glo.execution.local import split_parts, worth_stacking
from glo.records import TrainingConfig
from glo.tasks import Task
from glo.training import Result, Training


class ClusterTrainer(TrainsInFlow):
    """Trains networks of one task on the workers of a cluster; otherwise as `glo.training.Trainer`.

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
        self._client, self._config, self._slots, self._task, self._training = client, config, slots, task, training
        self._together = worth_stacking(task, device)
        packed = b"" if task.source else cloudpickle.dumps(task)
        digest = task.digest()
        identity = f"{digest} {task.source} {hashlib.blake2b(packed).hexdigest()}"
        self._errand = Errand(
            task.name, task.source, str(Path.cwd()), digest, identity, training, device, versions(), config.time_limit
        )
        self._packed: Any = submit(client, _same, packed) if packed else None

    def parts(
        self, trainings: Sequence[Training], seeds: Sequence[int], test: bool = False
    ) -> Iterator[Mapping[int, Result]]:
        """As `Trainer.parts`.

        Raises:
            ClusterError: if the scheduler or all workers are gone.
        """
        if test or self._training.curve_on == "test":
            self._task.split("test")  # misuse is an error, not a failed training
        courier: Courier[int] = Courier(self._client, self._config, self._errand, self._packed, test)
        with closing(courier):
            for part in split_parts(seeds, self._together, max(1, self._slots())):
                courier.send({position: trainings[position] for position in part}, seeds[part[0]])
            while courier:
                yield courier.next()

    def flow(self, slots: int | None = None) -> ClusterFlow:
        """As `Trainer.flow`; by default each worker has something to do."""
        if slots is not None and slots < 1:
            raise ConfigError(f"slots are 1 or more, not {slots}")
        courier: Courier[tuple[int, int]] = Courier(self._client, self._config, self._errand, self._packed)
        return ClusterFlow(courier, self._together, self._slots if slots is None else lambda: slots)


class ClusterFlow:
    """A `glo.training.Flow` over a cluster, whose workers may come and go.

    Args:
        courier: sends trainings under (number of the candidate, position).
        together: whether networks of one seed are trained together.
        slots: how many candidates are worth having under way.
    """

    def __init__(self, courier: Courier[tuple[int, int]], together: bool, slots: Callable[[], int]) -> None:
        self._courier, self._together, self._ask_slots = courier, together, slots
        self._asked = -LOOK_AROUND
        self._slots = 1
        self._results: dict[int, dict[int, Result]] = {}
        self._sizes: dict[int, int] = {}

    @property
    def slots(self) -> int:
        now = time.monotonic()
        if now - self._asked >= LOOK_AROUND:
            self._slots, self._asked = max(1, self._ask_slots()), now
        return self._slots

    def begin(self, number: int, trainings: Sequence[Training], seeds: Sequence[int]) -> None:
        self._results[number], self._sizes[number] = {}, len(trainings)
        for part in split_parts(seeds, self._together, slots=1):
            self._courier.send({(number, position): trainings[position] for position in part}, seeds[part[0]])

    def next(self) -> tuple[int, list[Result]]:
        while True:
            for (number, position), result in self._courier.next().items():
                results = self._results[number]
                results[position] = result
                if len(results) == self._sizes[number]:
                    del self._results[number], self._sizes[number]
                    return number, [results[i] for i in range(len(results))]

    def close(self) -> None:
        self._courier.close()


def _same(packed: bytes) -> bytes:
    return packed
