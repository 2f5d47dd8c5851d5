"""Tasks: the problems for which losses are searched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from glo.errors import TaskError
from glo.records import Direction, Link, TrainingConfig
from glo.tasks.checks import as_score, best_constant, check_task
from glo.tasks.fitting import Data, class_weight_of, fit_to_model, read_splits
from glo.tasks.identity import task_digest
from glo.tasks.inputs import Output
from glo.tasks.metrics import Metric, MetricFunction
from glo.tasks.named_metrics import named_metric
from glo.tasks.prior import prior_of
from glo.tasks.reading import SplitLike
from glo.tasks.shapes import as_rows, counted, unflattened
from glo.tasks.source import TaskSource
from glo.tasks.stream import Stream


@dataclass(frozen=True, eq=False, init=False)  # init=False: the constructor accepts more types than the attributes have
class Task:
    """A problem to find a loss for: a model, its data and a metric.

    A task is immutable.  `dataclasses.replace(task, train=..., name=...)` makes another one from it.

    Args:
        name: shown in output.
        model: makes a new, randomly initialised network at each call.  It may draw from the global generators of PyTorch,
            NumPy and Python, which are seeded.  Its outputs are logits of shape (N, C) or (N, C, d1, ...), or (N) or (N, 1)
            for one output; with the identity link they are the predictions.
        train: (inputs, targets) or (inputs, targets, sample weights) as tensors, arrays, data frames or lists; a
            `torch.utils.data.Dataset` of such items; or a function that makes a `DataLoader` of such batches, which is then
            read batch by batch (`glo.tasks.Stream`), as a `Dataset` above 2 GiB is.  Else the data is copied into memory.
            Inputs become float32, unless they are whole numbers that the model takes, such as the ids of tokens for an
            `nn.Embedding`.  Inputs in a tuple or a dictionary are handed to the model as `model(*inputs)` or
            `model(**inputs)`, and whole numbers and booleans among them stay what they are.
            Targets of softmax are class indices (N) or (N, d1, ...), also as whole numbers in floating point, names of
            classes, or probabilities (N, C) or (N, C, d1, ...); those of the other links are labels or values (N), (N, C)
            or (N, C, d1, ...).  Class indices from 1 to C, and names, are encoded (`class_names`).
        validation: the data that fitness is measured on; it must not overlap with train.
        test: never seen by a search; only comparisons need it.
        metric: the name of one in `glo.tasks.METRICS`, such as "accuracy", "average_precision", "f_beta:2" or "rmse", whose
            direction is known; a function of (predictions y, targets) -> float, of which higher is better and 0 means
            useless; or a `glo.Metric(function, direction="minimize", name=...)`, whose values may be any numbers, such as
            `glo.cost_metric(matrix)`.  A metric that does not prefer perfect predictions is refused.  The default is "r2"
            for the identity link, else "accuracy".
        link: "softmax", "sigmoid" (yes-no questions) or "identity" (regression).
        training: this task's defaults for `TrainingConfig`, e.g. {"steps": 600}.
        description: one line.
        version: part of the task's identity; change it when something changes that glo cannot see, such as a metric in C
            or a data file read inside the model.
        ignore_index: the class index of samples, or of pixels or tokens, that count neither in the loss nor in a metric by
            name.
        class_weight: what each class counts in the loss, with the meaning of `ExpressionLoss(weight=...)`: C numbers, a
            dictionary by class, or "balanced".  For one yes-no question it is two numbers, of which the second divided by
            the first is `pos_weight`.
        output: which of the model's outputs are the logits, if it returns several: the name of an attribute or key, such as
            "logits", the place in a tuple, or a function.
        class_names: the classes in the order of their indices; by default those of the training labels, sorted.  If they are
            numbers, the labels are these numbers.

    Attributes:
        source: the arguments of `load_task` that gave this task; None if it was made in another way, for example by
            `replace`.
        outputs: number of outputs of the model; with class indices it may be larger than `classes`.

    Raises:
        TaskError: if these do not fit together; the message names the argument.
    """

    name: str
    model: Callable[[], nn.Module]
    train: Data
    validation: Data
    test: Data | None
    metric: str | Metric | MetricFunction
    link: Link
    training: Mapping[str, Any]
    description: str
    version: str
    ignore_index: int | None
    class_weight: tuple[float, ...] | None
    output: Output | None
    class_names: tuple[Any, ...] | None
    source: TaskSource | None = field(init=False, repr=False)
    outputs: int = field(init=False, repr=False)

    def __init__(
        self,
        name: str,
        model: Callable[[], nn.Module],
        train: SplitLike | Stream,
        validation: SplitLike | Stream,
        test: SplitLike | Stream | None = None,
        metric: str | Metric | MetricFunction | None = None,
        link: Link | str = Link.SOFTMAX,
        training: Mapping[str, Any] | None = None,
        description: str = "",
        version: str = "",
        ignore_index: int | None = None,
        class_weight: Sequence[float] | Mapping[Any, float] | Tensor | str | None = None,
        output: Output | None = None,
        class_names: Sequence[Any] | None = None,
    ) -> None:
        if link not in list(Link):
            raise TaskError(f"task '{name}': link must be one of {', '.join(Link)}, not {link!r}")
        link = Link(link)
        if ignore_index is not None and (not isinstance(ignore_index, int) or isinstance(ignore_index, bool)):
            raise TaskError(f"task '{name}': ignore_index is a whole number, not {ignore_index!r}")
        if ignore_index is not None and link is not Link.SOFTMAX:
            raise TaskError(f"task '{name}': ignore_index is for class indices: the {link} link has none")
        metric = metric or ("r2" if link is Link.IDENTITY else "accuracy")
        if link is Link.IDENTITY and TrainingConfig(**(training or {})).label_smoothing:
            raise TaskError(f"task '{name}': label_smoothing is for probabilities: the identity link has none")
        given = {"train": train, "validation": validation, **({} if test is None else {"test": test})}
        if class_names is not None and (isinstance(class_names, str) or not isinstance(class_names, Sequence)):
            raise TaskError(f"task '{name}': class_names is a list of the classes, not {class_names!r}")
        named = None if class_names is None else tuple(class_names)
        splits, names = read_splits(given, f"task '{name}'", link, ignore_index, named)
        self.__dict__.update(  # a frozen dataclass sets its fields past its own __setattr__
            name=name,
            model=model,
            train=splits["train"],
            validation=splits["validation"],
            test=splits.get("test"),
            metric=metric,
            link=link,
            training=dict(training or {}),
            description=description,
            version=version,
            ignore_index=ignore_index,
            class_weight=None,
            output=output,
            class_names=names,
            source=None,
            outputs=1,
        )
        fit_to_model(self)
        if class_weight is not None:
            self.__dict__["class_weight"] = class_weight_of(self, class_weight)
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
        metric = named_metric(self.metric) if isinstance(self.metric, str) else self.metric
        return metric if isinstance(metric, Metric) else Metric(metric)

    @property
    def direction(self) -> Direction:
        """Whether the higher or the lower value of the metric is better."""
        return self._metric.direction

    @property
    def free_scores(self) -> bool:
        """Whether scores may be any numbers; else they count as at least 0, which a failed training is worth."""
        return isinstance(self.metric, Metric) or self.direction is Direction.MINIMIZE

    @property
    def splits(self) -> dict[str, Data]:
        """The splits that the task has, by name."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in found.items() if split is not None}

    @property
    def streams(self) -> bool:
        """Whether some of the data is read batch by batch."""
        return any(isinstance(split, Stream) for split in self.splits.values())

    @property
    def classes(self) -> int:
        """Number of outputs C."""
        if self.train.first.targets.is_floating_point():
            return self.train.first.targets.shape[1]
        if self.streams:
            return self.outputs
        found = [counted(split.targets, self.ignore_index) for split in self.splits.values()]
        return int(max(targets.max() for targets in found)) + 1

    @property
    def loss_options(self) -> dict[str, Any]:
        """Of `ExpressionLoss`, besides those of the trainings."""
        found: dict[str, Any] = {} if self.ignore_index is None else {"ignore_index": self.ignore_index}
        if self.class_weight is not None and self.link is Link.SIGMOID and self.classes == 1:
            negative, positive = self.class_weight
            found["pos_weight"] = [positive / negative]
        elif self.class_weight is not None:
            found["weight"] = list(self.class_weight)
        return found

    @property
    def prior(self) -> tuple[float, ...]:
        """What a constant prediction would know of the training labels.

        The share of each class, in the order of the model's outputs; of positive labels for sigmoid; the mean and the
        standard deviation for regression.  Nothing for labels that are read batch by batch.
        """
        if isinstance(self.train, Stream):
            return ()
        return prior_of(as_rows(counted(self.train.targets, self.ignore_index)), self.link, self.outputs)

    @property
    def soft(self) -> bool:
        """Whether some labels are neither class indices nor 0 or 1."""
        targets = self.train.first.targets
        return targets.is_floating_point() and not bool(((targets == 0) | (targets == 1)).all())

    def split(self, name: str) -> Data:
        """The split "train", "validation" or "test".

        Raises:
            TaskError: if the task has no such split.
        """
        split = getattr(self, name)
        if split is None:
            raise TaskError(f"task '{self.name}' has no {name} split: give Task(..., {name}=(inputs, targets))")
        return split

    @property
    def fits_metric(self) -> bool:
        """Whether the metric has a number, such as a threshold, that is chosen on validation (`Metric.fit`)."""
        return self._metric.fit is not None

    def fit_metric(self, predictions: Tensor, targets: Tensor) -> float | None:
        """The number that the metric chooses from predictions on the validation split; None if it has none.

        Arguments are those of `score`.

        Raises:
            TaskError: if it does not choose one number.
        """
        if self._metric.fit is None:
            return None
        return as_score(self._metric.fit(*self._measured(predictions, targets)), self.name, "fit of the metric")

    def score(self, predictions: Tensor, targets: Tensor, fitted: float | None = None) -> float:
        """The metric of predictions: outputs to which the link has been applied.

        A metric by name gets predictions (N, C), with a row for each pixel or token that counts.  A function of the user's
        gets predictions (N, C, d1, ...) and all targets, as the model and the data have them.

        Args:
            predictions: shape (N, C); of outputs (N, C, d1, ...), shape (N*d1*..., C).
            targets: of the same samples, as in a split.
            fitted: what `fit_metric` has chosen on validation.  Give it with predictions on test: without it, a metric that
                has such a number chooses it from these predictions.

        Raises:
            TaskError: if the metric does not return one number.
        """
        fitted = self.fit_metric(predictions, targets) if fitted is None else fitted
        return as_score(self._metric(*self._measured(predictions, targets), fitted), self.name)

    def _measured(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions and targets as the metric takes them; of soft labels of softmax, it sees the likeliest class."""
        if isinstance(self.metric, str):
            targets = as_rows(targets)
            if self.ignore_index is not None and not targets.is_floating_point():
                counts = targets != self.ignore_index
                predictions, targets = predictions[counts], targets[counts]
        else:
            predictions = unflattened(predictions, targets)
        if self.link is Link.SOFTMAX and targets.is_floating_point():
            targets = targets.argmax(1)
        return predictions, targets

    def chance(self) -> float:
        """The best validation metric of a constant prediction, plus three standard errors of a proportion.

        A network at or below it has learned nothing yet, if the metric is the accuracy.  It is -inf if the metric has no
        value for constant predictions.
        """
        best = best_constant(self)
        targets = as_rows(self.validation.targets)
        decisions = len(targets if targets.is_floating_point() else counted(targets, self.ignore_index))
        return best + 3 * (max(best * (1 - best), 0.0) / decisions) ** 0.5 if best > 0 else best

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
