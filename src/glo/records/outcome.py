"""A job, its outcome, and the counts of the funnel."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from glo.expr import Expr


class Status(StrEnum):
    """How a candidate ended."""

    TRAINED = "trained"
    REJECTED = "rejected"  # by a stage of the funnel, before any training
    STOPPED = "stopped"  # stopped early: still at chance after a fraction of its steps
    DIVERGED = "diverged"  # NaN or infinity, at every learning rate
    CRASHED = "crashed"
    TIMED_OUT = "timed out"


class PhaseKind(StrEnum):
    """What one phase of a study does; a study has one phase or several, one after the other."""

    GENETIC = "genetic"
    ENUMERATION = "enumeration"
    COEFFICIENTS = "coefficients"
    OWN = "own"  # a search that the user gives
    CONFIRMATION = "confirmation"  # finalists on fresh seeds


class Stage(StrEnum):
    """The stages of the funnel, cheapest first; one of them decides on each candidate."""

    STRUCTURE = "structure"  # x and y are both present
    CONSTRAINT = "constraint"  # has the properties that are required, if any
    CACHE = "cache"  # a loss with the same fingerprint has been evaluated before
    DERIVATIVE = "derivative"  # finite and not zero everywhere
    DESCENT = "descent"  # minimising the loss over free outputs makes them right
    EARLY_STOP = "early stop"  # still at chance after a fraction of the steps
    TRAINING = "training"


@dataclass(frozen=True, slots=True)
class Job:
    """One loss to evaluate with one seed.

    Attributes:
        expression: the loss is minus its sum over classes.
        seed: of the initial weights, batches and dropout.
        learning_rate: of its training; None for the best of the ladder.
        number: of the candidate in its study; no result depends on it.
    """

    expression: Expr
    seed: int
    learning_rate: float | None = None
    number: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job, or of a candidate over several seeds.

    Attributes:
        expression: text of the expression as it was asked for.
        fingerprint: of its derivative; equal fingerprint, equal training.
        status: how the candidate ended.
        stage: the stage of the funnel that decided.
        reason: why it was not trained to the end; empty if it was.
        fitness: validation metric, higher is better and 0 for an invalid candidate; or what an objective has returned.
        learning_rate: the rate of the ladder that reached the fitness.
        reports: (step, value) pairs that an objective has reported.
    """

    expression: str
    fingerprint: str
    status: Status
    stage: Stage
    reason: str = ""
    fitness: float = 0.0
    learning_rate: float | None = None
    reports: tuple[tuple[int, float], ...] = ()


@dataclass(slots=True)
class StageCount:
    """The counts of one stage of the funnel: how many candidates entered, how many it rejected, and the seconds it took."""

    candidates: int = 0
    rejected: int = 0
    seconds: float = 0.0

    def add(self, other: StageCount) -> None:
        self.candidates += other.candidates
        self.rejected += other.rejected
        self.seconds += other.seconds


FunnelCounts = dict[Stage, StageCount]


def new_counts() -> FunnelCounts:
    """Counts of zero for every stage."""
    return {stage: StageCount() for stage in Stage}
