"""Small tasks of every kind of model, metric and link, and trainings for each link."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from glo.catalog import NAMED
from glo.expr import parse
from glo.records import Link, Training, TrainingConfig
from glo.tasks import Data, Split, Task

CLASSES = 3


def clusters(shape: tuple[int, ...], samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noisy points around a centre for each class, so that a network can learn something."""
    centres = torch.randn(CLASSES, *shape, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (samples,), generator=generator)
    return centres[labels] + 0.8 * torch.randn(samples, *shape, generator=generator), labels


def classification(model: Callable[[], nn.Module], shape: tuple[int, ...] = (6,), **options: Any) -> Task:
    train, validation, test = (clusters(shape, samples, seed) for seed, samples in enumerate((60, 45, 40)))
    return Task("small", model, train, validation, test, **options)


def mlp(inputs: int = 6, outputs: int = CLASSES, hidden: int = 8) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def yes_no(outputs: int) -> Task:
    """A task of the sigmoid link: output i answers whether the class is i."""
    splits = []
    for seed, samples in enumerate((60, 45, 40)):
        inputs, labels = clusters((6,), samples, seed)
        splits.append((inputs, (labels.unsqueeze(1) == torch.arange(outputs)).float()))
    return Task("yes-no", lambda: mlp(outputs=outputs), *splits, link="sigmoid")


def regression(outputs: int, squeeze: bool = False) -> Task:
    """A task of the identity link."""
    matrix = torch.randn(6, outputs, generator=torch.Generator().manual_seed(5))
    splits = []
    for seed, samples in enumerate((60, 45, 40)):
        inputs, _ = clusters((6,), samples, seed)
        splits.append((inputs, (inputs / 2) @ matrix))
    return Task(
        "regression",
        lambda: nn.Sequential(mlp(outputs=outputs), nn.Flatten(0)) if squeeze else mlp(outputs=outputs),
        *splits,
        link="identity",
    )


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.Dropout2d(0.3),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(16, CLASSES),
    )


def chain_cnn() -> nn.Module:
    """A CNN that is a chain (`glo.training.stacked`); pooling ignores its last row and column."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.2),
        nn.Conv2d(4, 5, 3, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(20, 8),
        nn.ReLU(),
        nn.Linear(8, CLASSES),
    )


def frozen() -> nn.Module:
    model = mlp()
    model[0].requires_grad_(requires_grad=False)  # pyright: ignore[reportIndexIssue]
    return model


def tied() -> nn.Module:
    """Two layers that share a weight, and one activation in two places."""
    first, second, twice = nn.Linear(6, 6), nn.Linear(6, 6), nn.Tanh()
    second.weight = first.weight
    return nn.Sequential(first, twice, second, twice, nn.Linear(6, CLASSES))


def transposed() -> nn.Module:
    """A weight in transposed order in memory."""
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, CLASSES))
    model[0].weight = nn.Parameter(torch.randn(6, 8).T)
    return model


def doubled() -> nn.Module:
    model = mlp()
    model.register_forward_hook(lambda module, arguments, output: torch.mul(output, 2))  # pyright: ignore[reportArgumentType, reportCallIssue]
    return model


def normalised(norm: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(6, 8), norm(), nn.ReLU(), nn.Linear(8, CLASSES))


class Attention(nn.Module):
    """A model with a child that returns a tuple of a tensor and None."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(2, 1, batch_first=True)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = inputs.unflatten(1, (3, 2))
        return self.head(self.attention(tokens, tokens, tokens, need_weights=False)[0].flatten(1))


class OwnParameter(nn.Module):
    """A parameter and a buffer of the model itself, in addition to those of its children."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp()
        self.gain = nn.Parameter(torch.ones(()))
        self.register_buffer("scale", torch.tensor(0.5))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.inner(inputs) * self.gain * self.scale


TASKS: dict[str, Callable[[], Task]] = {
    "mlp": lambda: classification(mlp),
    "cnn with dropout": lambda: classification(cnn, (1, 6, 6)),
    "cnn, a chain": lambda: classification(chain_cnn, (1, 6, 6)),
    "frozen": lambda: classification(frozen),
    "tied": lambda: classification(tied),
    "transposed": lambda: classification(transposed),
    "a hook": lambda: classification(doubled),
    "batch norm": lambda: classification(normalised(lambda: nn.BatchNorm1d(8, track_running_stats=False))),
    "batch norm, running": lambda: classification(normalised(lambda: nn.BatchNorm1d(8))),
    "layer norm": lambda: classification(normalised(lambda: nn.LayerNorm(8))),
    "group norm": lambda: classification(normalised(lambda: nn.GroupNorm(2, 8))),
    "own parameter": lambda: classification(OwnParameter),
    "attention": lambda: classification(Attention),
    "soft labels": lambda: soft(classification(mlp)),
    "f1": lambda: classification(mlp, metric="f1_macro"),
    "own metric": lambda: classification(mlp, metric=lambda y, targets: y.gather(1, targets[:, None]).mean()),
    "sigmoid": lambda: yes_no(1),
    "multilabel": lambda: yes_no(3),
    "regression": lambda: regression(1),
    "regression, outputs (N)": lambda: regression(1, squeeze=True),
    "regression of two": lambda: regression(2),
}


def soft(task: Task) -> Task:
    """The same task with soft labels."""

    def softened(split: Data) -> Split:
        return Split(split.inputs, 0.8 * nn.functional.one_hot(split.targets, CLASSES) + 0.2 / CLASSES)

    splits = {name: softened(task.split(name)) for name in ("train", "validation", "test")}
    return dataclasses.replace(task, **splits)


CONFIGS = {
    "plain": TrainingConfig(steps=12, batch_size=20),
    "everything": TrainingConfig(
        steps=20,
        batch_size=25,  # does not divide the 60 samples
        momentum=0.9,
        weight_decay=0.01,
        schedule=((5, 0.5), (12, 0.1)),
        early_stop=0.4,
        curve_every=6,
        class_reduction="mean",
    ),
}
CLASSIFICATION = [
    ("cross_entropy", 0.5),
    ("baikal", 0.03),
    ("brier", 1.0),
    ("linear", 1e-6),
    ("-(x*log(y))", 0.1),
    ("mae", 0.05),
]
YES_NO = [("binary_cross_entropy", 0.1), ("mse", 0.5), ("baikal", 0.01), ("-(x*log(y))", 0.1)]
REGRESSION = [("mse", 0.02), ("mae", 0.02), ("mse", 1e-7), ("tanh(x - y)*tanh(y - x)", 0.05)]


def trainings(link: Link | str) -> list[Training]:
    rows = {Link.SOFTMAX: CLASSIFICATION, Link.SIGMOID: YES_NO, Link.IDENTITY: REGRESSION}[Link(link)]
    return [Training(NAMED[loss] if loss in NAMED else parse(loss), rate) for loss, rate in rows]
