"""Tasks: the problems for which losses are searched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from glo.errors import TaskError
from glo.records import Direction, Link, TrainingConfig
from glo.tasks.checks import as_score, best_constant, check_task
from glo.tasks.factory import takes_whole_numbers
from glo.tasks.identity import task_digest
from glo.tasks.metrics import METRICS, Metric, MetricFunction
from glo.tasks.source import TaskSource
from glo.tasks.split import Split, SplitLike, read_split


@dataclass(frozen=True, eq=False, init=False)  # init=False: the constructor accepts more types than the attributes have
class Task:
    """A problem to find a loss for: a model, its data and a metric.

    A task is immutable.  `dataclasses.replace(task, train=..., name=...)` makes another one from it.

    Args:
        name: shown in output.
        model: makes a new, randomly initialised network at each call.  It may draw from the global generators of PyTorch,
            NumPy and Python, which are seeded.  Its outputs are logits of shape (N, C), or (N) or (N, 1) for one output;
            with the identity link they are the predictions.
        train: (inputs, targets) as tensors, arrays, data frames or lists, or a `torch.utils.data.Dataset` of such pairs.
            The data is copied.  Inputs become float32, unless they are whole numbers that the model takes, such as the ids
            of tokens for an `nn.Embedding`.  Targets of softmax are class indices (N), also as whole numbers in floating
            point, or probabilities (N, C); those of the other links are labels or values (N) or (N, C).
        validation: the data that fitness is measured on; it must not overlap with train.
        test: never seen by a search; only comparisons need it.
        metric: the name of one in `glo.tasks.METRICS`, such as "accuracy", "average_precision" or "rmse", whose direction is
            known; a function of (predictions y, targets) -> float, of which higher is better and 0 means useless; or a
            `glo.Metric(function, direction="minimize", name=...)`, whose values may be any numbers.  A metric that does not
            prefer perfect predictions is refused.  The default is "r2" for the identity link, else "accuracy".
        link: "softmax", "sigmoid" (yes-no questions) or "identity" (regression).
        training: this task's defaults for `TrainingConfig`, e.g. {"steps": 600}.
        description: one line.
        version: part of the task's identity; change it when something changes that glo cannot see, such as a metric in C
            or a data file read inside the model.

    Attributes:
        source: the arguments of `load_task` that gave this task; None if it was made in another way, for example by
            `replace`.

    Raises:
        TaskError: if these do not fit together; the message names the argument.
    """

    name: str
    model: Callable[[], nn.Module]
    train: Split
    validation: Split
    test: Split | None
    metric: str | Metric | MetricFunction
    link: Link
    training: Mapping[str, Any]
    description: str
    version: str
    source: TaskSource | None = field(init=False, repr=False)

    def __init__(
        self,
        name: str,
        model: Callable[[], nn.Module],
        train: SplitLike,
        validation: SplitLike,
        test: SplitLike | None = None,
        metric: str | Metric | MetricFunction | None = None,
        link: Link | str = Link.SOFTMAX,
        training: Mapping[str, Any] | None = None,
        description: str = "",
        version: str = "",
    ) -> None:
        if link not in list(Link):
            raise TaskError(f"task '{name}': link must be one of {', '.join(Link)}, not {link!r}")
        link = Link(link)
        metric = metric or ("r2" if link is Link.IDENTITY else "accuracy")
        TrainingConfig(**(training or {}))
        self.__dict__.update(  # a frozen dataclass sets its fields past its own __setattr__
            name=name,
            model=model,
            train=read_split(train, f"task '{name}': train", link),
            validation=read_split(validation, f"task '{name}': validation", link),
            test=None if test is None else read_split(test, f"task '{name}': test", link),
            metric=metric,
            link=link,
            training=dict(training or {}),
            description=description,
            version=version,
            source=None,
        )
        if not takes_whole_numbers(self):
            for part in ("train", "validation", "test"):
                split: Split | None = self.__dict__[part]
                self.__dict__[part] = split and split.with_float_inputs()
        check_task(self)

    def loaded_from(self, source: TaskSource) -> Task:
        """The same task with its source; for `load_task`."""
        task = object.__new__(type(self))
        task.__dict__.update(self.__dict__, source=source)
        return task

    @property
    def metric_name(self) -> str:
        """The name of the metric, for tables."""
        return self.metric if isinstance(self.metric, str) else self._metric.name

    @property
    def _metric(self) -> Metric:
        metric = METRICS.get(self.metric) if isinstance(self.metric, str) else self.metric
        return metric if isinstance(metric, Metric) else Metric(metric or METRICS["accuracy"].function)

    @property
    def direction(self) -> Direction:
        """Whether the higher or the lower value of the metric is better."""
        return self._metric.direction

    @property
    def free_scores(self) -> bool:
        """Whether scores may be any numbers; else they count as at least 0, which a failed training is worth."""
        return isinstance(self.metric, Metric) or self.direction is Direction.MINIMIZE

    @property
    def classes(self) -> int:
        """Number of outputs C."""
        if self.train.targets.is_floating_point():
            return self.train.targets.shape[1]
        splits = [split for split in (self.train, self.validation, self.test) if split is not None]
        return int(max(split.targets.max() for split in splits)) + 1

    @property
    def soft(self) -> bool:
        """Whether some labels are neither class indices nor 0 or 1."""
        targets = self.train.targets
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
        """The metric of predictions (N, C): outputs to which the link has been applied.

        Raises:
            TaskError: if the metric does not return one number.
        """
        if self.link is Link.SOFTMAX and targets.is_floating_point():
            targets = targets.argmax(1)
        return as_score(self._metric(predictions, targets), self.name)

    def chance(self) -> float:
        """The best validation metric of a constant prediction, plus three standard errors of a proportion.

        A network at or below it has learned nothing yet, if the metric is the accuracy.  It is -inf if the metric has no
        value for constant predictions.
        """
        best = best_constant(self)
        return best + 3 * (max(best * (1 - best), 0.0) / len(self.validation)) ** 0.5 if best > 0 else best

    def digest(self) -> str:
        """A hash of all that an outcome depends on: data, architecture, link, metric and version.

        It is the same in every process, and is computed once.
        """
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return task_digest(self)

    def __getstate__(self) -> dict[str, Any]:
        # A process that receives the task computes the digest from what it received, so that the two can be compared.
        return {name: value for name, value in self.__dict__.items() if name != "_digest"}
