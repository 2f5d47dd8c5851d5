"""What a loss is searched for: a model, its data, and a metric."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from glo.errors import TaskError
from glo.records import Link, TrainingConfig
from glo.tasks.metrics import METRICS, Metric


@dataclass(frozen=True)
class Split:
    """Some of a task's data, whole in memory.

    Attributes:
        inputs: shape (N, ...), floating point.
        targets: class indices (N) of dtype int64, or labels and values (N, C) in floating point.
    """

    inputs: Tensor
    targets: Tensor
    _elsewhere: dict[str, Split] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device | str) -> Split:
        """The same on a device; copied there once, and kept."""
        name = str(torch.device(device))
        if self.inputs.device == torch.device(device):
            return self
        if name not in self._elsewhere:
            self._elsewhere[name] = Split(self.inputs.to(device), self.targets.to(device))
        return self._elsewhere[name]


@dataclass(frozen=True)
class TaskSource:
    """How a task was loaded by `load_task`, so that another process can load the same.

    Attributes:
        name: built in, or module:attribute.
        options: of the task.
        data_dir: where its files are, if that was said.
    """

    name: str
    options: Mapping[str, Any]
    data_dir: str | None


SplitLike = Split | tuple[Any, Any] | Dataset


@dataclass(frozen=True, eq=False)
class Task:
    """A problem of one's own, for which a loss is to be found.

    Args:
        name: what to call it.
        model: makes a fresh, randomly initialised network; its outputs are logits (N, C) (or (N) or (N, 1) for one
            output), for the identity link predictions.
        train: (inputs, targets) as tensors or arrays, or a `torch.utils.data.Dataset` of such pairs.
        validation: what fitness is measured on; must not overlap with train.
        test: untouched by any search; needed only for comparisons.
        metric: "accuracy", "balanced_accuracy", "f1_macro", "r2", or a function of (predictions y, targets) -> float;
            higher is better, and 0 is as good as useless.
        link: "softmax", "sigmoid" (yes-no questions) or "identity" (regression).
        training: defaults of this task for `TrainingConfig`, e.g. {"steps": 600}.
        description: one line.

    Attributes:
        source: how it was loaded, if it was loaded by name.  A task that is made from another has none.

    Raises:
        TaskError: where these do not fit together; the message says which.
    """

    name: str
    model: Callable[[], nn.Module]
    train: SplitLike
    validation: SplitLike
    test: SplitLike | None = None
    metric: str | Metric | None = None
    link: Link | str = Link.SOFTMAX
    training: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    source: TaskSource | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.link not in list(Link):
            raise TaskError(f"task '{self.name}': link is one of {', '.join(Link)}, not {self.link!r}")
        link = Link(self.link)
        metric = self.metric or ("r2" if link is Link.IDENTITY else "accuracy")
        if isinstance(metric, str) and metric not in METRICS:
            raise TaskError(f"task '{self.name}': metric is a function or one of {', '.join(METRICS)}, not {metric!r}")
        TrainingConfig(**self.training)
        settle = object.__setattr__  # a frozen dataclass may settle its own fields once
        settle(self, "link", link)
        settle(self, "metric", metric)
        for name in ("train", "validation", "test"):
            data = getattr(self, name)
            if data is not None:
                settle(self, name, _as_split(data, f"task '{self.name}': {name}", link))
        self._check_model()

    @property
    def classes(self) -> int:
        """Number of outputs C."""
        targets = self.split("train").targets
        if targets.is_floating_point():
            return targets.shape[1]
        return int(max(self.split(name).targets.max() for name in ("train", "validation"))) + 1

    @property
    def soft(self) -> bool:
        """Whether labels are other than class indices or 0 and 1."""
        targets = self.split("train").targets
        return targets.is_floating_point() and not bool(((targets == 0) | (targets == 1)).all())

    def split(self, name: str) -> Split:
        """The split "train", "validation" or "test".

        Raises:
            TaskError: if the task has no such split.
        """
        split = getattr(self, name)
        if not isinstance(split, Split):
            raise TaskError(f"task '{self.name}' has no {name} split: give Task(..., {name}=(inputs, targets))")
        return split

    def score(self, predictions: Tensor, targets: Tensor) -> float:
        """The metric of predictions (N, C): outputs already passed through the link."""
        if self.link is Link.SOFTMAX and targets.is_floating_point():
            targets = targets.argmax(1)
        metric = METRICS[self.metric] if isinstance(self.metric, str) else self.metric
        assert metric is not None  # noqa: S101 - settled in __post_init__
        return float(metric(predictions, targets))

    def chance(self) -> float:
        """The best validation metric that a constant prediction reaches, and three standard errors more.

        A network at or below it has learned nothing yet.
        """
        targets = self.split("validation").targets
        one_class = list(torch.eye(self.classes))
        constants = [self.split("train").targets.mean(0)] if targets.is_floating_point() else one_class
        best = max(self.score(constant.expand(len(targets), -1), targets) for constant in constants)
        return best + 3 * (max(best * (1 - best), 0.0) / len(targets)) ** 0.5

    def digest(self) -> str:
        """A hash of the data, the architecture, metric and link: what a recorded outcome depends on."""
        text = f"{self.link}|{self.metric if isinstance(self.metric, str) else getattr(self.metric, '__name__', '')}"
        with torch.random.fork_rng(devices=[]):
            model = self.model()
        shapes = [(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]
        hashed = hashlib.blake2b(f"{text}|{model!r}|{shapes}".encode(), digest_size=8)
        for name in ("train", "validation", "test"):
            if getattr(self, name) is not None:
                split = self.split(name)
                hashed.update(split.inputs.numpy().tobytes())
                hashed.update(split.targets.numpy().tobytes())
        return hashed.hexdigest()

    def _check_model(self) -> None:
        """One forward pass in evaluation mode: a model that does not fit its data is better known now."""
        with torch.random.fork_rng(devices=[]):
            model = self.model()
        if not isinstance(model, nn.Module):
            raise TaskError(f"task '{self.name}': model() must return a torch.nn.Module, not {type(model).__name__}")
        sample = self.split("train").inputs[:2]
        try:
            with torch.no_grad():
                outputs = model.eval()(sample)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise TaskError(
                f"task '{self.name}': the model fails on inputs of shape {tuple(sample.shape)}: {error}"
            ) from error
        outputs = outputs.unsqueeze(1) if outputs.dim() == 1 else outputs
        if outputs.dim() != 2 or outputs.shape[1] < self.classes:
            raise TaskError(
                f"task '{self.name}': the model's outputs have shape {tuple(outputs.shape)} for 2 samples, "
                f"but the targets need (2, {self.classes})"
            )


def _as_split(data: SplitLike, where: str, link: Link) -> Split:
    if isinstance(data, Split):
        inputs, targets = data.inputs, data.targets
    elif isinstance(data, tuple) and len(data) == 2:
        inputs, targets = (torch.as_tensor(np.asarray(part) if isinstance(part, list) else part) for part in data)
    elif isinstance(data, Dataset):
        pairs = [data[index] for index in range(len(data))]  # pyright: ignore[reportArgumentType] - sized by contract
        inputs = torch.stack([torch.as_tensor(pair[0]) for pair in pairs])
        targets = torch.stack([torch.as_tensor(pair[1]) for pair in pairs])
    else:
        raise TaskError(f"{where} is (inputs, targets) or a Dataset, not {type(data).__name__}")
    inputs = inputs.to(torch.float32)
    if len(inputs) != len(targets) or len(inputs) == 0:
        raise TaskError(f"{where} has {len(inputs)} inputs and {len(targets)} targets")
    if not bool(torch.isfinite(inputs).all()):
        raise TaskError(f"{where} has inputs that are NaN or infinite")
    if link is Link.SOFTMAX and not targets.is_floating_point():
        if targets.dim() != 1 or int(targets.min()) < 0:
            raise TaskError(f"{where} needs class indices of shape (N), at least 0, or probabilities of shape (N, C)")
        return Split(inputs.contiguous(), targets.to(torch.int64))
    targets = targets.to(torch.float32)
    targets = targets.unsqueeze(1) if targets.dim() == 1 else targets
    if targets.dim() != 2 or not bool(torch.isfinite(targets).all()):
        raise TaskError(f"{where} needs finite targets of shape (N) or (N, C), not {tuple(targets.shape)}")
    if link is not Link.IDENTITY and not bool(((targets >= 0) & (targets <= 1)).all()):
        raise TaskError(f"{where} has labels outside [0, 1]")
    return Split(inputs.contiguous(), targets.contiguous())
