"""The loss that a command is about: an expression, or the best loss of a study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glo.expr import Expr
    from glo.records import Link
    from glo.study import StudyResult


@dataclass(frozen=True)
class ChosenLoss:
    """A loss, and how it is applied.

    Attributes:
        expression: minus its sum over classes is minimised.
        result: of the study that found it, if it comes from one.
    """

    expression: Expr
    result: StudyResult | None

    @property
    def trained(self) -> Expr:
        """The expression to take away: of a study, with the scale that it was trained with."""
        return self.expression if self.result is None else self.result.best.trained

    @property
    def weighted(self) -> bool:
        """Whether the terms of the classes have weights, in the study that it comes from."""
        return self.result is not None and "weight" in self.result.config.task.loss_options

    def unit(self, link: Link, classes: int) -> float | None:
        """The factor for the unit gradient; of a study, for its task, else for equal priors."""
        from glo.loss import unit_factor
        from glo.records import Link

        if self.result is not None:
            task = self.result.config.task
            return unit_factor(self.expression, link, task.classes, task.prior)
        equal = {Link.SOFTMAX: (1 / classes,) * classes, Link.SIGMOID: (0.5,)}.get(link, ())
        return unit_factor(self.expression, link, classes, equal)

    @property
    def prior(self) -> tuple[float, ...]:
        """Of the study's training labels, if the loss uses it."""
        return self.result.config.task.prior if self.result is not None and self.expression.uses("prior") else ()

    def options(
        self, link: str | None = None, class_reduction: str | None = None, eps: float | None = None
    ) -> dict[str, Any]:
        """Link, class reduction and eps: those of the study, else those that were given, else the defaults.

        Raises:
            ConfigError: if one is given for the loss of a study.
        """
        from glo.errors import ConfigError
        from glo.records import Link, TrainingConfig

        given = {"link": link, "class_reduction": class_reduction, "eps": eps}
        named = [key for key, value in given.items() if value is not None]
        if self.result is not None and named:
            option = named[0].replace("_", "-")
            raise ConfigError(f"the loss of a study has the {named[0]} of its search: leave out --{option}")
        training = TrainingConfig() if self.result is None else self.result.config.training
        found = Link.SOFTMAX if self.result is None else self.result.config.task.link
        return {
            "link": Link.named(link or found),
            "class_reduction": class_reduction or training.class_reduction,
            "eps": training.eps if eps is None else eps,
        }


def choose_loss(expr: str | None, study: str | None, storage: str) -> ChosenLoss:
    """The loss of an EXPR, or of --study.

    Raises:
        ConfigError: if none or both are given.
        StudyError: if there is no such study, or it found no loss.
    """
    from glo.catalog import resolve
    from glo.errors import ConfigError

    if (expr is None) == (study is None):
        raise ConfigError("give an expression, or --study for the best loss of a study, one of the two")
    if expr is not None:
        return ChosenLoss(resolve(expr), None)
    from contextlib import closing

    from glo.store import Store
    from glo.study import recorded_result

    with closing(Store(storage, create=False)) as store:
        result = recorded_result(store, study or "")
    return ChosenLoss(resolve(result.expression), result)
