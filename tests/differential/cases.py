"""A case: a task, trainings and a configuration, all drawn from one seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from glo.records import Link, Training, TrainingConfig
from glo.tasks import Task

from .losses import random_loss, random_rate
from .modules import KINDS, Factory, Shape, pick


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        seed: all else is drawn from it.
        kind: a name in `KINDS`.
        link: of the task.
        model: the factory.
        splits: (inputs, targets) as a user has them, by name of the split.
        metric: of the task.
        fits: whether the targets fit the outputs; if not, the task may be refused.
        trainings: losses and rates.
        config: of the training.
        options: class_weight and ignore_index of the task.
        weights: of the training samples, or None.
    """

    seed: int
    kind: str
    link: Link
    model: Callable[[], nn.Module]
    splits: dict[str, tuple[Any, Any]]
    metric: Any
    fits: bool
    trainings: list[Training]
    config: TrainingConfig
    options: dict[str, Any]
    weights: NDArray[np.float64] | None

    @property
    def weighted(self) -> bool:
        """Whether the loss of a batch is more than the mean of `ExpressionLoss` over its samples."""
        return bool(self.options) or self.weights is not None or self.config.label_smoothing > 0

    def task(self, model: Callable[[], nn.Module] | None = None) -> Task:
        """The task, or the same one with another model."""
        train, validation, test = self.splits["train"], self.splits["validation"], self.splits["test"]
        named = self.metric if isinstance(self.metric, str) else None
        given = train if self.weights is None else (*train, self.weights)
        task = Task(
            f"case {self.seed}", model or self.model, given, validation, test, metric=named, link=self.link, **self.options
        )
        vars(task)["metric"] = self.metric or task.metric  # a projection prefers nothing, and would be refused
        return task

    def __str__(self) -> str:
        rows = [f"case {self.seed}: {self.kind}, link {self.link}, metric {getattr(self.metric, '__name__', self.metric)}"]
        for name, (inputs, targets) in self.splits.items():
            rows.append(f"{name}: inputs {_described(inputs)}, targets {_described(targets)}")
        rows += [repr(self.model()), repr(self.config), f"{self.options}, weights {self.weights}"]
        rows += [
            f"[{i}] {training.expression} at rate {training.learning_rate:.4g}" for i, training in enumerate(self.trainings)
        ]
        return "\n".join(rows)


def _described(array: Any) -> str:
    return f"{tuple(array.shape)} {array.dtype} ({type(array).__module__})"


