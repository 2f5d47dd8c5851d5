"""An experiment: something measured at a scale, written as numbers, a figure and a table.

Each has a file in `glo.paper`, with an `EXPERIMENT`; the file's name is the experiment's.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from glo.errors import ConfigError
from glo.paper.experiment.context import Lab, provenance
from glo.records import Config
from glo.report import Sheet, save, write_text


class Scale(StrEnum):
    """How much of an experiment is made."""

    SMOKE = "smoke"  # seconds: whether it runs
    SMALL = "small"  # about half an hour on two cores
    PAPER = "paper"  # what the paper did; for a GPU


Results = dict[str, Any]
LISTS = ("history", "runs")  # long ones of small rows


@dataclass(frozen=True)
class Experiment:
    """What an experiment is.

    Attributes:
        figure: of the paper, or what it is instead.
        what: it asks, in one line.
        scales: the settings at each scale.
        measure: `measure(lab, setting)` -> JSON-like results.
        draw: the figure, from the results alone.
        tables: what the paper has, what was measured and the difference, from the results alone.
    """

    figure: str
    what: str
    scales: Mapping[Scale, Any]
    measure: Callable[[Lab, Any], Results]
    draw: Callable[[Results], Figure]
    tables: Callable[[Results], list[Sheet]]


def experiment_names() -> list[str]:
    """Names of all experiments: the files of `glo.paper`, with dashes."""
    package = importlib.import_module("glo.paper")
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(package.__path__))


def load_experiment(name: str) -> Experiment:
    """An experiment by name.

    Raises:
        ConfigError: if there is none of this name; the message lists them.
    """
    if name not in experiment_names():
        raise ConfigError(f"there is no experiment '{name}'; experiments are {', '.join(experiment_names())}")
    return importlib.import_module(f"glo.paper.{name.replace('-', '_')}").EXPERIMENT


def run_experiment(name: str, scale: str, out: Path, lab: Lab) -> Results:
    """Measure, and write NAME-SCALE.json, .png, .svg and .md into a folder.

    What is recorded in the lab's store is not measured again.  On a cluster the numbers are those of one machine.

    Returns:
        What is in the JSON file.

    Raises:
        ConfigError: for an unknown experiment or scale.
        DataError: if the task's files are missing or damaged.
        ClusterError: if the cluster is lost; what has ended is in the store.
    """
    experiment = load_experiment(name)
    if scale not in list(Scale):
        raise ConfigError(f"there is no scale '{scale}'; scales are {', '.join(Scale)}")
    setting: Config = experiment.scales[Scale(scale)]
    command = ("glo", "experiment", "run", name, "--scale", scale, "--seed", str(lab.seed), "--device", lab.place.device)
    results = {
        "experiment": name,
        "figure": experiment.figure,
        "what": experiment.what,
        "scale": scale,
        "setting": setting.model_dump(mode="json"),
        **experiment.measure(lab, setting),
        "provenance": provenance(lab, *command),
        "runs": lab.runs,
    }
    for ending in ("png", "svg"):
        save(experiment.draw(results), out / f"{name}-{scale}.{ending}")
    write_text(out / f"{name}-{scale}.md", markdown(experiment, results))
    write_text(out / f"{name}-{scale}.json", as_json(results))
    return results


def markdown(experiment: Experiment, results: Results) -> str:
    """The tables of an experiment, with where the numbers come from."""
    name, scale, origin = results["experiment"], results["scale"], results["provenance"]
    head = f"# {name}, scale {scale}\n\n{experiment.figure}: {experiment.what}\n"
    machine = origin["hardware"]
    cores = f"{machine['cores']} cores" + (f", {machine['gpu']}" if "gpu" in machine else "")
    place = ("a cluster driven from " if origin["cluster"] else "") + f"{cores}, device {origin['device']}"
    data = "".join(f"- Data of {task}: {source}\n" for task, source in origin["data"].items())
    foot = (
        f"- `{origin['command']}`, glo {origin['versions']['glo']} at {origin['commit'] or 'no commit'}\n"
        f"- PyTorch {origin['versions']['torch']}, {place}, finished {origin['finished']}\n{data}"
        f"- {len(results['runs'])} trainings, all of them in `{name}-{scale}.json`\n"
    )
    picture = f"![{experiment.figure}]({name}-{scale}.png)\n"
    return "\n".join([head, *(sheet.markdown() for sheet in experiment.tables(results)), picture, foot])


def as_json(results: Results) -> str:
    """Indented, but with one line for each training and each candidate."""
    parts = [f"{json.dumps(key)}: {_lines(value) if key in LISTS else _indented(value)}" for key, value in results.items()]
    return "{\n  " + ",\n  ".join(parts) + "\n}\n"


def _indented(value: Any) -> str:
    return json.dumps(value, indent=2).replace("\n", "\n  ")


def _lines(rows: list[Any]) -> str:
    return "[\n    " + ",\n    ".join(map(json.dumps, rows)) + "\n  ]" if rows else "[]"
