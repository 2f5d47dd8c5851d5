"""What is asked of a training, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from glo.expr import Expr


class Status(StrEnum):
    TRAINED = "trained"
    REJECTED = "rejected"  # by a stage of the funnel, before any training
    STOPPED = "stopped"  # given up at chance after a fraction of its steps
    DIVERGED = "diverged"  # NaN or infinity, at every learning rate
    CRASHED = "crashed"
    TIMED_OUT = "timed out"


class Phase(StrEnum):
    """What a part of a run does; a run is one phase or several, one after the other."""

    GENETIC = "genetic"
    ENUMERATION = "enumeration"
    COEFFICIENTS = "coefficients"
    CONFIRMATION = "confirmation"  # finalists on fresh seeds


class Stage(StrEnum):
    """What decides on a candidate, cheapest first."""

    STRUCTURE = "structure"  # x and y are both present
    CACHE = "cache"  # a loss with the same fingerprint has been judged before
    DERIVATIVE = "derivative"  # finite and not zero everywhere
    DESCENT = "descent"  # minimising the loss over free outputs makes them right
    EARLY_STOP = "early stop"  # still at chance after a fraction of the steps
    TRAINING = "training"


@dataclass(frozen=True, slots=True)
class Job:
    """One loss, to be judged on the task and with the training of the evaluator it is given to.

    Attributes:
        expression: the loss is minus its sum over classes.
        seed: of the initial weights, batches and dropout.
    """

    expression: Expr
    seed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job.

    Attributes:
        expression: text of the expression that was asked.
        fingerprint: of its derivative; equal fingerprint, equal training.
        status: how it ended.
        stage: which stage of the funnel decided.
        reason: in words, where it was not trained to the end.
        fitness: validation metric, higher is better; 0 for an invalid candidate.
        learning_rate: the rate of the ladder that reached the fitness.
    """

    expression: str
    fingerprint: str
    status: Status
    stage: Stage
    reason: str = ""
    fitness: float = 0.0
    learning_rate: float | None = None


@dataclass(slots=True)
class StageCount:
    """What one stage of the funnel did: `candidates` came in, `rejected` did not go on, taking `seconds`."""

    candidates: int = 0
    rejected: int = 0
    seconds: float = 0.0

    def add(self, other: StageCount) -> None:
        self.candidates += other.candidates
        self.rejected += other.rejected
        self.seconds += other.seconds


FunnelCounts = dict[Stage, StageCount]


def new_counts() -> FunnelCounts:
    return {stage: StageCount() for stage in Stage}
