"""What both ways of training share: the batches, the chance level, and the form of a result."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glo.expr import Expr
from glo.loss import LINKS
from glo.records import TrainingConfig, derive_seed
from glo.tasks import Split, Task

EVALUATION_BATCH = 1000
BINS = 50


@dataclass(frozen=True, slots=True)
class Training:
    """One network to train: a loss and a learning rate."""

    expression: Expr
    learning_rate: float


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What came of one network.

    Attributes:
        validation: metric on the validation split; 0 if it diverged.
        diverged: whether outputs or the loss are NaN or infinite.
        stopped: whether it was given up at chance.
        curve: (step, metric) pairs, if asked for (`TrainingConfig.curve_every`).
        test: metric on the test split, if asked for.
        histogram: how many of the predictions on the test split lie in each of `BINS` equal parts of [0, 1], with `test`.
    """

    validation: float
    diverged: bool = False
    stopped: bool = False
    curve: tuple[tuple[int, float], ...] = ()
    test: float | None = None
    histogram: tuple[int, ...] | None = None


class TimedOut(str):
    """In words, that a training took longer than it may."""

    __slots__ = ()


Result = TrainingResult | str  # in words why there is no other result: a crash, or `TimedOut`


@dataclass(frozen=True, slots=True)
class Measured:
    """What one network does on one split: the metric, whether its outputs are not finite, and where its predictions lie."""

    score: float
    diverged: bool
    histogram: tuple[int, ...] = ()


def finished(
    validation: Measured, sound: bool, curve: tuple[tuple[int, float], ...], test: Measured | None
) -> TrainingResult:
    """The result of a training that ran to its end; NaN or infinity in outputs or loss make it worth 0 (section III.A).

    Args:
        sound: whether the last value of the loss is a number.
    """
    if validation.diverged or not sound:
        return TrainingResult(0.0, diverged=True, curve=curve, test=None if test is None else 0.0)
    if test is None:
        return TrainingResult(validation.score, curve=curve)
    return TrainingResult(validation.score, curve=curve, test=test.score, histogram=test.histogram)


def fresh_model(task: Task, seed: int) -> nn.Module:
    """The task's model with the initial weights of this seed; global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        return task.model()


def quick_layout(model: nn.Module, inputs: Tensor) -> nn.Module:
    """The model with its images as convolutions like them, channels last, if it can work with them.

    A fifth faster on a CPU (docs/decisions/0011-processes.md).  A model that relies on the order of numbers in memory, by
    `view`, stays as it is.
    """
    if not any(isinstance(module, nn.Conv2d) for module in model.modules()):
        return model
    was_training = model.training
    try:
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        with torch.no_grad():
            model.eval()(inputs[:2])
    except RuntimeError:
        model.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    return model.train(was_training)


def seed_dropout(seed: int) -> None:
    """Seed what dropout draws from; to be called inside `torch.random.fork_rng`.

    PyTorch's dropout knows only the global generator, so it is seeded for a training and put back afterwards.
    """
    torch.manual_seed(derive_seed(seed, "dropout"))


def batches(samples: int, config: TrainingConfig, seed: int, device: torch.device | str = "cpu") -> Iterator[Tensor]:
    """Indices of each step's batch: shuffled epochs, an incomplete last batch left out.

    Drawn on the CPU, so that they are the same everywhere, and sent to the device an epoch at a time.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "batches"))
    size = min(config.batch_size, samples)
    step = 0
    while True:
        order = torch.randperm(samples, generator=generator).to(device)
        for start in range(0, samples - size + 1, size):
            if step == config.steps:
                return
            yield order[start : start + size]
            step += 1


@contextmanager
def products(config: TrainingConfig) -> Iterator[None]:
    """Matrix products and convolutions on a GPU in the precision that is asked for; PyTorch's own settings afterwards."""
    matmul, cudnn, narrow = torch.backends.cuda.matmul, torch.backends.cudnn, config.precision == "tf32"
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32, cudnn.allow_tf32 = narrow, narrow  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before  # pyright: ignore[reportAttributeAccessIssue]


def autocast(config: TrainingConfig, device: torch.device | str) -> AbstractContextManager[Any]:
    """For a forward pass in the precision that is asked for."""
    if config.precision == "bfloat16":
        return torch.autocast(torch.device(device).type, torch.bfloat16)
    return nullcontext()


def rate_factor(config: TrainingConfig, step: int) -> float:
    """What the schedule multiplies the learning rate by at a step (0 is the first)."""
    factor = 1.0
    for start, multiplier in config.schedule:
        factor *= multiplier if step >= start else 1.0
    return factor


def early_stop_step(config: TrainingConfig) -> int | None:
    """The step before which networks at chance are given up, or None."""
    return max(1, round(config.early_stop * config.steps)) if config.early_stop else None


def as_matrix(outputs: Tensor) -> Tensor:
    """Outputs (..., N) of a network with one output as (..., N, 1); of reduced precision in float32."""
    outputs = outputs.float() if outputs.dtype == torch.bfloat16 else outputs
    return outputs.unsqueeze(-1) if outputs.dim() == 1 else outputs


def measure(task: Task, split: Split, outputs: Tensor) -> Measured:
    """Of one network's outputs (N, C)."""
    if not bool(torch.isfinite(outputs).all()):
        return Measured(0.0, diverged=True)
    predictions = LINKS[task.link].predict(outputs, 1)  # pyright: ignore[reportArgumentType]
    score = task.score(predictions, split.targets)
    if not math.isfinite(score):
        return Measured(0.0, diverged=True)
    return Measured(score, False, tuple(torch.histc(predictions.float(), BINS, 0, 1).long().tolist()))
