"""Where comparisons are made: one after the other here, side by side where a cluster trains; the numbers are the same.

What a cluster does is done here by trainers that are told to be one: that they are used at once is theirs to check.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from glo.catalog import cross_entropy
from glo.compare.comparison import Study, compare_losses
from glo.execution import Here, Trainer
from glo.execution.concurrent import shares, workplace
from glo.paper.experiment.accuracy import LOSSES
from glo.paper.experiment.blocks import Plan, measure_conditions
from glo.paper.experiment.context import Lab, provenance
from glo.records import TrainingConfig
from glo.store import Store
from glo.tasks import Task, load_task
from glo.training import Result, Training
from small import CLASSES, certainty, points

PATIENCE = 60.0
PLAN = Plan(task="digits", samples=100, fractions=(0.5, 1), steps=(6, 12), n=2, ladder=(0.1, 1), batch_size=20)
STUDY = Study(steps=(4, 8, 12), learning_rates=(0.1, 1.0), tuning_seeds=1, repeats=2, smoothings=(0.2,))


def task_of() -> Task:
    return Task("points", lambda: nn.Linear(4, CLASSES), points(0), points(1), points(2), metric=certainty)


TURN = threading.Lock()  # here trainers share a process and PyTorch's global generator, as those of a cluster do not


class Meeting(Trainer):
    """Trains only when so many are asked at once; then one after the other."""

    def __init__(self, task: Task, config: TrainingConfig, meet: Callable[[], object]) -> None:
        super().__init__(task, config, processes=1)  # a fork, while another thread is in PyTorch, may hang
        self._meet = meet

    def parts(
        self, trainings: Sequence[Training], seeds: Sequence[int], test: bool = False
    ) -> Iterator[Mapping[int, Result]]:
        self._meet()
        with TURN:
            found = list(super().parts(trainings, seeds, test))
        yield from found


class Elsewhere:
    """Makes trainers that may be used at once; each thread waits until so many of them train."""

    device, abreast = "cpu", True

    def __init__(self, parties: int) -> None:
        self._barrier, self._thread = threading.Barrier(parties), threading.local()

    def __call__(self, task: Task, config: TrainingConfig, /) -> Trainer:
        with TURN:
            return Meeting(task, config, self._meet)

    def _meet(self) -> None:
        if not hasattr(self._thread, "has_met"):
            self._thread.has_met = self._barrier.wait(PATIENCE)


class Pretending:
    """Says that it trains on a GPU, as a cluster of them would to a driver that has none."""

    device, abreast = "cuda", True

    def __call__(self, task: Task, config: TrainingConfig, /) -> Trainer:
        return Trainer(task, config, "cpu", processes=1)  # a fork, while another thread is in PyTorch, may hang


def lab_at(folder: Path, place: Any) -> Lab:
    return Lab(folder / "glo.db", Store(folder / "glo.db"), 0, place)


def numbers(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key != "cluster"}


def test_lengths_of_training_are_compared_side_by_side_with_the_same_result() -> None:
    here = compare_losses(task_of(), ["baikal"], STUDY, device="cpu")
    elsewhere = compare_losses(task_of(), ["baikal"], STUDY, cluster=Elsewhere(3))
    assert numbers(elsewhere) == numbers(here)
    assert (here["cluster"], elsewhere["cluster"]) == (False, True)


def test_all_blocks_of_all_conditions_are_measured_at_once_with_the_same_result(tmp_path: Path) -> None:
    """The record of the trainings is in the same order too, whichever ended first."""
    measured: list[Any] = []
    for name, where in (("here", None), ("elsewhere", Elsewhere(8))):
        (tmp_path / name).mkdir()
        with workplace(where, "cpu") as place:
            lab = lab_at(tmp_path / name, place)
            measured.append((measure_conditions(lab, PLAN, LOSSES), lab.runs))
            lab.store.close()
    assert json.dumps(measured[0]) == json.dumps(measured[1])
    assert [condition["steps"] for condition in measured[0][0]] == [6, 12, 6, 12]


def test_what_was_trained_elsewhere_is_known_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with workplace(Elsewhere(8)) as place:
        lab = lab_at(tmp_path, place)
        first = measure_conditions(lab, PLAN, LOSSES)
        lab.store.close()

    def refuse(*_: Any) -> None:
        raise AssertionError("nothing is left to train")

    monkeypatch.setattr("glo.execution.local.train_single", refuse)
    monkeypatch.setattr("glo.execution.local.train_population", refuse)
    with workplace(None, "cpu") as place:
        lab = lab_at(tmp_path, place)
        assert measure_conditions(lab, PLAN, LOSSES) == first
        lab.store.close()


def test_the_device_is_that_of_the_workers(tmp_path: Path) -> None:
    """What GPUs of a cluster have trained, is not taken for what the driver's CPU would have."""
    assert compare_losses(task_of(), ["baikal"], STUDY, cluster=Pretending())["device"] == "cuda"
    told: list[list[int]] = []
    for where in (Pretending(), Pretending(), Here("cpu")):
        with workplace(where) as place:
            lab, done = lab_at(tmp_path, place), list[int]()
            lab.trainer(load_task("digits"), TrainingConfig(steps=3)).train(
                [Training(cross_entropy, 0.1)], 0, on_done=done.append
            )
            assert provenance(lab)["device"] == where.device
            assert provenance(lab)["cluster"] is where.abreast
            told.append(done)
            lab.store.close()
    assert told == [[0, 1], [1], [0, 1]]


def test_an_error_is_heard_before_the_others_have_ended() -> None:
    go_on, begun = threading.Event(), threading.Event()

    def work(number: int) -> int:
        if number == 1:
            assert begun.wait(PATIENCE)
            raise ValueError("number 1")
        begun.set()
        assert go_on.wait(PATIENCE)
        return number

    with workplace(Elsewhere(1)) as place:
        with pytest.raises(ValueError, match="number 1"):
            place.map(work, range(3))
        go_on.set()


def test_progress_is_the_sum_over_all() -> None:
    told: list[tuple[str, int, int]] = []
    first, second = shares(lambda *call: told.append(call), 2)
    first("choosing", 1, 4)
    second("choosing", 2, 6)
    second("measuring", 0, 3)
    first("choosing", 4, 4)
    assert told == [("choosing", 1, 4), ("choosing", 3, 10), ("measuring", 0, 3), ("choosing", 6, 10)]
