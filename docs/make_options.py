"""Write docs/options.md from the configuration models: `make docs`.

The meaning of an option comes from the "Attributes:" section of its class's docstring, or of a class that it inherits from;
an option without one is an error.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from glo.compare import ComparisonConfig
from glo.execution.dask import config as cluster
from glo.records import Config
from glo.study import PRESETS, StudyConfig

PAGE = Path(__file__).parent / "options.md"
NOT_OPTIONS = ("task",)  # of StudyConfig: a record of the task that is studied
SENTENCE_STARTS = ("of ", "from which ")  # a meaning that starts so continues the option's name
ENTRY = re.compile(r"([a-z_]+(?:, [a-z_]+)*): (.*)")

HEAD = """\
# Options

This page is generated from the configuration models by `make docs`; do not edit it.

## A study

Give an option to a command as `--set genetic.crossover=0.7`, to Python as `settings=["genetic.crossover=0.7"]`, or in a
TOML file (`--config`, `file=`) with tables such as `[genetic]`. A later source wins: the task's own `training`, the preset,
the file, `--set`, then a flag or argument such as `--generations`. An unknown name is an error. `seed`, `preset` and
`phases` are the exception: only `--seed`, `--preset` and the choice of command set them.

The value in a preset is shown where it differs from the default. An option that is none is left out of a file.
"""
COMPARISON = """\
## A comparison

For `glo.compare_losses(..., config=glo.ComparisonConfig(repeats=20))` and `Study.compare`. `glo compare` has a flag for
each.
"""
CLUSTER = """\
## A cluster

In the TOML file of `--cluster FILE.toml`, with a `kind` ([how to use each](cluster.md)).
"""


def options_page() -> str:
    """The whole page."""
    sections = [HEAD, table(StudyConfig, "")]
    for name, model in nested(StudyConfig):
        sections += [heading(f"`[{name}]`", model), table(model, name)]
    sections += [COMPARISON, table(ComparisonConfig)]
    sections += [CLUSTER, heading("Every cluster", cluster.ClusterConfig), table(cluster.ClusterConfig)]
    shared = {"Several machines: ssh, slurm and htcondor": cluster.SharedConfig, "slurm and htcondor": cluster.JobsConfig}
    kinds = {f'`kind = "{kind}"`': model for kind, model in cluster.KINDS.items()}
    for title, model in {**shared, **kinds}.items():
        sections += [heading(title, model), table(model)]
    return "\n".join(sections)


def nested(model: type[Config]) -> Iterator[tuple[str, type[Config]]]:
    """The fields of a model that are models themselves: its tables in a TOML file."""
    for name, field in model.model_fields.items():
        if name not in NOT_OPTIONS and isinstance(field.annotation, type) and issubclass(field.annotation, Config):
            yield name, field.annotation


def heading(title: str, model: type[Config]) -> str:
    """A heading, and the first sentence of the model's docstring if it has one of its own."""
    summary = (model.__doc__ or "").split("\n\n")[0].strip()
    return f"### {title}\n" + (f"\n{summary}\n" if summary else "")


def table(model: type[Config], prefix: str | None = None) -> str:
    """The options that a model itself defines, one row each.

    Args:
        prefix: the model's table in the file of a study; None if presets do not have it.

    Raises:
        ValueError: for an option that the docstring does not describe.
    """
    schema = model.model_json_schema()
    definitions, meanings = schema.get("$defs", {}), documented(model)
    inner = {name for name, _ in nested(model)}
    rows: list[str] = []
    for name in model.__annotations__:
        if name not in model.model_fields or name in inner or name in NOT_OPTIONS:
            continue
        property_ = schema["properties"][name]
        if "const" in property_:
            continue  # `kind`, which the heading shows
        if name not in meanings:
            raise ValueError(f"{model.__module__}.{model.__name__}: describe '{name}' under 'Attributes:' in the docstring")
        default = "required" if name in schema.get("required", ()) else value(property_.get("default"))
        default += in_presets(prefix, name, default)
        cells = (f"`{name}`", words(property_, definitions), default, sentence(name, meanings[name]))
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(["| option | value | default | meaning |", "|---|---|---|---|", *rows, ""]) if rows else ""


def in_presets(prefix: str | None, name: str, default: str) -> str:
    """What the presets say where it is not the default."""
    if prefix is None:
        return ""
    text = ""
    for preset, values in sorted(PRESETS.items()):
        chosen = values.get(prefix, {}) if prefix else values
        if name in chosen and value(chosen[name]) != default:
            text += f"; in preset {preset} {value(chosen[name])}"
    return text


def documented(model: type[Config]) -> dict[str, str]:
    """The meaning of each option in the docstrings of a model and of those that it inherits from."""
    meanings: dict[str, str] = {}
    for base in reversed(model.__mro__):
        section = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
        names: list[str] = []
        for line in section.splitlines():
            if entry := ENTRY.fullmatch(line.strip()) if indent(line) == 4 else None:
                names = entry[1].split(", ")
                meanings |= dict.fromkeys(names, entry[2])
            else:
                meanings |= {name: f"{meanings[name]} {line.strip()}" for name in names}
    return meanings


def indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def sentence(name: str, meaning: str) -> str:
    """A meaning that can be read without its heading: "of the genetic phase" becomes "generations of the genetic phase"."""
    text = re.sub(" +", " ", meaning)
    return f"{name.replace('_', ' ')} {text}" if text.startswith(SENTENCE_STARTS) else text


def words(schema: Mapping[str, Any], definitions: Mapping[str, Any], plural: bool = False) -> str:
    """A type and its limits in words, from a JSON schema."""
    if "$ref" in schema:
        return words(definitions[schema["$ref"].rpartition("/")[2]], definitions, plural)
    if "anyOf" in schema:
        return " or ".join(words(each, definitions, plural) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(value(each) for each in schema["enum"])
    match schema["type"]:
        case "array" if "prefixItems" in schema:
            return "[" + ", ".join(words(item, definitions) for item in schema["prefixItems"]) + "]"
        case "array":
            return f"list of {words(schema['items'], definitions, plural=True)}"
        case "object":
            return f"table of {words(schema['additionalProperties'], definitions, plural=True)}"
        case "string":
            return "path" if schema.get("format") == "path" else "text"
        case "integer" | "number" as kind:
            return ("whole number" if kind == "integer" else "number") + "s" * plural + limits(schema)
        case kind:
            return {"boolean": "`true` or `false`", "null": "none"}[kind]


def limits(schema: Mapping[str, Any]) -> str:
    """The limits of a number, in words."""
    if "minimum" in schema and "maximum" in schema:
        return f" from {schema['minimum']:g} to {schema['maximum']:g}"
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    parts = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return f" {' and '.join(parts)}" if parts else ""


def value(given: Any) -> str:
    """A value as TOML has it."""
    return "none" if given is None else f"`{toml(given)}`"


def toml(given: Any) -> str:
    if isinstance(given, Mapping):
        return "{" + ", ".join(f"{key if key.isalnum() else json.dumps(key)} = {toml(v)}" for key, v in given.items()) + "}"
    if isinstance(given, (list, tuple)):
        return "[" + ", ".join(map(toml, given)) + "]"
    return json.dumps(given)


if __name__ == "__main__":
    PAGE.write_text(options_page(), encoding="utf-8")
