"""A training: its configuration, the network to train, and the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from glo.errors import ConfigError
from glo.expr import Expr
from glo.records.config import Config
from glo.records.outcome import Status
from glo.records.predicted import Predicted

BINS = 50  # of the histogram of a network's predictions
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Milestones = tuple[tuple[PositiveInt, PositiveFloat], ...]

ADAPTIVE_RATE = 0.001  # the default of optimizers other than SGD
# The options that came later than the first stores.  At their defaults they are no part of a key (`glo.execution.key`), so
# that what is known of a training stays known.
LATER_OPTIONS = (
    "optimizer",
    "nesterov",
    "betas",
    "alpha",
    "warmup",
    "clip_norm",
    "label_smoothing",
    "unit_gradient",
    "rungs",
    "metrics",
)


class TrainingConfig(Config):
    """How each candidate's network is trained; by default by plain SGD, as in the paper (section IV.A).

    Attributes:
        steps: number of steps of the optimizer.
        batch_size: samples per step.
        learning_rates: the ladder; a network is trained at each rate, and the best by validation counts.  The defaults are
            for SGD; with another optimizer they are smaller: 0.001, and 0.001 to 0.01 in preset default.
        unit_gradient: whether each loss is scaled so that its gradient at uninformed predictions is that of the standard
            loss (`glo.unit_gradient`).  Learning rates then mean the same for all losses.  Off, as in the paper, a loss is
            trained as it is written.
        optimizer: "sgd", "adam", "adamw" or "rmsprop", each as PyTorch defines it.
        momentum: of sgd and rmsprop.
        nesterov: Nesterov's momentum; for sgd.
        betas: decay rates of the averages of the gradient and of its square; for adam and adamw.
        alpha: decay rate of the average of the squared gradient; for rmsprop.
        weight_decay: L2 penalty; for adamw, the decoupled decay.  0 means none, also for adamw, where PyTorch's own default
            is 0.01.
        schedule: of the learning rate: "constant"; "cosine" or "linear", which fall to 0 at the last step; or (step, factor)
            pairs: from that step on, the learning rate is multiplied by the factor.
        warmup: fraction of the steps in which the learning rate rises linearly to its full value; "cosine" and "linear"
            begin after it.
        clip_norm: the gradient of each network is scaled down to this total norm if it is longer, as by
            `torch.nn.utils.clip_grad_norm_`.  None: it is not.
        label_smoothing: in [0, 1), mixes the labels with the uniform distribution, as in `nn.CrossEntropyLoss` (under the
            sigmoid link with 1/2); not for regression.
        class_reduction: sum or mean over classes; the sum reproduces the paper's accuracies.
        eps: predictions are clamped to [eps, 1 - eps] (not inside log(y) and log(1 - y), which come from
            log-softmax or log-sigmoid).
        early_stop: fraction of the steps after which a network still at chance is stopped; 0 never stops one.  It is off for
            metrics other than the accuracy, and where the standard loss is still at chance too.
        rungs: pairs (fraction of the steps, share): a training of a study is given up after that fraction of its steps if it
            is among the worst share of what earlier candidates had there.  It is off where trainings are compared.
        curve_every: steps between evaluations for the curve; 0 for none.
        curve_on: the split that the curve is measured on; "test" is for plots of trainings from which nothing is chosen.
        metrics: names of further metrics to measure on validation at the end of a training; nothing depends on them.
        precision: of the network's arithmetic: "float32"; "tf32" for matrix products on a GPU; "bfloat16" for activations
            and gradients, with parameters in float32.
        memory_mb: how much memory populations may take, in MiB; larger ones are trained in chunks.  None: half of what is
            free.  On a CPU, a chunk has at most 80 networks for each thread.
    """

    steps: PositiveInt = 300
    batch_size: PositiveInt = 100
    learning_rates: tuple[Rate, ...] = Field(default=(0.01,), min_length=1)
    unit_gradient: bool = False
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop"] = "sgd"
    momentum: float = Field(default=0.0, ge=0, lt=1)
    nesterov: bool = False
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    alpha: Beta = 0.99
    weight_decay: NonNegativeFloat = 0.0
    schedule: Literal["constant", "cosine", "linear"] | Milestones = ()
    warmup: float = Field(default=0.0, ge=0, lt=1)
    clip_norm: Rate | None = None
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_reduction: Literal["sum", "mean"] = "sum"
    eps: float = Field(default=1e-7, gt=0, lt=0.5)
    early_stop: float = Field(default=0.0, ge=0, lt=1)
    rungs: tuple[tuple[Fraction, Fraction], ...] = ()
    curve_every: int = Field(default=0, ge=0)
    curve_on: Literal["validation", "test"] = "validation"
    metrics: tuple[str, ...] = ()
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    memory_mb: PositiveInt | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_rate(cls, values: Any) -> Any:
        """The default learning rate is that of the optimizer."""
        if isinstance(values, Mapping) and values.get("optimizer", "sgd") != "sgd":
            return {"learning_rates": (ADAPTIVE_RATE,), **values}
        return values

    @field_validator("schedule", mode="before")
    @classmethod
    def _one_constant(cls, schedule: Any) -> Any:
        """A constant schedule is one without pairs, so that there is one key for it."""
        if schedule == "steps":
            raise ValueError('steps are given as (step, factor) pairs, e.g. [[100, 0.5]], without the word "steps"')
        return () if schedule == "constant" else schedule

    @property
    def whole(self) -> TrainingConfig:
        """The same without early stopping and rungs: every training runs to its end."""
        return self.model_copy(update={"early_stop": 0.0, "rungs": ()})

    @model_validator(mode="after")
    def _meaningful(self) -> TrainingConfig:
        """Options that the optimizer does not have are refused."""
        adam, default = self.optimizer in ("adam", "adamw"), type(self).model_fields
        refused = {
            "momentum": (self.momentum and adam, "(here or in the task's own training) is for sgd and rmsprop"),
            "nesterov": (self.nesterov and self.optimizer != "sgd", "is for training.optimizer=sgd"),
            "betas": (self.betas != default["betas"].default and not adam, "is for training.optimizer=adam or adamw"),
            "alpha": (
                self.alpha != default["alpha"].default and self.optimizer != "rmsprop",
                "is for training.optimizer=rmsprop",
            ),
        }
        for option, (meaningless, reason) in refused.items():
            if meaningless:
                raise ConfigError(f"option 'training.{option}' {reason}, not for {self.optimizer}")
        if [progress for progress, _ in self.rungs] != sorted({progress for progress, _ in self.rungs}):
            raise ConfigError("option 'training.rungs': the fractions rise, such as [[0.1, 0.1], [0.3, 0.5]]")
        if self.nesterov and not self.momentum:
            raise ConfigError("option 'training.nesterov' needs training.momentum, e.g. 0.9")
        return self


@dataclass(frozen=True, slots=True)
class Training:
    """One network to train.

    Attributes:
        expression: of its loss.
        learning_rate: of its training; an objective has its own, and does not look at this one.
        number: of the candidate in its study, which an objective may look at; no result depends on it.
    """

    expression: Expr
    learning_rate: float
    number: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What one trained network reached.

    Attributes:
        validation: metric on the validation split; 0 if it diverged.
        diverged: whether outputs, the loss or the metric are NaN or infinite.
        stopped: whether it was given up early: at chance, or at a rung.
        curve: (step, metric) pairs: those that were asked for (`TrainingConfig.curve_every`), those at the rungs, or those
            that an objective has reported.
        test: metric on the test split, if asked for.
        histogram: how many of the predictions on the test split lie in each of `BINS` equal parts of [0, 1], with `test`.
        left_out: the metric on the test split without each group of its samples, with `test` (`glo.training.jackknife`);
            empty if that is not known.
        predicted: the counts of its predictions on the test split, with `test`.
        reason: why it was stopped, or why it counts as diverged, where it is not for its outputs or its loss.
        metrics: those of `TrainingConfig.metrics` on the validation split, by name, of a training that ran to its end.
    """

    validation: float
    diverged: bool = False
    stopped: bool = False
    curve: tuple[tuple[int, float], ...] = ()
    test: float | None = None
    histogram: tuple[int, ...] | None = None
    reason: str = ""
    left_out: tuple[float, ...] = field(default=(), compare=False)
    metrics: tuple[tuple[str, float], ...] = ()
    predicted: Predicted | None = field(default=None, compare=False)

    @property
    def why_diverged(self) -> str:
        """Why it counts as diverged; empty if it does not."""
        return (self.reason or "outputs or the loss became NaN or infinite") if self.diverged else ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a training has no result.

    Attributes:
        status: `Status.CRASHED` or `Status.TIMED_OUT`.
        reason: in words.
        trace: the traceback of the user's code, where there is one.
    """

    status: Status
    reason: str
    trace: str = field(default="", compare=False)


Result = TrainingResult | Failure
