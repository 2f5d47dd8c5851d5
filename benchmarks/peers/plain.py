"""A plain PyTorch loop: data in memory, one process of one thread for each core."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from glo.tasks import Task

# An operand may be a constant of the expression, hence `as_tensor`.
NAMES = {
    "log": lambda a: torch.log(torch.as_tensor(a)),
    "sqrt": lambda a: torch.sqrt(torch.as_tensor(a)),
    "square": lambda a: a * a,
}


@dataclass(frozen=True)
class Work:
    """One network to train: the source of its loss, e.g. "x*log(y)", and the settings of its training.

    The optimizer is a name in `torch.optim`.
    """

    loss: str
    learning_rate: float
    steps: int
    batch_size: int
    seed: int
    optimizer: str = "SGD"


def loss_of(source: str, classes: int) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss as a user would write it for this f(x, y): minus the sum over classes; autograd differentiates it."""
    f: Any = eval(f"lambda x, y: {source}", dict(NAMES))  # noqa: S307 - sources of the benchmark itself

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        y = outputs.softmax(1).clamp(1e-7, 1 - 1e-7)
        x = torch.nn.functional.one_hot(targets, classes).to(y.dtype)
        return -f(x, y).sum(1).mean()

    return loss


def train(task: Task, work: Work, device: str = "cpu") -> float:
    """Train one network and return its validation metric, 0 if it diverged."""
    torch.manual_seed(work.seed)
    model, split = task.model().to(device), task.split("train").to(device)
    loss = loss_of(work.loss, task.classes)
    optimizer = getattr(torch.optim, work.optimizer)(model.parameters(), work.learning_rate)
    step = 0
    while step < work.steps:
        order = torch.randperm(len(split)).to(device)
        for start in range(0, len(split) - work.batch_size + 1, work.batch_size):
            batch = order[start : start + work.batch_size]
            optimizer.zero_grad()
            value = loss(model(split.inputs[batch]), split.targets[batch])
            value.backward()
            optimizer.step()
            step += 1
            if step == work.steps:
                break
    return validation(task, model)


def validation(task: Task, model: torch.nn.Module) -> float:
    """The validation metric of a trained model, 0 if its outputs are NaN or infinite."""
    model.eval()
    split = task.split("validation").to(next(model.parameters()).device)
    with torch.no_grad():
        outputs = model(split.inputs)
    return score(task, outputs, split.targets)


def score(task: Task, outputs: Tensor, targets: Tensor) -> float:
    """The metric of a network's outputs, 0 if they are NaN or infinite."""
    if not bool(torch.isfinite(outputs).all()):
        return 0.0
    found = task.score(outputs.softmax(1), targets)
    return found if math.isfinite(found) else 0.0


_task: Task | None = None
_train: Callable[[Task, Any], Any] = train


def _start() -> None:
    torch.set_num_threads(1)


def _run(work: Any) -> Any:
    assert _task is not None  # noqa: S101 - set before the processes were forked
    return _train(_task, work)


@contextmanager
def workers(task: Task, cores: int, train_one: Callable[[Task, Any], Any] = train) -> Iterator[Callable[..., list[Any]]]:
    """A pool of forked processes, which share the data; yields a function that trains a list of networks in it."""
    global _task, _train
    _task, _train = task, train_one
    with multiprocessing.get_context("fork").Pool(cores, _start) as pool:
        yield lambda work: pool.map(_run, work, chunksize=1)


def train_all(task: Task, work: Sequence[Work], cores: int) -> list[float]:
    """Train all networks, as many at once as there are cores."""
    with workers(task, cores) as run:
        return run(work)
