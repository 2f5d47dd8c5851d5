"""A training: its configuration, the network to train, and the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from glo.expr import Expr
from glo.records.config import Config
from glo.records.outcome import Status

BINS = 50  # of the histogram of a network's predictions
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class TrainingConfig(Config):
    """How each candidate's network is trained, by SGD as in the paper (section IV.A).

    Attributes:
        steps: number of SGD steps.
        batch_size: samples per step.
        learning_rates: the ladder; a network is trained at each rate, and the best by validation counts.
        momentum: SGD momentum.
        weight_decay: L2 penalty, as in `torch.optim.SGD`.
        schedule: (step, factor) pairs: from that step on, the learning rate is multiplied by the factor.
        class_reduction: sum or mean over classes; the sum reproduces the paper's accuracies.
        eps: predictions are clamped to [eps, 1 - eps] (not inside log(y) and log(1 - y), which come from
            log-softmax or log-sigmoid).
        early_stop: fraction of the steps after which a network still at chance is stopped; 0 never stops one.  It is off for
            metrics other than the accuracy, and where the standard loss is still at chance too.
        curve_every: steps between evaluations for the curve; 0 for none.
        curve_on: the split that the curve is measured on; "test" is for plots of trainings from which nothing is chosen.
        precision: of the network's arithmetic: "float32"; "tf32" for matrix products on a GPU; "bfloat16" for activations
            and gradients, with parameters in float32.
        memory_mb: how much memory populations may take, in MiB; larger ones are trained in chunks.  None: half of what is
            free.
    """

    steps: PositiveInt = 300
    batch_size: PositiveInt = 100
    learning_rates: tuple[Rate, ...] = Field(default=(0.01,), min_length=1)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: NonNegativeFloat = 0.0
    schedule: tuple[tuple[PositiveInt, PositiveFloat], ...] = ()
    class_reduction: Literal["sum", "mean"] = "sum"
    eps: float = Field(default=1e-7, gt=0, lt=0.5)
    early_stop: float = Field(default=0.0, ge=0, lt=1)
    curve_every: int = Field(default=0, ge=0)
    curve_on: Literal["validation", "test"] = "validation"
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    memory_mb: PositiveInt | None = None


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
        stopped: whether it was stopped early, at chance.
        curve: (step, metric) pairs, if asked for (`TrainingConfig.curve_every`), or as an objective has reported them.
        test: metric on the test split, if asked for.
        histogram: how many of the predictions on the test split lie in each of `BINS` equal parts of [0, 1], with `test`.
        reason: why it counts as diverged, where it is not for its outputs or its loss.
    """

    validation: float
    diverged: bool = False
    stopped: bool = False
    curve: tuple[tuple[int, float], ...] = ()
    test: float | None = None
    histogram: tuple[int, ...] | None = None
    reason: str = ""

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
