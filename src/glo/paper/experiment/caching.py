"""An executor with a memory: an experiment that was interrupted trains only the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from glo.execution import Batch, Executor, Key, result_key
from glo.provenance import commit
from glo.records import Result, TrainingConfig, TrainingResult
from glo.store import Store


class CachingExecutor:
    """Returns recorded results from a store, has another executor train the missing ones, and records them as they arrive.

    A result is recorded under everything that it depends on (`glo.execution.result_key`).  The place of the training is not
    part of that: one machine knows what a cluster has trained with the same kind of device, and the other way round.  A
    diverged training is a result; a `Failure` is not recorded, since the training may succeed the next time.  A training
    that is requested again while it is under way is not submitted twice.

    Args:
        inner: trains the missing ones; with nothing under way.
        store: where the results are.
    """

    def __init__(self, inner: Executor, store: Store) -> None:
        self._inner, self._store = inner, store
        self._commit = commit()
        self._commits: dict[str, str | None] = {}  # of the recorded results, by result key
        self._missing: dict[Key, int] = {}  # how many results of each batch have not been returned yet
        self._submitted: dict[Key, list[str]] = {}  # the result keys of each batch of the inner executor
        self._waiting: dict[str, list[tuple[Key, int]]] = {}  # the batches and positions that need a result
        self._ready: deque[tuple[Key, dict[int, Result]]] = deque()

    @property
    def slots(self) -> int:
        return self._inner.slots

    @property
    def device(self) -> str:
        return self._inner.device

    def submit(self, key: Key, batch: Batch) -> None:
        if key in self._missing:
            raise ValueError(f"a batch with the key {key!r} is under way")
        keys = self._result_keys(batch)
        recorded = self._store.trainings(keys)
        known: dict[int, Result] = {
            position: _read(recorded[each]["result"]) for position, each in enumerate(keys) if each in recorded
        }
        self._commits |= {each: row["commit"] for each, row in recorded.items()}
        self._missing[key] = len(batch)
        if known:
            self._ready.append((key, known))
        new: list[int] = []
        for position, each in enumerate(keys):
            if position in known:
                continue
            if each not in self._waiting:
                new.append(position)
            self._waiting.setdefault(each, []).append((key, position))
        if new:
            self._submitted[key] = [keys[position] for position in new]
            trainings, seeds = [batch.trainings[p] for p in new], [batch.seeds[p] for p in new]
            self._inner.submit(key, replace(batch, trainings=trainings, seeds=seeds))

    def next(self) -> tuple[Key, dict[int, Result]]:
        while not self._ready:
            key, arrived = self._inner.next()
            results = {self._submitted[key][position]: result for position, result in arrived.items()}
            self._record(results)
            self._ready.extend(self._by_batch(results).items())
        key, results = self._ready.popleft()
        self._missing[key] -= len(results)
        if self._missing[key] == 0:
            del self._missing[key]
        return key, results

    def close(self) -> None:
        self._inner.close()
        self._missing.clear()
        self._submitted.clear()
        self._waiting.clear()
        self._ready.clear()

    def commits(self, batch: Batch) -> list[str | None]:
        """The commit of glo at which the result of each training of a batch was made; of this process if not recorded."""
        return [self._commits.get(key, self._commit) for key in self._result_keys(batch)]

    def _result_keys(self, batch: Batch) -> list[str]:
        # Each training has a learning rate of its own, so that the ladder does not matter.
        config = batch.config.model_copy(update={"learning_rates": TrainingConfig().learning_rates})
        return [
            result_key(
                batch.task, config, seed, self.device, expression=str(training.expression),
                learning_rate=training.learning_rate, test=batch.test,
            )
            for training, seed in zip(batch.trainings, batch.seeds, strict=True)
        ]  # fmt: skip

    def _record(self, results: Mapping[str, Result]) -> None:
        """Write results to the store, by result key."""
        known = {key: result for key, result in results.items() if isinstance(result, TrainingResult)}
        rows = {key: asdict(replace(result, predicted=None)) for key, result in known.items()}  # no figure needs the counts
        self._store.record_trainings({key: {"result": row, "commit": self._commit} for key, row in rows.items()})

    def _by_batch(self, results: Mapping[str, Result]) -> dict[Key, dict[int, Result]]:
        """The positions of each batch that have waited for these results."""
        found: dict[Key, dict[int, Result]] = {}
        for each, result in results.items():
            for key, position in self._waiting.pop(each):
                found.setdefault(key, {})[position] = result
        return found


def _read(row: dict[str, Any]) -> TrainingResult:
    """A result from its JSON form, where tuples are lists."""
    curve = tuple((step, score) for step, score in row["curve"])
    histogram = None if row["histogram"] is None else tuple(row["histogram"])
    metrics = tuple((name, value) for name, value in row.get("metrics", ()))
    return TrainingResult(**{**row, "curve": curve, "histogram": histogram, "metrics": metrics})
