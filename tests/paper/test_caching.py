"""The executor with a memory: it keeps the contract, and trains nothing that is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compare.scripted import BRIEF, CRASHED, NAN_LOSS, task_of
from glo.catalog import baikal, cross_entropy
from glo.execution import Batch, Executor, InlineExecutor, Key, train
from glo.paper.experiment.caching import CachingExecutor
from glo.records import Result, Training, TrainingResult
from glo.store import Store
from glo.testing import ExecutorContract
from outside import rows

BATCH = Batch(task_of(), BRIEF, [Training(cross_entropy, 0.1), Training(baikal, 0.1), Training(NAN_LOSS, 0.1)], [1, 1, 2])


class Counting:
    """Trains in this process and counts the trainings.

    Args:
        failing: whether all of them fail.
        device: the device that it says it trains on.
    """

    slots = 1

    def __init__(self, failing: bool = False, device: str = "cpu") -> None:
        self.device, self.trained = device, 0
        self._failing, self._inner = failing, InlineExecutor()

    def submit(self, key: Key, batch: Batch) -> None:
        self._inner.submit(key, batch)

    def next(self) -> tuple[Key, dict[int, Result]]:
        key, results = self._inner.next()
        self.trained += len(results)
        return key, dict.fromkeys(results, CRASHED) if self._failing else results

    def close(self) -> None:
        self._inner.close()


@pytest.fixture(name="store")
def store_of_a_test(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "glo.db")
    yield store
    store.close()


class TestCaching(ExecutorContract):
    """Each executor has a new store, so that it trains."""

    @pytest.fixture(autouse=True)
    def _stores(self, tmp_path: Path) -> Iterator[None]:
        self._folder, self._opened = tmp_path, list[Store]()
        yield
        for store in self._opened:
            store.close()

    def make(self) -> Executor:
        return self.caching(f"{len(self._opened)}.db")

    def caching(self, file: str) -> Executor:
        store = Store(self._folder / file)
        self._opened.append(store)
        return CachingExecutor(InlineExecutor(), store)


class TestKnowing(TestCaching):
    """All executors of a test have one store: the later ones know the results of the earlier ones."""

    def make(self) -> Executor:
        return self.caching("glo.db")


def test_a_recorded_training_is_not_repeated(store: Store) -> None:
    """A diverged one neither; the results are the same to the bit."""
    inner, other = Counting(), Counting()
    first = train(CachingExecutor(inner, store), BATCH)
    assert train(CachingExecutor(other, store), BATCH) == first
    assert (inner.trained, other.trained) == (3, 0)
    diverged = first[2]
    assert isinstance(diverged, TrainingResult)
    assert diverged.diverged


def test_curves_and_histograms_are_recorded(store: Store) -> None:
    config = BRIEF.model_copy(update={"curve_every": 5, "curve_on": "test"})
    batch = replace(BATCH, config=config, test=True)
    first = train(CachingExecutor(Counting(), store), batch)
    assert isinstance(first[0], TrainingResult)
    assert first[0].curve
    assert first[0].histogram
    assert train(CachingExecutor(Counting(), store), batch) == first


def test_only_missing_trainings_are_submitted(store: Store) -> None:
    inner = Counting()
    executor = CachingExecutor(inner, store)
    part = replace(BATCH, trainings=BATCH.trainings[1:2], seeds=BATCH.seeds[1:2])
    (known,) = train(executor, part)
    found = train(executor, BATCH)
    assert inner.trained == 3
    assert found[1] == known


def test_known_results_are_returned_at_once(store: Store) -> None:
    executor = CachingExecutor(Counting(), store)
    done: list[int] = []
    train(executor, replace(BATCH, trainings=BATCH.trainings[:1], seeds=[1]))
    train(executor, BATCH, done.append)
    assert done == [1, 2, 3]


def test_duplicates_are_trained_once(store: Store) -> None:
    """Within a batch, and in batches that are under way at the same time."""
    inner = Counting()
    executor = CachingExecutor(inner, store)
    twice = replace(BATCH, trainings=[*BATCH.trainings] * 2, seeds=[*BATCH.seeds] * 2)
    for key in ("a", "b"):
        executor.submit(key, twice)
    found: dict[Any, dict[int, Result]] = {"a": {}, "b": {}}
    while sum(map(len, found.values())) < 12:
        key, results = executor.next()
        assert not found[key].keys() & results.keys()
        found[key] |= results
    assert inner.trained == 3
    assert found["a"] == found["b"]
    assert found["a"][0] == found["a"][3]


def test_a_failure_is_not_recorded_and_tried_again(store: Store, tmp_path: Path) -> None:
    executor = CachingExecutor(Counting(failing=True), store)
    assert train(executor, BATCH) == [CRASHED] * 3
    assert rows(tmp_path / "glo.db", "SELECT * FROM trainings") == 0
    inner = Counting()
    assert CRASHED not in train(CachingExecutor(inner, store), BATCH)
    assert inner.trained == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda: replace(BATCH, test=True),
        lambda: replace(BATCH, seeds=[7, 8, 9]),
        lambda: replace(BATCH, task=task_of(metric="accuracy")),
        lambda: replace(BATCH, config=BRIEF.model_copy(update={"steps": 5})),
        lambda: replace(BATCH, config=BRIEF.model_copy(update={"momentum": 0.9})),
        lambda: replace(BATCH, trainings=[Training(each.expression, 0.7) for each in BATCH.trainings]),
    ],
)
def test_a_result_depends_on_everything(store: Store, change: Callable[[], Batch]) -> None:
    inner = Counting()
    executor = CachingExecutor(inner, store)
    train(executor, BATCH)
    train(executor, change())
    assert inner.trained == 6


@pytest.mark.parametrize("changes", [{"learning_rates": (5.0, 6.0)}, {"memory_mb": 7}])
def test_the_ladder_and_the_memory_do_not_matter(store: Store, changes: dict[str, Any]) -> None:
    inner = Counting()
    executor = CachingExecutor(inner, store)
    train(executor, BATCH)
    train(executor, replace(BATCH, config=BRIEF.model_copy(update=changes)))
    assert inner.trained == 3


def test_the_kind_of_device_matters(store: Store) -> None:
    """Results of a cluster with GPUs are not taken for those of the driver's CPU; two GPUs are alike."""
    for device, trained in [("cuda:0", 3), ("cuda:1", 0), ("cpu", 3)]:
        inner = Counting(device=device)
        executor = CachingExecutor(inner, store)
        train(executor, BATCH)
        assert (executor.device, inner.trained) == (device, trained)


def test_each_result_is_recorded_as_it_arrives(store: Store, tmp_path: Path) -> None:
    executor = CachingExecutor(Counting(), store)
    executor.submit("key", BATCH)
    executor.next()
    assert 0 < rows(tmp_path / "glo.db", "SELECT * FROM trainings") < 3
    executor.close()
    inner = Counting()
    train(CachingExecutor(inner, store), BATCH)
    assert 0 < inner.trained < 3


def test_recorded_results_have_their_commit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glo.paper.experiment.caching.commit", lambda: "old")
    train(CachingExecutor(Counting(), store), replace(BATCH, trainings=BATCH.trainings[:1], seeds=[1]))
    monkeypatch.setattr("glo.paper.experiment.caching.commit", lambda: "new")
    executor = CachingExecutor(Counting(), store)
    train(executor, BATCH)
    assert executor.commits(BATCH) == ["old", "new", "new"]
