"""A trial: what a user's function is given to judge a loss by, and the result of calling it."""

from __future__ import annotations

import math
import numbers
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from glo.errors import RAISED, ConfigError, UserCodeError, described
from glo.expr import parse
from glo.records import Direction, Failure, Link, Result, Status, Training, TrainingConfig, TrainingResult
from glo.tasks import Objective

if TYPE_CHECKING:
    from glo.loss import ExpressionLoss

Reports = Mapping[int, Sequence[float]]  # what earlier trials have reported, by step
FEWEST_REPORTS = 4  # earlier trials at a step, before a trial is given up there


@dataclass(eq=False)
class Trial:
    """A loss to judge: train with `trial.loss()`, seeded by `trial.seed`, and return the score.

    Attributes:
        expression: of the loss, as text: minus its sum over classes is minimised.
        number: of the candidate in its study, from 0.
        seed: for initial weights and batches; all candidates of a study have the same, so that luck is.
        link: how outputs become predictions.
        training: its eps, class reduction and unit gradient are those of the loss.
        direction: whether a higher or a lower score is better.
        classes: number of outputs.
        earlier: what earlier trials have reported, by step.
        reports: (step, value) pairs of this trial.
    """

    expression: str
    number: int
    seed: int
    link: Link = Link.SOFTMAX
    training: TrainingConfig = field(default_factory=TrainingConfig, repr=False)
    direction: Direction = Direction.MAXIMIZE
    classes: int = 10
    earlier: Reports = field(default_factory=dict[int, Sequence[float]], repr=False)
    reports: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])

    def loss(self, **options: Any) -> ExpressionLoss:
        """The loss of this trial as a module, with the link of the study.

        Args:
            options: of `ExpressionLoss`, such as weight, ignore_index or label_smoothing; `prior` if the search may use it,
                which is left out of a loss that does not.

        Raises:
            ConfigError: for a bad option.
        """
        from glo.loss import ExpressionLoss, unit_gradient

        loss = parse(self.expression)
        if not loss.uses("prior"):
            options.pop("prior", None)
        if self.training.unit_gradient:
            loss = unit_gradient(loss, self.link, self.classes, options.get("prior") or ())
        made = {"link": self.link, "eps": self.training.eps, "class_reduction": self.training.class_reduction}
        return ExpressionLoss(loss, **{**made, **options})

    def report(self, value: float, step: int) -> None:
        """Report the score at a step of the training, such as an epoch; steps rise.

        Raises:
            ConfigError: if the value is no number, or the step is not above the last one.
        """
        if isinstance(step, bool) or not isinstance(step, numbers.Integral):
            raise ConfigError(f"trial.report(value, step) takes a whole number as its step, not {step!r}")
        if self.reports and step <= self.reports[-1][0]:
            raise ConfigError(f"trial.report: step {step} comes after step {self.reports[-1][0]}")
        self.reports.append((int(step), _number(value, "trial.report(value, step)")))

    def should_stop(self) -> bool:
        """Whether to give up: the last reported value is worse than the median of the earlier trials at the same step.

        It is False until four earlier trials have reported at this step.  After it was True, return the last value: the
        outcome of the trial is `Status.STOPPED`, whatever is returned.
        """
        if not self.reports:
            return False
        step, value = self.reports[-1]
        others = self.earlier.get(step, ())
        if len(others) < FEWEST_REPORTS:
            return False
        sign = self.direction.sign
        worse = math.isnan(value) or sign * value < sign * statistics.median(others)
        if worse and self._stopped_at is None:
            self._stopped_at = step
        return worse

    def __post_init__(self) -> None:
        self._stopped_at: int | None = None

    def result(self, returned: object) -> Result:
        """The result of this trial, from what the user's function has returned.

        A score that is NaN or infinite is a diverged training; anything that is no score is a failure.
        """
        try:
            validation, test = _scores(returned)
        except ConfigError as error:
            return Failure(Status.CRASHED, str(error))
        curve = tuple(self.reports)
        if self._stopped_at is not None:
            score = validation if math.isfinite(validation) else 0.0
            reason = f"worse than the median of earlier trials at step {self._stopped_at}"
            return TrainingResult(score, stopped=True, curve=curve, reason=reason)
        if not math.isfinite(validation):
            return TrainingResult(0.0, diverged=True, curve=curve, reason=f"the objective returned {validation}")
        return TrainingResult(validation, curve=curve, test=test)


def trial_of(
    objective: Objective, training: Training, config: TrainingConfig, seed: int, earlier: Reports | None = None
) -> Trial:
    """The trial for one training."""
    return Trial(
        str(training.expression), training.number, seed, objective.link, config, objective.direction, objective.classes,
        earlier or {},
    )  # fmt: skip


def judge(objective: Objective, trial: Trial) -> Result:
    """Call a user's function with a trial.  An exception is a `Failure` with its traceback.

    Raises:
        KeyboardInterrupt: also where a library has turned Ctrl-C into `sys.exit`, as Lightning does.
    """
    try:
        returned = objective.function(trial)
    except RAISED as error:
        if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        return Failure(Status.CRASHED, described(error), UserCodeError.of(error, "").trace)
    return trial.result(returned)


def _scores(returned: object) -> tuple[float, float | None]:
    """The score on validation, and on test if there is one."""
    if isinstance(returned, Mapping):
        if "validation" not in returned or not set(returned) <= {"validation", "test"}:
            raise ConfigError(
                'an objective returns a number, or a dictionary with "validation" and perhaps "test", not one with '
                + (", ".join(map(repr, returned)) or "nothing")
            )
        test = returned.get("test")
        return _number(returned["validation"], "an objective"), None if test is None else _number(test, "an objective")
    return _number(returned, "an objective"), None


def _number(value: object, what: str) -> float:
    """A number: also a NumPy scalar, or a tensor with one element.

    Raises:
        ConfigError: if it is none.
    """
    elements = getattr(value, "numel", None) or getattr(value, "size", None)
    count = elements() if callable(elements) else elements
    kind = f"a {type(value).__name__}" + (f" of {count} elements" if isinstance(count, int) and count != 1 else "")
    if isinstance(value, str | bytes | bool) or value is None:
        raise ConfigError(f"{what} gives a number, not {'None' if value is None else repr(value)}")
    try:
        return float(value)  # pyright: ignore[reportArgumentType] - what cannot be converted raises
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"{what} gives a number, not {kind}") from None
