"""The configuration of a study; `glo.study.composing` composes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from glo.errors import ConfigError
from glo.expr import parse
from glo.loss import why_no_prior
from glo.records import Config, Direction, FunnelConfig, Link, PhaseKind, TrainingConfig
from glo.search import CoefficientConfig, EnumerationConfig, GeneticConfig, enumerable, tuned_positions
from glo.tasks import Objective, TaskSource, load_objective

if TYPE_CHECKING:
    from glo.tasks import Problem, Task


class TaskConfig(Config):
    """Which task a study is for.

    Attributes:
        name: of the task or objective; module:attribute for one of the user's own.
        options: with which it was loaded by name.
        digest: of its data, model and metric (`Task.digest`).
        link: of the task; a loss that is handed out needs it.
        by_name: whether the task can be loaded by its name; a `Task` object of a script cannot.
        loss_options: weight, pos_weight and ignore_index of `ExpressionLoss`, as the task has them.
        classes: number of outputs.
        prior: of the training labels (`Task.prior`).
        objective: whether it is an objective, which has a direction and perhaps a version.
        metric: its name, for people.
        training: the training options that the task has.  A study of an earlier version recorded neither of the two.
    """

    name: str
    options: dict[str, Any] = Field(default_factory=dict)
    digest: str = ""
    link: Link = Link.SOFTMAX
    by_name: bool = True
    objective: bool = False
    classes: int = 0
    prior: tuple[float, ...] = ()
    loss_options: dict[str, Any] = Field(default_factory=dict)
    direction: Direction = Direction.MAXIMIZE
    version: str = ""
    metric: str = ""
    training: dict[str, Any] = Field(default_factory=dict)


class ConfirmationConfig(Config):
    """How the best candidates of a search are trained again on fresh seeds.

    Attributes:
        candidates: how many; 0 for no confirmation.
        seeds: of the last round; each of the rounds before has half as many, and twice as many candidates.
        rounds: how many.
    """

    candidates: NonNegativeInt = 0
    seeds: PositiveInt = 8
    rounds: PositiveInt = 3

    def seeds_of(self, number: int) -> int:
        """How many seeds a round has, counted from 0."""
        return max(1, self.seeds // 2 ** (self.rounds - 1 - number))

    def candidates_of(self, number: int) -> int:
        """How many candidates a round has, counted from 0."""
        return -(-self.candidates // 2**number)


TRIALS = 100  # of an objective


class StudyConfig(Config):
    """Everything that a study's history depends on.

    Attributes:
        task: which task, and how it was loaded.
        preset: where the options started from: "default" or "paper".
        seed: from which every random number is derived.
        phases: what the study does, one after the other: "genetic", "enumeration", "coefficients" (which then ends with a
            confirmation on fresh seeds), "own" (a search that the user gives).
        generations: of the genetic phase; if only `trials` is given, as many as they need.
        trials: candidates of the genetic phase in all, of whose last generation there may be only a part; None for
            `generations` times `genetic.population`, or 100 of an objective.
        repeats: seeds over which the fitness of every candidate is averaged.
    """

    task: TaskConfig
    preset: str = "default"
    seed: NonNegativeInt = 0
    phases: tuple[Literal[PhaseKind.GENETIC, PhaseKind.ENUMERATION, PhaseKind.COEFFICIENTS, PhaseKind.OWN], ...] = (
        PhaseKind.GENETIC,
    )
    generations: PositiveInt = 20
    trials: PositiveInt | None = None
    repeats: PositiveInt = 1
    genetic: GeneticConfig = GeneticConfig()
    confirmation: ConfirmationConfig = ConfirmationConfig()
    coefficients: CoefficientConfig = CoefficientConfig()
    enumeration: EnumerationConfig = EnumerationConfig()
    training: TrainingConfig = TrainingConfig()
    funnel: FunnelConfig = FunnelConfig()

    @model_validator(mode="after")
    def _feasible(self) -> StudyConfig:
        """Options that a phase would refuse are refused before anything is written."""
        if PhaseKind.ENUMERATION in self.phases:
            enumerable(self.enumeration, self.genetic.weights)
        if self.phases[:1] == (PhaseKind.COEFFICIENTS,) and not self.coefficients.expression:
            raise ConfigError("there is nothing to tune: give an expression, or search first")
        if PhaseKind.COEFFICIENTS in self.phases and self.coefficients.expression:
            tuned_positions(parse(self.coefficients.expression), self.coefficients.which, self.on_ladder)
        if self.genetic.weights.get("prior", 0) > 0:
            reason = None if self.task.objective else why_no_prior(self.task.link, self.task.prior)
            if reason is not None:
                raise ConfigError(f"genetic.weights has prior, and {reason}")
        wanted = self.confirmation.candidates
        if self.trials is not None and self.trials < wanted and PhaseKind.GENETIC in self.phases:
            raise ConfigError(
                f"{self.trials} trials are fewer than the {wanted} candidates of the confirmation: give more trials, or "
                f"confirm at most {self.trials} (--confirm {self.trials}, in Python confirm={self.trials})"
            )
        return self

    @property
    def candidates(self) -> int:
        """How many candidates the genetic phase asks for, unless something ends it before."""
        if self.genetic.steady_state:
            return self.trials or (TRIALS if self.task.objective else self.generations * self.genetic.population)
        asked = len(self.genetic.start) + self.generations * self.genetic.population
        return min(self.trials or asked, asked)

    @property
    def on_ladder(self) -> bool:
        """Whether the scale of a loss does not matter: each has its own best learning rate, or the unit gradient."""
        return len(self.training.learning_rates) > 1 or self.training.unit_gradient

    @property
    def unit(self) -> tuple[Link, int, tuple[float, ...]] | None:
        """Link, classes and prior, by which losses are scaled to the unit gradient; None if they are not."""
        return (self.task.link, self.task.classes, self.task.prior) if self.training.unit_gradient else None

    @property
    def steady(self) -> bool:
        """Whether a phase is a steady-state search."""
        return PhaseKind.GENETIC in self.phases and self.genetic.steady_state

    @property
    def planned(self) -> int | None:
        """The number of generations of all phases together; None if only the search will know."""
        if PhaseKind.ENUMERATION in self.phases or PhaseKind.OWN in self.phases:
            return None
        if self.genetic.target is not None or self.genetic.patience is not None:
            return None
        tuning = self.coefficients.iterations + 1 if PhaseKind.COEFFICIENTS in self.phases else 0
        if PhaseKind.GENETIC in self.phases and self.confirmation.candidates:
            tuning += self.confirmation.rounds
        return (self.searched if PhaseKind.GENETIC in self.phases else 0) + tuning

    @property
    def searched(self) -> int:
        """The number of generations of the genetic phase, if neither target nor patience ends it before."""
        beside = 0 if self.genetic.steady_state else len(self.genetic.start)  # of the first generation, which they enlarge
        return max(1, -(-(self.candidates - beside) // self.genetic.population))


def task_config(task: Problem) -> TaskConfig:
    """What a study records of its task or objective."""
    if isinstance(task, Objective):
        return TaskConfig(
            name=task.source_name, digest=task.digest(), link=task.link, by_name=task.source is not None, objective=True,
            classes=task.classes, direction=task.direction, version=task.version, metric=task.metric_name,
        )  # fmt: skip
    name = task.source.name if task.source else task.name
    options = dict(task.source.options) if task.source else {}
    return TaskConfig(
        name=name, options=options, digest=task.digest(), link=task.link, by_name=task.source is not None,
        classes=task.classes, prior=task.prior, direction=task.direction, loss_options=task.loss_options,
        metric=task.metric_name, training=_own_training(task),
    )  # fmt: skip


def _own_training(task: Task) -> dict[str, Any]:
    """The training options that a task has, as they are recorded."""
    return TrainingConfig(**task.training).model_dump(mode="json", include=set(task.training))


def given_again(recorded: TaskConfig, given: Any) -> Any:
    """What a recorded study is for: the given task, or the recorded name of one; a given function is its objective."""
    if recorded.objective and given is not None and not isinstance(given, str | Objective):
        return Objective(given, recorded.link, recorded.classes, recorded.direction, version=recorded.version)
    return given or recorded.name


def objective_by_name(recorded: TaskConfig) -> Objective:
    """The objective that a study was recorded with; its module is imported.

    Raises:
        TaskError: if there is no such function.
    """
    return Objective(
        load_objective(recorded.name), recorded.link, recorded.classes, recorded.direction, version=recorded.version,
        source=TaskSource(recorded.name, {}, None),
    )  # fmt: skip
