"""`glo tune`: better coefficients for one loss."""

from __future__ import annotations

from typing import Annotated

import typer

from glo.cli import options
from glo.cli.launch import Where, run_new_study
from glo.cli.output import print_result, read_numbers


def tune(
    task: options.TaskName,
    expr: Annotated[str | None, typer.Argument(metavar="[EXPR]", help="An expression, or a name: baikal.")] = None,
    template: Annotated[
        str | None, typer.Option(help="Instead of EXPR a family of losses: taylor3, the polynomials of degree 3.")
    ] = None,
    coefficients: Annotated[
        str | None, typer.Option(help="effective: only those that change the shape; all: one at each node.")
    ] = None,
    iterations: Annotated[int | None, typer.Option(min=1, help="Generations of CMA-ES; by default 15.")] = None,
    population: Annotated[int | None, typer.Option(min=4, help="Candidates in each; by default 4 + 3 ln(n).")] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, help="Seeds over which each candidate's fitness is averaged; by default 1.")
    ] = None,
    preset: options.Preset = "default",
    seed: options.Seed = 0,
    steps: options.Steps = None,
    learning_rates: options.LearningRates = None,
    storage: options.Storage = options.DEFAULT_STORAGE,
    name: options.RunName = None,
    settings: options.Settings = None,
    config: options.ConfigFile = None,
    task_option: options.TaskOptions = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    cluster: options.Cluster = None,
    insecure: options.Insecure = False,
    time_limit: options.TimeLimit = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Tune the coefficients of a loss for a task by CMA-ES.

    Ends with the start, the best sample and the mean of the search on fresh seeds, and keeps the best of them.  Go on with
    an interrupted study with `glo resume NAME`.
    """
    from glo.records import PhaseKind
    from glo.study.commands import unread

    expression, rates = _expression(expr, template), read_numbers(learning_rates, "--learning-rates")
    where = Where(device, cluster, insecure, None, time_limit, data_dir)
    run_new_study(
        lambda study: study.tune(
            expression, which=coefficients, iterations=iterations, population=population, repeats=repeats, steps=steps,
            learning_rates=rates,
        ),
        task, where, name=name, preset=preset, seed=seed, storage=storage, settings=settings, config=config,
        task_option=task_option,
        unused=unread([PhaseKind.COEFFICIENTS]), show=lambda result: print_result(result, storage, json), quiet=quiet,
    )  # fmt: skip


def _expression(expr: str | None, template: str | None) -> str:
    from glo.catalog import TEMPLATES
    from glo.errors import ConfigError

    if (expr is None) == (template is None):
        raise ConfigError("give an expression to tune or a --template, one of the two")
    if template is None:
        return expr or ""
    if template not in TEMPLATES:
        raise ConfigError(f"there is no template '{template}'; templates are {', '.join(TEMPLATES)}")
    return str(TEMPLATES[template])
