"""The configuration of a study, composed once: task < preset < file < --set < flags."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from glo import records
from glo.errors import ConfigError
from glo.expr import parse
from glo.loss import why_no_prior
from glo.records import ADAPTIVE_RATE, Config, Direction, FunnelConfig, Link, PhaseKind, TrainingConfig, read_toml
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


# After 10, 30 and 60 % of its steps, a training that is among the worst 10, 50 and 75 % of what earlier candidates had there
# is given up (docs/decisions/0022-racing.md).
RUNGS = [[0.1, 0.1], [0.3, 0.5], [0.6, 0.75]]
# "paper" is section III to the letter: the defaults of GeneticConfig, a coefficient for each node, plain CMA-ES, one
# learning rate, no check before a training.
# "default" measured better; docs/decisions/0003-default-preset.md has the numbers.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "generations": 30,
        "coefficients": {"which": "all", "active": False},
        "training": {"learning_rates": [0.01]},
    },
    "default": {
        "generations": 15,
        "genetic": {"population": 40, "elites": 4, "viable": True, "max_nodes": 15},
        "training": {"unit_gradient": True, "learning_rates": [0.2, 0.8], "early_stop": 0.1, "rungs": RUNGS},
        "funnel": {"derivative": True, "descent": True},
        "confirmation": {"candidates": 12},
    },
}
# The learning rates of the presets are for SGD.  Other optimizers divide by the size of the gradient, and the rates that
# suit a network are lower: docs/decisions/0021-unit-gradient.md has what three rates lose against six.
ADAPTIVE_RATES = {"paper": [ADAPTIVE_RATE], "default": [0.001, 0.003, 0.01]}


# An objective trains as it likes: each candidate once, and the search does not wait for the slowest of a generation.
FOR_OBJECTIVES: dict[str, Any] = {"genetic": {"steady_state": True}, "confirmation": {"candidates": 0}}
ONE_TRAINING: dict[str, Any] = {"training": {"learning_rates": [1.0], "early_stop": 0.0, "rungs": []}}
FOR_ENUMERATION: dict[str, Any] = {"repeats": 3}  # below its preset
LOSS_OPTIONS = ("class_reduction", "eps", "unit_gradient")  # of the training; they are part of the loss

# Options that have a place of their own, where alone they are read.
SET_ELSEWHERE = {
    "task": "--task, in Python the argument task",
    "preset": "--preset, in Python the argument preset",
    "seed": "--seed, in Python the argument seed",
    "phases": "the choice of command or method",
    "task.name": "--task, in Python the argument task",
    "task.digest": "the task itself",
    "task.link": "the task itself",
    "task.loss_options": "the task itself",
    "task.classes": "the task itself",
    "task.prior": "the task itself",
    "task.by_name": "the task itself",
    "task.metric": "the task itself",
    "task.training": "the task itself",
}


def compose(
    task: Problem,
    preset: str = "default",
    file: str | Path | None = None,
    settings: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> StudyConfig:
    """Compose a configuration; a later layer wins: task, `defaults`, preset, file, settings, `overrides`.

    With another optimizer than SGD, the learning rates of the preset give way to those of a task that names its optimizer,
    else to `ADAPTIVE_RATES`.

    Args:
        task: the loaded task, whose own training options come first; or an objective.
        preset: "default" or "paper".
        file: a TOML file with the tables genetic, coefficients, enumeration, training, funnel.
        settings: texts such as "training.steps=100"; values are TOML, a bare word is a string.
        overrides, defaults: nested values; None means not given.

    Raises:
        ConfigError: naming the key, for an unknown key, a bad value, or an option that would do nothing.
    """
    if preset not in PRESETS:
        raise ConfigError(f"there is no preset '{preset}'; presets are {', '.join(PRESETS)}")
    given = (*given_layers(file, settings), overrides or {})
    values = layered(task.training, preset, given, defaults, objective=isinstance(task, Objective))
    _merge(values, {"task": task_config(task).model_dump(mode="json")})
    config = validated(values)
    if ignored := config.task.options.keys() - task_config(task).options.keys():
        raise ConfigError(f"option 'task.options.{min(ignored)}' does nothing: this task was not loaded with it")
    refuse_unused(settings, unused_options(config))
    return config


def layered(
    own: Mapping[str, Any],
    preset: str,
    given: Sequence[Mapping[str, Any]],
    defaults: Mapping[str, Any] | None = None,
    *,
    objective: bool = False,
) -> dict[str, Any]:
    """The values of a configuration, as they are composed but for the task, and not validated yet; see `compose`.

    Args:
        own: the training options of the task.
        given: layers of nested values, of which a later one wins.
        objective: whether it is for an objective.
    """
    values: dict[str, Any] = {"training": dict(own), "preset": preset}
    for layer in (defaults or {}, PRESETS[preset], *((FOR_OBJECTIVES, ONE_TRAINING) if objective else ()), *given):
        _merge(values, layer)
    chosen = any(_training(layer).get("learning_rates") is not None for layer in given)
    if _training(values).get("optimizer", "sgd") != "sgd" and not chosen:
        of_task = own.get("learning_rates") if own.get("optimizer") == _training(values)["optimizer"] else None
        _merge(values, {"training": {"learning_rates": of_task or ADAPTIVE_RATES[preset]}})
    if not any(layer.get("generations") is not None for layer in given):
        _merge(values, {"generations": enough_generations(values)})
    return values


def _training(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return _table(values, "training")


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The options of a table among nested values; none if they are of a bad form, which validation reports."""
    table = values.get(name)
    return table if isinstance(table, Mapping) else {}


