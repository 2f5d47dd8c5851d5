"""An experiment measures something at a scale, and is written as numbers, a figure and tables.

Each has a file in `glo.paper`, which defines an `EXPERIMENT`; the file's name is the experiment's name.
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
from glo.paper.experiment.context import ExperimentContext, provenance
from glo.records import Config
from glo.report import Sheet, save, write_text


class Scale(StrEnum):
    """The size of an experiment."""

    SMOKE = "smoke"  # takes seconds; shows only that it runs
    SMALL = "small"  # about half an hour on two cores
    PAPER = "paper"  # as in the paper; for a GPU


Results = dict[str, Any]
LISTS = ("history", "runs")  # long lists of small rows


@dataclass(frozen=True)
class Experiment:
    """A figure or table of the paper, or one of our own.

    Attributes:
        figure: its number in the paper, e.g. "Figure 2", or a note that it is not from there.
        what: one line on what it measures.
        scales: the settings at each scale.
        measure: `measure(context, setting)` -> JSON-like results.
        draw: makes the figure from the results alone.
        tables: makes tables from the results alone: the paper's numbers, the measured ones, and the difference.
    """

    figure: str
    what: str
    scales: Mapping[Scale, Any]
    measure: Callable[[ExperimentContext, Any], Results]
    draw: Callable[[Results], Figure]
    tables: Callable[[Results], list[Sheet]]


def experiment_names() -> list[str]:
    """Names of all experiments: the files of `glo.paper`, with dashes."""
    package = importlib.import_module("glo.paper")
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(package.__path__) if not module.ispkg)


def load_experiment(name: str) -> Experiment:
    """An experiment by name.

    Raises:
        ConfigError: for an unknown name; the message lists all experiments.
    """
    if name not in experiment_names():
        raise ConfigError(f"there is no experiment '{name}'; experiments are {', '.join(experiment_names())}")
    return importlib.import_module(f"glo.paper.{name.replace('-', '_')}").EXPERIMENT


def run_experiment(name: str, scale: str, out: Path, context: ExperimentContext) -> Results:
    """Measure, and write NAME-SCALE.json, .png, .svg and .md into a folder.

    Trainings that are recorded in the store are not repeated.  On a cluster the numbers are those of one machine.

    Returns:
        The content of the JSON file.

    Raises:
        ConfigError: for an unknown experiment or scale.
        DataError: if the task's files are missing or damaged.
        ClusterError: if the cluster is lost; finished trainings are in the store.
    """
    experiment = load_experiment(name)
    if scale not in list(Scale):
        raise ConfigError(f"there is no scale '{scale}'; scales are {', '.join(Scale)}")
    setting: Config = experiment.scales[Scale(scale)]
    options = ("--scale", scale, "--seed", str(context.seed), "--device", context.executor.device)
    results = {
        "experiment": name,
        "figure": experiment.figure,
        "what": experiment.what,
        "scale": scale,
        "setting": setting.model_dump(mode="json"),
        **experiment.measure(context, setting),
        "provenance": provenance(context, "glo", "experiment", "run", name, *options),
        "runs": context.runs,
    }
    for ending in ("png", "svg"):
        save(experiment.draw(results), out / f"{name}-{scale}.{ending}")
    write_text(out / f"{name}-{scale}.md", markdown(experiment, results))
    write_text(out / f"{name}-{scale}.json", as_json(results))
    return results


def markdown(experiment: Experiment, results: Results) -> str:
    """The tables of an experiment, and the provenance of the numbers."""
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
