"""A user's code that fails in each of many ways, in each of many places, whenever a process of a training runs it."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

import glo
from glo.execution import Batch
from glo.expr import parse
from glo.records import Failure, Result, Status, Training, TrainingConfig, TrainingResult
from small import CLASSES, points

HOURS = 10_000.0
PLACES = ("factory", "forward", "hook", "metric")  # those that a training runs; "data" is read when the task is made


def _raise() -> None:
    raise KeyError("mine")


def _thread_left_behind() -> None:
    """No failure: its training has a result, however long the thread runs."""
    import threading

    threading.Thread(target=lambda: time.sleep(HOURS)).start()


WAYS: dict[str, Callable[[], object]] = {
    "raise": _raise,
    "nan": lambda: float("nan"),
    "hang": lambda: time.sleep(HOURS),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "segmentation fault": lambda: ctypes.string_at(0),
    "sys.exit": lambda: sys.exit(3),
    "os._exit": lambda: os._exit(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "memory": lambda: torch.empty(2**46),
    "thread": _thread_left_behind,
}
# Status and reason of the training that fails so; None for one that has a result.
REASONS: dict[str, tuple[Status, str] | None] = {
    "raise": (Status.CRASHED, r"KeyError: 'mine' \(in _raise, failing.py:\d+\)"),
    "nan": None,
    "hang": (Status.TIMED_OUT, "not ended after 1.5 s"),
    "stop": (Status.TIMED_OUT, "not ended after 1.5 s"),
    "segmentation fault": (Status.CRASHED, "its process was killed by SIGSEGV"),
    "sys.exit": (Status.CRASHED, r"SystemExit: 3 \(in <lambda>, failing.py:\d+\)"),
    "os._exit": (Status.CRASHED, "its process exited with 0"),
    "kill": (Status.CRASHED, "its process was killed by SIGKILL"),
    "memory": (Status.CRASHED, "RuntimeError: .*(can't allocate memory|not enough memory)"),
    "thread": None,
}
TIME_LIMIT = 1.5


def always() -> bool:
    return True


def in_training() -> bool:
    """Whether this is a child process of an executor, which ignores these signals; not where the task is made."""
    return signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


class Model(nn.Module):
    """A linear layer that fails in its forward pass, or in a hook of its backward pass."""

    def __init__(self, act: Callable[[str], Any]) -> None:
        super().__init__()
        self.layer, self.act = nn.Linear(4, CLASSES), act
        self.layer.weight.register_hook(lambda gradient: gradient * act("hook"))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs) * (self.act("forward") if self.training else 1.0)


class Points(Dataset[tuple[Tensor, int]]):
    """Data that fail when a sample is read."""

    def __init__(self, act: Callable[[str], Any]) -> None:
        self.act, self.points = act, points(0)

    def __len__(self) -> int:
        return len(self.points[0])

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.points[0][index] * (self.act("data") if index == 40 else 1.0), int(self.points[1][index])


def failing_task(way: str, place: str, when: Callable[[], bool] = in_training) -> glo.Task:
    """A task whose code fails in one place; NaN is what the place computes then."""

    def act(here: str) -> Any:
        if here == place and when():
            return float("nan") if WAYS[way]() is not None and way == "nan" else 1.0
        return 1.0

    def metric(predictions: Tensor, targets: Tensor) -> Tensor:
        return (predictions.argmax(1) == targets).float().mean() * act("metric")

    def factory() -> nn.Module:
        factor, model = act("factory"), Model(act)
        with torch.no_grad():
            model.layer.weight *= factor
        return model

    return glo.Task("failing", factory, Points(act), points(1), points(2), metric=metric)


def failing_batch(way: str, place: str) -> Batch:
    return Batch(failing_task(way, place), TrainingConfig(steps=2), [Training(parse("x*log(y)"), 0.1)], seeds=[0])


def check_outcome(result: Result, way: str) -> None:
    """A training that failed has a reason; one with NaN has diverged."""
    expected = REASONS[way]
    if expected is None:
        assert isinstance(result, TrainingResult)
        assert result.diverged is (way == "nan")
        return
    assert isinstance(result, Failure), result
    assert result.status is expected[0]
    assert re.search(expected[1], result.reason), result.reason


def task(way: str, place: str) -> glo.Task:
    """For the command line: a task that fails whenever the place is reached."""
    return failing_task(str(way), place, always)  # nan is a number of TOML
