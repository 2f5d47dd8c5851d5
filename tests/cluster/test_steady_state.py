"""A search without generations on workers of this machine: workers that die, and resuming it without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="a cluster needs glo-torch[cluster]")

import psutil

import glo
from cluster.processes import stopped_in_mid_training
from glo.execution import open_executor
from glo.records import Status
from glo.store import GenerationRecord, Store

SEARCH: dict[str, Any] = {
    "seed": 3, "generations": 3, "population": 8, "steps": 300, "device": "cpu", "steady_state": True, "name": "steady",
}  # fmt: skip
LONG = {
    **SEARCH,
    "steps": 1500,
    "confirm": 0,
}  # at an arrival, some other training has run long enough to be killed in its middle


def test_with_one_slot_the_history_is_that_of_this_machine(tmp_path: Path) -> None:
    with open_executor("local:2", "cpu") as two_workers:
        here, there = (
            glo.discover("digits", storage=tmp_path / f"{n}.db", cluster=cluster, slots=1, **SEARCH)
            for n, cluster in enumerate([None, two_workers])
        )
    assert here.history_digest() == there.history_digest()


class Interrupted(Exception):  # noqa: N818
    """Ends a study as Ctrl-C would."""


class KillWorkers(glo.Callback):
    """Kills two workers, each in mid-training, and then the study."""

    def __init__(self) -> None:
        self.killed: list[int] = []

    def on_generation(self, study: glo.Study, generation: GenerationRecord) -> None:
        if generation.generation == 12:
            raise Interrupted
        if len(self.killed) < 2 and (caught := stopped_in_mid_training(psutil.Process())):
            caught[0].kill()
            self.killed.append(caught[0].pid)


class Count(glo.Callback):
    """Counts the arrivals that are replayed, and those that are new."""

    def __init__(self) -> None:
        self.replayed = self.new = 0

    def on_replay(self, study: glo.Study, generation: GenerationRecord) -> None:
        self.replayed += 1

    def on_generation(self, study: glo.Study, generation: GenerationRecord) -> None:
        self.new += 1


def test_with_workers_killed_nothing_is_lost_and_the_record_replays(tmp_path: Path) -> None:
    """The study is interrupted half way and goes on with another number of slots; its record stays as it was."""
    storage, killer, count = tmp_path / "glo.db", KillWorkers(), Count()
    with pytest.raises(Interrupted):
        glo.discover("digits", storage=storage, cluster="local:2", callbacks=[killer], **LONG)
    assert killer.killed
    before = Store(storage).generations("steady")
    assert len(before) == 13
    result = glo.load_study("steady", storage, device="cpu", slots=1, callbacks=[count]).resume()
    assert (count.replayed, count.new) == (13, 11)
    after = Store(storage).generations("steady")
    assert after[:13] == before
    assert len(result.trials) == 24
    assert len({trial.fingerprint for trial in result.trials}) == 24
    # How many are trained to the end depends on the order of arrival: a rung compares with what came before.
    ended = {trial.status for trial in result.trials}
    assert Status.TRAINED in ended
    assert Status.CRASHED not in ended  # a training that a dead worker began is done again
