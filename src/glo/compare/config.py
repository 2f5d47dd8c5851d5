"""The options of a comparison."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveInt, field_validator, model_validator

from glo.catalog.shelf import SMOOTHINGS
from glo.records import Config

LADDER = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
UNIT_LADDER = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # for losses with the unit gradient, whose best rates lie closer together
ADAPTIVE_LADDER = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # for optimizers other than SGD

DISCOVERED = "discovered"  # the name of the losses that a study has found, as one family

# How the losses of a comparison are trained, in the words of its table and figure.
EACH_AT_ITS_OWN, ALL_AT_ONE = "each loss at its own best learning rate", "all at one learning rate"
AS_THE_OBJECTIVE = "each trained by the objective"


class ComparisonConfig(Config):
    """What is compared, and how.

    Attributes:
        steps: lengths of training, each a comparison of its own; empty for the length that the training options say.
        learning_rates: the ladder from which each loss has its own rate chosen; a single rate is fixed for all losses, and
            confounds the comparison.  The default is for SGD: 0.01 to 30, with `training.unit_gradient` 0.05 to 1.6; with
            another training.optimizer it is 0.0001 to 0.3.
        tuning_seeds: trainings over which rate and variant are chosen, on validation.
        run_off: further seeds with which the best three of each loss's rates and variants are then trained, of which the
            choice is made; 0 for none.
        repeats: fresh seeds of the measurement on test.
        seed: from which all others are derived.
        smoothings: amounts of label smoothing, of which validation chooses the best.
        baselines: what is always among the losses: "standard" for cross-entropy and label smoothing (squared error for a
            regression), "shelf" for all published losses of `glo.catalog.shelf`, "none".
        label_noise: fraction of the training labels that are made wrong.
        train_fraction: fraction of the training data that is kept.

    Raises:
        ConfigError: for fewer than two repeats, no tuning seed, or rates that are not positive numbers.
    """

    steps: tuple[PositiveInt, ...] = ()
    learning_rates: tuple[float, ...] = LADDER
    tuning_seeds: int = 3
    run_off: NonNegativeInt = 0
    repeats: int = 10
    seed: int = 0
    smoothings: tuple[float, ...] = SMOOTHINGS
    baselines: Literal["standard", "shelf", "none"] = "standard"
    label_noise: float = 0.0
    train_fraction: float = 1.0

    @field_validator("baselines", mode="before")
    @classmethod
    def _named(cls, baselines: Any) -> Any:
        """Earlier comparisons had true or false."""
        return {True: "standard", False: "none"}.get(baselines, baselines) if isinstance(baselines, bool) else baselines

    @model_validator(mode="after")
    def _check(self) -> ComparisonConfig:
        if self.repeats < 2:
            raise ValueError(f"{self.repeats} repeat has no spread to compare by: give at least 2 --repeats, better 10")
        if self.tuning_seeds < 1:
            raise ValueError("at least 1 tuning seed is needed to choose a learning rate")
        if not self.learning_rates or not all(0 < rate < float("inf") for rate in self.learning_rates):
            given = ", ".join(f"{rate:g}" for rate in self.learning_rates) or "none at all"
            raise ValueError(f"learning rates are positive numbers, e.g. 0.01,0.1,1, not {given}")
        return self

    @property
    def ladder(self) -> tuple[float, ...]:
        """The learning rates in order, each once."""
        return tuple(sorted(set(self.learning_rates)))

    @property
    def confounded(self) -> bool:
        """Whether all losses have the same learning rate."""
        return len(self.ladder) == 1
