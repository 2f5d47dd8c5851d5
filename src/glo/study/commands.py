"""The commands that go on with a study, and that repeat it under another name."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from glo.records import PhaseKind
from glo.store import DEFAULT_STORAGE
from glo.study.config import FOR_OBJECTIVES, ONE_TRAINING, PRESETS, StudyConfig, changed
from glo.study.result import StudyResult

NOT_SET = ("task", "preset", "seed", "phases")  # they have options of their own
LEFT_OUT = ("training.memory_mb",)
ONLY_IN_PYTHON = "It was started in Python, with a task or a search of a script: only that script can repeat it."
WHOLE = ("genetic.weights",)  # a table that replaces another


def repeating(result: StudyResult, storage: str) -> list[tuple[str, str]]:
    """How to go on with a study and how to repeat it: sentences, each with its command, or with an empty text."""
    where = [] if storage == DEFAULT_STORAGE else ["--storage", storage]
    known = [("To go on with it, or to see its result again:", _line("glo resume", result.name, *where))]
    command = _command(result.config)
    if command is None:
        return [*known, (ONLY_IN_PYTHON, "")]
    words = [*command, "--name", f"{result.name}-again", "--seed", str(result.config.seed), *where]
    return [*known, ("To repeat it from nothing under another name:", _line(*words, *_settings(result.config)))]


def _command(config: StudyConfig) -> list[str] | None:
    """The command that starts such a study; None if none does."""
    task = config.task
    if not task.by_name or PhaseKind.OWN in config.phases:
        return None
    source = ["--objective", task.name] if task.objective else ["--task", task.name]
    if task.objective:
        source += ["--link", task.link.value, "--classes", str(task.classes), "--direction", task.direction.value]
        source += ["--version", task.version] if task.version else []
    source += [word for key, value in task.options.items() for word in ("--task-option", f"{key}={_toml(value)}")]
    preset = [] if config.preset == "default" else ["--preset", config.preset]
    match config.phases:
        case (PhaseKind.GENETIC,):
            return ["glo search", *source, *preset]
        case (PhaseKind.GENETIC, PhaseKind.COEFFICIENTS):
            return ["glo search", *source, *preset, "--tune"]
        case (PhaseKind.COEFFICIENTS,) if config.coefficients.expression and not task.objective:
            return ["glo tune", config.coefficients.expression, *source, *preset]
        case (PhaseKind.ENUMERATION,) if not task.objective:
            return ["glo enumerate", *source, *preset]
        case _:
            return None


def _settings(config: StudyConfig) -> Iterator[str]:
    """`--set` for each option that is not that of the preset."""
    recorded = config.model_dump(mode="json")
    layers = [PRESETS[config.preset], *((FOR_OBJECTIVES, ONE_TRAINING) if config.task.objective else ())]
    kept = {key: recorded[key] for key in NOT_SET}
    given = {**kept, "coefficients": {"expression": config.coefficients.expression}}
    preset = changed(StudyConfig(task=config.task), given, *layers)
    for key, value in _differing(preset.model_dump(mode="json"), recorded):
        if key.split(".")[0] not in NOT_SET and key not in LEFT_OUT:
            yield from ("--set", f"{key}={_toml(value)}")


def _differing(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in after.items():
        if isinstance(value, Mapping) and f"{prefix}{key}" not in WHOLE:
            yield from _differing(before[key], value, f"{prefix}{key}.")
        elif value != before.get(key):
            yield f"{prefix}{key}", value


def _toml(value: Any) -> str:
    """A value as TOML, of which JSON's numbers, texts and lists are a part."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)


def _line(command: str, *words: str) -> str:
    return f"{command} {shlex.join(words)}"
