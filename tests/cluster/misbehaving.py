"""Tasks whose trainings hang, die or differ; workers import this module too.

Each misbehaves for a network that is nearly always wrong, which only the loss `WRONG` produces.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from glo.tasks import Task
from small import CLASSES, points, with_metric

WRONG = "0 - x*y"
RIGHT = ("x*log(y)", "x*sqrt(y)", "square(x)*y")


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, CLASSES))


def task(misbehave: Callable[[], object], name: str = "misbehaving") -> Task:
    """Points around three centres; measuring a wrong network calls a function."""

    def metric(predictions: Tensor, targets: Tensor) -> float:
        accuracy = float((predictions.argmax(1) == targets).float().mean())
        if accuracy < 0.1:
            misbehave()
        return accuracy

    return Task(name, model, points(1), points(2), points(3), metric=metric, training={"batch_size": 20, "steps": 200})


def hanging() -> Task:
    return task(lambda: time.sleep(3600))


def dying() -> Task:
    return task(lambda: os.kill(os.getpid(), signal.SIGKILL))


def killing_workers() -> Task:
    """Kills the worker, not only the child that trains."""
    return task(lambda: os.kill(os.getppid(), signal.SIGKILL))


def slow(folder: str = "") -> Task:
    """Measuring a network waits until the folder contains a file `go`."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while folder and not Path(folder, "go").exists() and time.monotonic() < deadline:
            time.sleep(0.02)

    def metric(predictions: Tensor, targets: Tensor) -> float:
        wait()
        return float((predictions.argmax(1) == targets).float().mean())

    made = Task("slow", model, points(1), points(2), points(3), training={"batch_size": 20, "steps": 50})
    return with_metric(made, metric)


def different() -> Task:
    """Different data in each process."""
    inputs, targets = points(os.getpid())
    return Task("different", model, (inputs, targets), points(2), training={"steps": 5})


def seen_gpus() -> Task:
    """Each network records the GPU that it sees and its worker, in the folder that `GLO_TEST_SEEN` names."""

    def metric(predictions: Tensor, targets: Tensor) -> Tensor:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
        Path(os.environ["GLO_TEST_SEEN"], f"{seen}-{os.getppid()}-{os.getpid()}").touch()
        return torch.tensor(0.5)

    made = Task("seen-gpus", model, points(1), points(2), training={"batch_size": 20, "steps": 5})
    return with_metric(made, metric)
