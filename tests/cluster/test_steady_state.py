"""A search without generations on workers of this machine: the contract, workers that die, and resuming elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="a cluster needs glo[cluster]")

import psutil

import glo
from cluster.family import stopped_in_mid_training
from contracts.asynchronous_contract import AsynchronousContract
from contracts.evaluator_contract import SHORT, digits
from glo.evaluation import Asynchronous, Flowing, LocalEvaluator
from glo.execution import MakeTrainer, trainers
from glo.records import FunnelCounts, Status
from glo.store import GenerationRecord, Store
from glo.study import resume_run

SEARCH: dict[str, Any] = {
    "seed": 3, "generations": 3, "population": 8, "steps": 300, "device": "cpu", "steady_state": True, "name": "steady",
}  # fmt: skip


@pytest.fixture(scope="module")
def two_workers() -> Iterator[MakeTrainer]:
    with trainers("local:2", "cpu") as make_trainer:
        yield make_trainer


class TestClusterFlow(AsynchronousContract):
    """The contract of everything asynchronous, over real workers."""

    @pytest.fixture(autouse=True)
    def _over(self, two_workers: MakeTrainer) -> None:
        type(self).make_trainer = staticmethod(two_workers)

    make_trainer: Any

    def make(self, slots: int, counts: FunnelCounts) -> Asynchronous:
        trainer = self.make_trainer(digits(), SHORT)
        return Flowing(LocalEvaluator(digits(), SHORT, counts=counts, trainer=trainer), trainer.flow(slots))


def test_by_default_each_worker_has_something_to_do(two_workers: MakeTrainer) -> None:
    assert two_workers(digits(), SHORT).flow().slots == 2


def test_with_one_slot_the_history_is_that_of_this_machine(two_workers: MakeTrainer, tmp_path: Path) -> None:
    here, there = (
        glo.discover("digits", storage=tmp_path / f"{n}.db", cluster=cluster, slots=1, **SEARCH)
        for n, cluster in enumerate([None, two_workers])
    )
    assert here.history_digest() == there.history_digest()


class Left(Exception):  # noqa: N818
    """The run is left here, as by Ctrl-C."""


def test_with_workers_killed_nothing_is_lost_and_the_record_replays(tmp_path: Path) -> None:
    """It is left half way, and goes on with another number of slots; what was recorded stays as it was."""
    storage, killed = tmp_path / "glo.db", list[int]()

    def kill_then_leave(record: GenerationRecord, replayed: bool) -> None:
        if record.generation == 12:
            raise Left
        if len(killed) < 2 and (caught := stopped_in_mid_training(psutil.Process())):
            caught[0].kill()
            killed.append(caught[0].pid)

    with pytest.raises(Left):
        glo.discover("digits", storage=storage, cluster="local:2", on_generation=kill_then_leave, **SEARCH)
    assert killed
    before = Store(storage).generations("steady")
    assert len(before) == 13
    replayed: list[bool] = []
    found = resume_run("steady", storage, device="cpu", slots=1, on_generation=lambda _, old: replayed.append(old))
    assert replayed == [True] * 13 + [False] * 11
    after = Store(storage).generations("steady")
    assert after[:13] == before
    outcomes = [outcome for record in found.history for outcome in record.outcomes]
    assert len(outcomes) == 24
    assert len({outcome.fingerprint for outcome in outcomes}) == 24
    assert sum(outcome.status is Status.TRAINED for outcome in outcomes) > 10
