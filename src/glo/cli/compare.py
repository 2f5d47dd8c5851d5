"""`glo compare`: is a loss really better?"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from glo.cli import options
from glo.cli.launch import Where, refuse_given, refuse_settings
from glo.cli.output import Progress, folder_for_output, print_table, read_numbers, read_task_options
from glo.cli.signals import time_limited
from glo.cli.streams import dump, print_json, say

if TYPE_CHECKING:
    from glo.compare import Comparison
    from glo.tasks import Problem, Task


class Baselines(StrEnum):
    """What a comparison always has."""

    standard = "standard"
    shelf = "shelf"
    none = "none"


UNUSED = {  # of the training, in a comparison
    "training.learning_rates": "--learning-rates is the ladder of a comparison",
    "training.early_stop": "a comparison stops no training early",
    "training.curve_every": "a comparison keeps no curves",
    "training.curve_on": "a comparison keeps no curves",
}


def compare(
    expr: Annotated[list[str] | None, typer.Argument(metavar="EXPR...", help="Expressions, or names: baikal.")] = None,
    task: options.OptionalTaskName = None,
    study: options.ComparedStudy = None,
    finalists: Annotated[
        int | None, typer.Option(min=1, help="With --study: how many of its best losses to compare; by default 1.")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Fresh seeds of the measurement on test.")] = 10,
    steps: Annotated[
        str | None,
        typer.Option(metavar="N,N,...", help="Training steps; several lengths show whether the order holds."),
    ] = None,
    learning_rates: Annotated[
        str | None, typer.Option(metavar="R,R,...", help="Ladder of learning rates; validation chooses one for each loss.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="One rate for all losses; the scale of their gradients confounds the comparison.")
    ] = None,
    tuning_seeds: Annotated[int, typer.Option(help="Seeds over which a learning rate is chosen.")] = 3,
    smoothings: Annotated[
        str | None, typer.Option(metavar="S,S,...", help="Amounts of label smoothing; validation chooses one.")
    ] = None,
    baselines: Annotated[
        Baselines | None,
        typer.Option(help="What else is compared: cross-entropy and label smoothing, all losses of the shelf, or nothing."),
    ] = None,
    no_baselines: Annotated[
        bool, typer.Option("--no-baselines", help="The same as --baselines none: compare with the first EXPR.")
    ] = False,
    label_noise: Annotated[float, typer.Option(help="Fraction of the training labels to make wrong.")] = 0.0,
    train_fraction: Annotated[float, typer.Option(help="Fraction of the training data to keep.")] = 1.0,
    out: Annotated[Path, typer.Option(help="Folder for comparison.json, .png and .svg.")] = Path("glo-compare"),
    seed: options.Seed = 0,
    storage: options.StudyStorage = None,
    settings: options.TrainingSettings = None,
    config: options.TrainingFile = None,
    task_option: options.TaskOptions = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    cluster: options.Cluster = None,
    insecure: options.Insecure = False,
    time_limit: options.TimeLimit = None,
    json: options.Json = False,
) -> None:
    """Compare losses, each at its own best learning rate, over fresh seeds on the test split.

    Give expressions and --task, or --study (and expressions too, if you like).  Rate and smoothing are chosen on validation;
    all losses see the same seeds.  The difference to the baseline is given with a 95 % interval, Welch's t-test (and Holm's
    correction for several losses) and Hedges' g.
    """
    from glo.compare import ComparisonConfig, compare_losses
    from glo.study import compose, load_study

    given = {
        "steps": whole(read_numbers(steps, "--steps", "300,1000")),
        "learning_rates": rates(learning_rate, read_numbers(learning_rates, "--learning-rates")),
        "smoothings": read_numbers(smoothings, "--smoothings"),
    }
    how = ComparisonConfig(
        tuning_seeds=tuning_seeds, repeats=repeats, seed=seed, label_noise=label_noise, train_fraction=train_fraction,
        baselines=_chosen(baselines, no_baselines), **{key: values for key, values in given.items() if values is not None},
    )  # fmt: skip
    losses, where = expr or [], Where(device, cluster, insecure, None, time_limit, data_dir).of_study()
    with folder_for_output(out), Progress() as progress:
        if study is not None:
            refuse_given(
                "with --study, whose task and training are used", set=settings, config=config, task_option=task_option
            )
            recorded = load_study(study, storage or options.DEFAULT_STORAGE, task=task, **where)
            with time_limited(time_limit):
                loaded = recorded.task
            run = partial(recorded.compare, finalists=finalists or 1)
        else:
            refuse_given("without --study", finalists=finalists, storage=storage)
            refuse_settings(settings, UNUSED, only="training")
            with time_limited(time_limit):
                loaded = _loaded(task, losses, task_option, data_dir)
            training = compose(loaded, file=config, settings=settings or []).training
            run = partial(
                compare_losses, loaded, training=training, device=device, cluster=where["cluster"], time_limit=time_limit
            )
        check_smoothings(smoothings, loaded, how.baselines == "none")
        comparison = run(losses, how, on_progress=progress.show)
    write(comparison, out)
    show(comparison, out, json)


def _chosen(baselines: Baselines | None, no_baselines: bool) -> Literal["standard", "shelf", "none"]:
    from glo.errors import ConfigError

    if no_baselines and baselines not in (None, Baselines.none):
        raise ConfigError("--no-baselines is the same as --baselines none: give one of the two")
    return "none" if no_baselines else (baselines or Baselines.standard).value


def _loaded(task: str | None, losses: list[str], task_option: list[str] | None, data_dir: Path | None) -> Task:
    from glo.errors import ConfigError
    from glo.tasks import load_task

    if task is None or not losses:
        raise ConfigError("give expressions and --task, or --study NAME for the best loss of a study")
    return load_task(task, read_task_options(task_option), data_dir)


def write(comparison: Comparison, out: Path) -> None:
    """Write comparison.json and the figure."""
    from glo.report import save, write_text

    write_text(out / "comparison.json", dump(comparison.to_dict()))
    figure = comparison.plot()
    for ending in ("png", "svg"):
        save(figure, out / f"comparison.{ending}")


def show(comparison: Comparison, out: Path, as_json: bool) -> None:
    """Print the tables and notes, or all of it as JSON."""
    from glo.compare.tables import notes

    if as_json:
        print_json(comparison.to_dict())
        return
    for horizon in comparison.horizons:
        print_table(comparison.table(horizon.steps))
    for note in notes(comparison):
        say(note)
    say(f"Written to {out}/: comparison.json, comparison.png, comparison.svg")


def check_smoothings(smoothings: str | None, task: Problem, no_baselines: bool) -> None:
    """Label smoothing is a baseline, and only of classification."""
    from glo.errors import ConfigError
    from glo.records import Link

    if smoothings is not None and (no_baselines or task.link is Link.IDENTITY):
        reason = "without baselines there is no label smoothing" if no_baselines else f"task '{task.name}' is a regression"
        raise ConfigError(f"--smoothings does nothing here: {reason}")


def whole(numbers: list[float] | None) -> list[int] | None:
    from glo.errors import ConfigError

    if numbers is not None and not all(number.is_integer() and number > 0 for number in numbers):
        raise ConfigError(f"--steps takes whole numbers above 0, not {', '.join(f'{number:g}' for number in numbers)}")
    return None if numbers is None else [int(number) for number in numbers]


def rates(fixed: float | None, ladder: list[float] | None) -> list[float] | None:
    from glo.errors import ConfigError

    if fixed is not None and ladder is not None:
        raise ConfigError("give --learning-rate for one rate or --learning-rates for a ladder, not both")
    return ladder if fixed is None else [fixed]
