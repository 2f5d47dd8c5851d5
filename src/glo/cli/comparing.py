"""What the commands that compare losses have in common: their options, the configuration, and what they write."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glo.cli.launch import Where, refuse_settings
from glo.cli.output import print_table, read_numbers, read_task_options
from glo.cli.signals import time_limited
from glo.cli.streams import dump, print_json, say

if TYPE_CHECKING:
    from glo.compare import Comparison, ComparisonConfig
    from glo.tasks import Problem

Repeats = Annotated[int, typer.Option(help="Fresh seeds of the measurement on test.")]
Lengths = Annotated[
    str | None, typer.Option(metavar="N,N,...", help="Training steps; several lengths show whether the order holds.")
]
Ladder = Annotated[
    str | None, typer.Option(metavar="R,R,...", help="Ladder of learning rates; validation chooses one for each loss.")
]
TuningSeeds = Annotated[int, typer.Option(help="Seeds over which a learning rate is chosen.")]
RunOff = Annotated[int, typer.Option(min=0, help="Further seeds for the best three rates and parameters of each loss.")]
Smoothings = Annotated[
    str | None, typer.Option(metavar="S,S,...", help="Amounts of label smoothing; validation chooses one.")
]
LabelNoise = Annotated[float, typer.Option(help="Fraction of the training labels to make wrong.")]
TrainFraction = Annotated[float, typer.Option(help="Fraction of the training data to keep.")]
Out = Annotated[Path, typer.Option(help="Folder for comparison.json, .png and .svg.")]


class Baselines(StrEnum):
    """What a comparison always has."""

    standard = "standard"
    shelf = "shelf"
    none = "none"


Judged = Annotated[Baselines, typer.Option(help="What the loss that is found has to beat on test; none for no verdict.")]

UNUSED = {  # of the training, in a comparison
    "training.learning_rates": "--learning-rates is the ladder of a comparison",
    "training.early_stop": "a comparison stops no training early",
    "training.rungs": "a comparison stops no training early",
    "training.curve_every": "a comparison keeps no curves",
    "training.curve_on": "a comparison keeps no curves",
    "training.metrics": "a comparison measures the metric of the task; --metrics of glo search measures others",
}


def read_config(
    steps: str | None, ladder: Sequence[float] | None, smoothings: str | None, **others: Any
) -> ComparisonConfig:
    """The configuration of a comparison from options of the command line; those that were not given have its defaults.

    Raises:
        ConfigError: for an option of a bad form or value.
    """
    from glo.compare import ComparisonConfig

    given = {
        "steps": _whole(read_numbers(steps, "--steps", "300,1000")),
        "learning_rates": ladder,
        "smoothings": read_numbers(smoothings, "--smoothings"),
    }
    return ComparisonConfig(**others, **{key: values for key, values in given.items() if values is not None})


def comparison_of(
    task: str, task_option: list[str] | None, settings: list[str] | None, config: Path | None, where: Where
) -> tuple[Problem, partial[Comparison]]:
    """The task of a command line, and `compare_losses` for it, with the training that its options say.

    Raises:
        ConfigError, TaskError: for misuse of an option.
    """
    from glo.compare import compare_losses
    from glo.study import compose
    from glo.tasks import load_task

    refuse_settings(settings, UNUSED, only="training")
    of_study = where.of_study()
    with time_limited(where.time_limit):
        loaded = load_task(task, read_task_options(task_option), where.data_dir)
    training = compose(loaded, file=config, settings=settings or []).training
    how = {name: of_study[name] for name in ("device", "cluster", "time_limit")}
    return loaded, partial(compare_losses, loaded, training=training, **how)


def check_smoothings(smoothings: str | None, task: Problem, baselines: str) -> None:
    """Label smoothing is a baseline, and only of classification.

    Raises:
        ConfigError: if it was given where it does nothing.
    """
    from glo.errors import ConfigError
    from glo.records import Link

    if smoothings is not None and (baselines == "none" or task.link is Link.IDENTITY):
        reason = f"task '{task.name}' is a regression"
        reason = "without baselines there is no label smoothing" if baselines == "none" else reason
        raise ConfigError(f"--smoothings does nothing here: {reason}")


def finish(comparison: Comparison, out: Path, as_json: bool) -> None:
    """Write comparison.json and the figure, and print the tables and notes, or all of it as JSON."""
    from glo.compare.tables import notes
    from glo.report import save, write_text

    write_text(out / "comparison.json", dump(comparison.to_dict()))
    figure = comparison.plot()
    for ending in ("png", "svg"):
        save(figure, out / f"comparison.{ending}")
    if as_json:
        print_json(comparison.to_dict())
        return
    for horizon in comparison.horizons:
        print_table(comparison.table(horizon.steps))
    for note in notes(comparison):
        say(note)
    say(f"Written to {out}/: comparison.json, comparison.png, comparison.svg")


def _whole(numbers: list[float] | None) -> list[int] | None:
    from glo.errors import ConfigError

    if numbers is not None and not all(number.is_integer() and number > 0 for number in numbers):
        raise ConfigError(f"--steps takes whole numbers above 0, not {', '.join(f'{number:g}' for number in numbers)}")
    return None if numbers is None else [int(number) for number in numbers]
