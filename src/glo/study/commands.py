"""The commands that go on with a study, and that repeat it under another name."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from glo.records import PhaseKind
from glo.search import GeneticConfig
from glo.store import DEFAULT_STORAGE
from glo.study.composing import FOR_ENUMERATION, layered, read_settings, unused_options
from glo.study.config import StudyConfig
from glo.study.result import StudyResult

NOT_SET = ("task", "preset", "seed", "phases")  # they have options of their own
LEFT_OUT = ("training.memory_mb",)
ONLY_IN_PYTHON = "It was started in Python, with a task or a search of a script: only that script can repeat it."
OTHERWISE_JUDGED = " (its verdict was made in Python, with other options of the comparison than a command has)"
WHOLE = ("genetic.weights",)  # a table that replaces another
DEFAULTS = {PhaseKind.ENUMERATION: FOR_ENUMERATION}

Words = list[str]


def repeating(
    result: StudyResult, storage: str, judgement: Mapping[str, Any] | None = None, *, unjudged: bool = False
) -> list[tuple[str, str]]:
    """How to go on with a study and how to repeat it: sentences, each with its command, or with an empty text.

    Args:
        storage: where it is recorded.
        judgement: as it is recorded; None if there is none.
        unjudged: whether the study has ended without a judgement.
    """
    where = [] if storage == DEFAULT_STORAGE else ["--storage", storage]
    judging, note = _judging(result.config, judgement, unjudged)
    known = [("To go on with it, or to see its result again:", _line("glo resume", result.name, *where, *judging))]
    command = _command(result.config)
    if command is None:
        return [*known, (ONLY_IN_PYTHON, "")]
    words = [*command, "--name", f"{result.name}-again", "--seed", str(result.config.seed), *where, *judging]
    settings = [word for setting in _settings(result.config) for word in ("--set", setting)]
    return [*known, (f"To repeat it from nothing under another name{note}:", _line(*words, *settings))]


def unread(phases: Sequence[PhaseKind]) -> dict[str, str]:
    """The options, or tables of options, that the command for these phases does not read, and why."""
    genetic = {"generations": "glo search reads it"}
    match phases:
        case (PhaseKind.COEFFICIENTS,):
            return {
                **genetic, "genetic": "glo search reads it", "enumeration": "glo enumerate reads it",
                "confirmation": "its own is coefficients.confirmations",
                "coefficients.expression": "EXPR or --template is the expression",
            }  # fmt: skip
        case (PhaseKind.ENUMERATION,):  # it reads the operators and their nestings
            others = [name for name in GeneticConfig.model_fields if name not in ("weights", "forbidden")]
            genetic |= {f"genetic.{name}": "glo search reads it" for name in others}
            return {**genetic, "coefficients": "glo tune reads it"}
        case _:
            tuned = {} if PhaseKind.COEFFICIENTS in phases else {"coefficients": "a search reads it with --tune"}
            return {"enumeration": "glo enumerate reads it", **tuned}


def _judging(config: StudyConfig, judgement: Mapping[str, Any] | None, unjudged: bool) -> tuple[Words, str]:
    """The options of the verdict at the end of a search, and a note if it had others that no command has."""
    if PhaseKind.GENETIC not in config.phases or config.task.objective:
        return [], ""
    if judgement is None:
        return (["--baselines", "none"] if unjudged else []), ""
    from glo.compare.judging import JUDGING  # it imports scipy, which a page without a verdict does not need

    made = judgement["comparison"]
    baselines = made.get("baselines", JUDGING.baselines)  # a judgement of an earlier version does not have it
    words = [] if baselines == JUDGING.baselines else ["--baselines", baselines]
    words += [] if made["repeats"] == JUDGING.repeats else ["--repeats", str(made["repeats"])]
    own = any(made[name] != getattr(JUDGING, name) for name in ("tuning_seeds", "run_off", "seed"))
    return words, OTHERWISE_JUDGED if own else ""


def _command(config: StudyConfig) -> Words | None:
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


def _settings(config: StudyConfig) -> list[str]:
    """Values of `--set`, with which the command composes this configuration, but for the options that it does not read.

    An option can change the default of another one, such as `training.optimizer` that of the learning rates.  So what the
    settings lead to is looked at again until nothing differs.
    """
    recorded, settings = config.model_dump(mode="json"), list[str]()
    plain = StudyConfig(task=config.task).model_dump(mode="json")
    ignored = (*NOT_SET, *LEFT_OUT, *unread(config.phases), *unused_options(config))
    while True:
        made = layered(
            config.task.training, config.preset, [read_settings(settings)], DEFAULTS.get(config.phases[0]),
            objective=config.task.objective,
        )  # fmt: skip
        differing = [
            f"{key}={_toml(value)}"
            for key, value in _differing(_filled(made, plain), recorded)
            if not any(f"{key}.".startswith(f"{option}.") for option in ignored)
        ]
        new = [setting for setting in differing if setting not in settings]
        if not new:
            return settings
        settings += new


def _filled(values: Mapping[str, Any], plain: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values with the plain ones where there are none."""
    filled = {**plain, **values}
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(plain.get(key), Mapping) and f"{prefix}{key}" not in WHOLE:
            filled[key] = _filled(value, plain[key], f"{prefix}{key}.")
    return filled


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