def enough_generations(values: Mapping[str, Any]) -> int | None:
    """How many generations the trials among nested values need; None if there are none, or there are no generations."""
    genetic, trials = _table(values, "genetic"), values.get("trials")
    population = genetic.get("population", GeneticConfig().population)
    if genetic.get("steady_state") or not (isinstance(trials, int) and isinstance(population, int) and population > 0):
        return None
    return max(1, -(-trials // population))


def given_layers(file: str | Path | None, settings: Sequence[str]) -> list[dict[str, Any]]:
    """The values of a TOML file and of settings.

    Raises:
        ConfigError: for a file or setting of a bad form, or an option that is set elsewhere.
    """
    layers = [read_toml(file), read_settings(settings)]
    for key in (key for layer in layers for key in flat(layer)):
        for option, place in SET_ELSEWHERE.items():
            if key == option or (option != "task" and key.startswith(f"{option}.")):
                raise ConfigError(f"option '{key}' cannot be set here: {place} sets it")
    return layers


def task_options(file: str | Path | None, settings: Sequence[str]) -> dict[str, Any]:
    """The options of the task that a file and settings have."""
    options: dict[str, Any] = {}
    for layer in given_layers(file, settings):
        given = layer.get("task", {}).get("options", {})
        if not isinstance(given, Mapping):
            raise ConfigError(f"option 'task.options' is a table, e.g. task.options.noise=0.2, not {given!r}")
        _merge(options, given)
    return options


def refuse_unused(settings: Sequence[str], unused: Mapping[str, str]) -> None:
    """Refuse settings that would do nothing.

    Args:
        unused: the options, or tables of options, that are not read, and why.

    Raises:
        ConfigError: naming the option and the reason.
    """
    for key in flat(read_settings(settings)):
        for option, reason in unused.items():
            if f"{key}.".startswith(f"{option}."):
                raise ConfigError(f"option '{key}' does nothing here: {reason}")


def unused_options(config: StudyConfig) -> dict[str, str]:
    """The options that the others make useless, and why."""
    genetic = config.genetic
    conditions = {
        "genetic.tournament_size": (genetic.selection != "tournament", "it needs genetic.selection=tournament"),
        "genetic.attempts": (not genetic.viable, "it needs genetic.viable=true"),
        "genetic.elites": (genetic.steady_state, "a steady-state search keeps its best trees anyway"),
        "training.early_stop": (
            config.repeats > 1 and config.training.early_stop > 0, "a mean over several seeds needs whole trainings",
        ),
        "training.rungs": (
            config.repeats > 1 and config.training.rungs != (), "a mean over several seeds needs whole trainings",
        ),
        "training.curve_every": (True, "a study keeps no curves; glo evaluate --curve-every shows one"),
        "training.curve_on": (True, "a study keeps no curves; glo evaluate --curve-every shows one"),
        "training.metrics": (True, "a study keeps one metric; --metrics measures others of its finalists"),
    }  # fmt: skip
    if config.task.objective:
        others = [name for name in TrainingConfig.model_fields if name not in LOSS_OPTIONS]
        conditions |= {f"training.{name}": (True, "an objective trains as it likes") for name in others}
        conditions["generations"] = (genetic.steady_state, "a steady-state search has trials")
    return {option: reason for option, (useless, reason) in conditions.items() if useless}


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The keys of nested values, such as "training.steps"."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


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


def changed(config: StudyConfig, *layers: Mapping[str, Any]) -> StudyConfig:
    """The configuration with some values changed.

    Args:
        layers: nested values, of which a later one wins; None means unchanged.

    Raises:
        ConfigError: naming the key, for an unknown key or a bad value.
    """
    values = config.model_dump(mode="json")
    for layer in layers:
        _merge(values, layer)
    return validated(values)


def validated(values: Mapping[str, Any]) -> StudyConfig:
    """A `StudyConfig` from nested values.

    Raises:
        ConfigError: naming each key that is unknown or has a bad value.
    """
    return records.validated(StudyConfig, values)


DEEPEST = 10  # the nesting of a setting's key; no option is as deep


def read_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Nested values from texts such as "training.steps=100"."""
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(f"a setting is key=value, e.g. training.steps=100, not {setting!r}")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        except RecursionError:
            raise ConfigError(f"the value of {key} is nested too deeply") from None
        nested: Any = value
        parts = key.split(".")
        if len(parts) > DEEPEST:
            raise ConfigError(f"a setting has at most {DEEPEST} names with dots between them, not {len(parts)}")
        for part in reversed(parts):
            nested = {part.strip(): nested}
        _merge(values, nested)
    return values


def differences(recorded: Mapping[str, Any], given: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Each key that differs, in words: "training.steps is 300 there and 600 here"."""
    for key in sorted({*recorded, *given}):
        ours, theirs = given.get(key), recorded.get(key)
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            yield from differences(theirs, ours, f"{prefix}{key}.")
        elif ours != theirs:
            yield f"{prefix}{key} is {theirs!r} there and {ours!r} here"


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif isinstance(value, Mapping):
            into[key] = {}
            _merge(into[key], value)
        elif value is not None:
            into[key] = value