def make_case(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    names = list(KINDS)
    weights = np.array([KINDS[name].weight for name in names])
    kind = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    link = pick(rng, [Link.SOFTMAX, Link.SOFTMAX, Link.SIGMOID, Link.IDENTITY])
    classes = int(rng.integers(2, 6) if link is Link.SOFTMAX and rng.random() < 0.95 else rng.integers(1, 4))
    images = KINDS[kind].images or rng.random() < 0.05
    shape = (int(rng.integers(1, 3)), 4, int(rng.integers(4, 6))) if images else (int(rng.integers(3, 9)),)
    labels = _label_maker(rng, link, classes, shape)
    splits = {name: _split(rng, shape, labels, int(rng.integers(8, 41))) for name in ("train", "validation", "test")}
    fits = classes > 1 if link is Link.SOFTMAX else classes == 1 or rng.random() < 0.97
    if not fits and link is not Link.SOFTMAX:
        splits = {name: (inputs, targets[:, 0]) for name, (inputs, targets) in splits.items()}
    model = _shaped(rng, KINDS[kind].draw(rng, shape, classes), link, classes)
    metric = projection if rng.random() < 0.6 else pick(rng, _metrics(link, classes))
    count = int(pick(rng, [1, 1, 1, 1, 2, 2, 2, 3, 6]))
    trainings = [Training(random_loss(rng, link), random_rate(rng)) for _ in range(count)]
    config = _config(rng)
    if config.optimizer != "sgd":  # a step is about as long as the rate, whatever the gradient
        trainings = [Training(each.expression, each.learning_rate / 30) for each in trainings]
    # Drawn apart, so that a seed has the case that it had before there were weights.
    config, options, weights = _weighting(np.random.default_rng([seed, 1]), link, classes, splits, config)
    return Case(seed, kind, link, model, splits, metric, fits, trainings, config, options, weights)


def _weighting(
    rng: Generator, link: Link, classes: int, splits: dict[str, tuple[Any, Any]], config: TrainingConfig
) -> tuple[TrainingConfig, dict[str, Any], NDArray[np.float64] | None]:
    """Class weights, ignored labels, sample weights and label smoothing of a third of the cases."""
    options: dict[str, Any] = {}
    if rng.random() < 2 / 3:
        return config, options, None
    targets = splits["train"][1]
    hard = link is Link.SOFTMAX and targets.ndim == 1
    if hard and classes > 1 and rng.random() < 0.5:
        options["ignore_index"] = int(pick(rng, [0, 100, 255]))
        for name, (inputs, labels) in splits.items():
            holes = rng.random(len(labels)) < 0.3
            holes[:classes] = False
            kept = np.asarray(labels).astype(np.int64)
            splits[name] = (inputs, np.where(holes, options["ignore_index"], kept))
    binary = link is Link.SIGMOID and classes == 1
    weighable = bool(np.isin(np.asarray(targets), (0, 1)).all()) if binary else classes > 1 and link is not Link.IDENTITY
    if weighable and rng.random() < 0.6:
        options["class_weight"] = rng.uniform(0.2, 5.0, 2 if binary else classes).tolist()
    if link is not Link.IDENTITY and rng.random() < 0.5:
        config = config.model_copy(update={"label_smoothing": float(pick(rng, [0.05, 0.3]))})
    weights = rng.uniform(0.0, 2.0, len(targets)) if rng.random() < 0.5 else None
    return config, options, weights


def projection(predictions: Tensor, targets: Tensor) -> Tensor:
    """A metric that shows a small difference of any prediction; it is at least 0."""
    weights = 1.5 + torch.sin(torch.arange(predictions.numel(), dtype=torch.float64)).reshape(predictions.shape)
    return (predictions.double().tanh() * weights).mean().abs()


def _metrics(link: Link, classes: int) -> list[str]:
    if link is Link.IDENTITY:
        return ["r2"]
    return ["accuracy", "balanced_accuracy", "f1_macro"] if link is Link.SOFTMAX or classes == 1 else ["accuracy"]


LabelMaker = Callable[[Generator, NDArray[np.float64]], Any]


def _label_maker(rng: Generator, link: Link, classes: int, shape: Shape) -> LabelMaker:
    """A function from inputs to noisy targets of one dtype: something that a network can learn."""
    matrix, hard, dtype = rng.normal(size=(math.prod(shape), classes)), rng.random() < 0.7, rng.integers(4)

    def make(rng: Generator, inputs: NDArray[np.float64]) -> Any:
        values = inputs.reshape(len(inputs), -1) @ matrix / math.sqrt(len(matrix)) + 0.3 * rng.normal(
            size=(len(inputs), classes)
        )
        if link is Link.IDENTITY:
            return values.astype([np.float32, np.float64, np.float32, np.float64][dtype])
        if link is Link.SIGMOID and hard:
            return (values > 0).astype([np.float32, np.float64, np.int64, bool][dtype])
        if link is Link.SIGMOID:
            return (1 / (1 + np.exp(-values))).astype(np.float32)
        if hard:
            indices = values.argmax(1)
            indices[:classes] = np.arange(classes)[: len(indices)]  # every class occurs
            return (
                torch.from_numpy(indices) if dtype == 0 else indices.astype([np.int64, np.int64, np.int32, np.uint8][dtype])
            )
        return np.exp(values) / np.exp(values).sum(1, keepdims=True)

    return make


def _split(rng: Generator, shape: Shape, labels: LabelMaker, samples: int) -> tuple[Any, Any]:
    inputs = rng.normal(size=(samples, *shape))
    targets = labels(rng, inputs)
    scale = pick(rng, [1.0, 1.0, 1.0, 1.0, 20.0])  # unscaled data give large logits
    forms: list[Callable[[Any], Any]] = [
        lambda a: torch.from_numpy(a).float(), lambda a: a.astype(np.float32), lambda a: a, lambda a: torch.from_numpy(a),
        lambda a: np.rint(2 * a).astype(np.int64), lambda a: a > 0,
        lambda a: np.clip(np.rint(10 + 3 * a), 0, 255).astype(np.uint8),
    ]  # fmt: skip
    return pick(rng, forms)(scale * inputs), targets


def _shaped(rng: Generator, factory: Factory, link: Link, classes: int) -> Factory:
    """Some models with one output give the shape (N)."""
    if classes > 1 or link is Link.SOFTMAX or rng.random() < 0.5:
        return factory
    return lambda: nn.Sequential(factory(), nn.Flatten(0))


def _config(rng: Generator) -> TrainingConfig:
    steps = int(pick(rng, [2, 2, 3, 3, 4, 5, 6, 8, 12]))
    schedule = tuple(
        (int(start), float(pick(rng, [0.1, 0.5, 2.0]))) for start in rng.integers(1, steps + 1, rng.integers(0, 3))
    )
    batch_size, momentum = int(pick(rng, [1, 2, 5, 8, 8, 10, 16, 64])), pick(rng, [0.0, 0.0, 0.5, 0.9])
    config = TrainingConfig(
        steps=steps,
        batch_size=batch_size,
        momentum=momentum,
        weight_decay=pick(rng, [0.0, 0.0, 0.01, 0.1]),
        schedule=schedule if rng.random() < 0.5 else (),
        class_reduction=pick(rng, ["sum", "mean"]),
        eps=pick(rng, [1e-7, 1e-7, 1e-7, 1e-4, 0.01, 0.2]),
        early_stop=pick(rng, [0.3, 0.6]) if rng.random() < 0.15 else 0.0,
        curve_every=pick(rng, [0, 0, 1, 2, 3]),
        curve_on=pick(rng, ["validation", "test"]),
    )
    return TrainingConfig.model_validate({**config.model_dump(), **_optimization(rng, momentum)})


def _optimization(rng: Generator, momentum: float) -> dict[str, Any]:
    """Optimizer, schedule and clipping of half of the cases; the others have SGD with pairs."""
    if rng.random() < 0.5:
        return {}
    optimizer = pick(rng, ["sgd", "adam", "adamw", "rmsprop"])
    options: dict[str, Any] = {"optimizer": optimizer, "warmup": pick(rng, [0.0, 0.0, 0.3, 0.6])}
    if optimizer in ("adam", "adamw"):
        options |= {"momentum": 0.0, "betas": pick(rng, [(0.9, 0.999), (0.9, 0.999), (0.5, 0.9), (0.0, 0.99)])}
    elif optimizer == "rmsprop":
        options["alpha"] = pick(rng, [0.99, 0.9])
    else:
        options["nesterov"] = momentum > 0 and rng.random() < 0.5
    if rng.random() < 0.6:
        options["schedule"] = pick(rng, ["constant", "cosine", "linear"])
    return {**options, "clip_norm": pick(rng, [None, 0.01, 0.3, 3.0])}
