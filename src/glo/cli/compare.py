"""`glo compare`: is a loss really better?"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from glo.cli import comparing, options
from glo.cli.comparing import Baselines
from glo.cli.launch import Where, refuse_given
from glo.cli.output import folder_for_output, progress_of, read_numbers
from glo.cli.signals import time_limited


def compare(
    expr: Annotated[list[str] | None, typer.Argument(metavar="EXPR...", help="Expressions, or names: baikal.")] = None,
    task: options.OptionalTaskName = None,
    study: options.ComparedStudy = None,
    finalists: Annotated[
        int | None, typer.Option(min=1, help="With --study: how many of its best losses to compare; by default 1.")
    ] = None,
    repeats: comparing.Repeats = 10,
    steps: comparing.Lengths = None,
    learning_rates: comparing.Ladder = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="One rate for all losses; the scale of their gradients confounds the comparison.")
    ] = None,
    tuning_seeds: comparing.TuningSeeds = 3,
    run_off: comparing.RunOff = 0,
    smoothings: comparing.Smoothings = None,
    baselines: Annotated[
        Baselines | None,
        typer.Option(help="What else is compared: cross-entropy and label smoothing, all losses of the shelf, or nothing."),
    ] = None,
    no_baselines: Annotated[
        bool, typer.Option("--no-baselines", help="The same as --baselines none: compare with the first EXPR.")
    ] = False,
    label_noise: comparing.LabelNoise = 0.0,
    train_fraction: comparing.TrainFraction = 1.0,
    out: comparing.Out = Path("glo-compare"),
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
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Compare losses, each at its own best learning rate, over fresh seeds on the test split.

    Give expressions and --task, or --study (and expressions too, if you like).  Rate and smoothing are chosen on validation;
    all losses see the same seeds.  The difference to the first loss, with --study the discovered one, is given with a 95 %
    interval, Welch's t-test (and Holm's correction for several losses) and Hedges' g.
    """
    from glo.study import load_study

    how = comparing.read_config(
        steps, _rates(learning_rate, read_numbers(learning_rates, "--learning-rates")), smoothings,
        tuning_seeds=tuning_seeds, run_off=run_off, repeats=repeats, seed=seed,
        label_noise=label_noise, train_fraction=train_fraction, baselines=_chosen(baselines, no_baselines),
    )  # fmt: skip
    losses, where = expr or [], Where(device, cluster, insecure, None, time_limit, data_dir)
    with folder_for_output(out), progress_of(quiet) as progress:
        if study is not None:
            refuse_given(
                "with --study, whose task and training are used", set=settings, config=config, task_option=task_option
            )
            recorded = load_study(study, storage or options.DEFAULT_STORAGE, task=task, **where.of_study())
            with time_limited(time_limit):
                loaded = recorded.task
            run = partial(recorded.compare, finalists=finalists or 1)
        else:
            refuse_given("without --study", finalists=finalists, storage=storage)
            loaded, run = comparing.comparison_of(_named(task, losses), task_option, settings, config, where)
        comparing.check_smoothings(smoothings, loaded, how.baselines)
        comparison = run(losses, how, on_progress=progress.show)
    comparing.finish(comparison, out, json)


def _chosen(baselines: Baselines | None, no_baselines: bool) -> Literal["standard", "shelf", "none"]:
    from glo.errors import ConfigError

    if no_baselines and baselines not in (None, Baselines.none):
        raise ConfigError("--no-baselines is the same as --baselines none: give one of the two")
    return "none" if no_baselines else (baselines or Baselines.standard).value


def _named(task: str | None, losses: list[str]) -> str:
    from glo.errors import ConfigError

    if task is None or not losses:
        raise ConfigError("give expressions and --task, or --study NAME for the best loss of a study")
    return task


def _rates(fixed: float | None, ladder: list[float] | None) -> list[float] | None:
    from glo.errors import ConfigError

    if fixed is not None and ladder is not None:
        raise ConfigError("give --learning-rate for one rate or --learning-rates for a ladder, not both")
    return ladder if fixed is None else [fixed]
