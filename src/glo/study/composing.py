"""Composing the configuration of a study, once: task < preset < file < --set < flags."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glo import records
from glo.errors import ConfigError
from glo.records import ADAPTIVE_RATE, TrainingConfig, read_toml
from glo.search import GeneticConfig
from glo.study.config import StudyConfig, task_config
from glo.tasks import Objective

if TYPE_CHECKING:
    from glo.tasks import Problem

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
