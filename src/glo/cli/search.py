"""`glo search`: look for a loss."""

from __future__ import annotations

from typing import Annotated

import typer

from glo.cli import comparing, options
from glo.cli.comparing import Baselines
from glo.cli.judging import Judging
from glo.cli.launch import Where, chosen_problem, run_new_study
from glo.cli.output import print_result, read_names


def search(
    task: options.SearchedTaskName = None,
    objective: options.ObjectiveName = None,
    link: Annotated[str | None, typer.Option(help="Of --objective: softmax, sigmoid or identity.")] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="Of --objective: outputs of the network.")] = None,
    direction: Annotated[str | None, typer.Option(help="Of --objective: maximize or minimize its score.")] = None,
    version: Annotated[
        str | None, typer.Option(help="Of --objective: key of what is remembered, instead of the function's code.")
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="How many candidates to evaluate in all.")] = None,
    timeout: options.Timeout = None,
    jobs: options.Jobs = 1,
    isolate: options.Isolate = False,
    max_failures: Annotated[int, typer.Option(min=1, help="Of --objective: trials in a row that may fail.")] = 10,
    preset: options.Preset = "default",
    seed: options.Seed = 0,
    generations: Annotated[int | None, typer.Option(min=1, help="Generations of the genetic algorithm.")] = None,
    population: Annotated[int | None, typer.Option(min=2, help="Candidates in each generation.")] = None,
    steps: options.Steps = None,
    steady_state: Annotated[
        bool, typer.Option("--steady-state", help="No generations: each result makes room for the next candidate at once.")
    ] = False,
    slots: options.Slots = None,
    target: Annotated[float | None, typer.Option(help="End as soon as a fitness reaches this.")] = None,
    patience: Annotated[int | None, typer.Option(min=1, help="End after so many generations without progress.")] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(
            help="A loss to evaluate first, beside random ones: an expression, a name, or shelf for all published ones."
        ),
    ] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option(help="A property that the loss must have: bounded, monotone or convex; may be repeated."),
    ] = None,
    forbid: Annotated[
        list[str] | None,
        typer.Option(metavar="OUTER(INNER)", help="A nesting that the loss may not have, e.g. 'log(exp)'; may be repeated."),
    ] = None,
    confirm: Annotated[
        int | None, typer.Option(min=0, help="How many of the best to train again on fresh seeds at the end; 0 for none.")
    ] = None,
    tune: Annotated[bool, typer.Option("--tune", help="Then tune the coefficients of the best loss by CMA-ES.")] = False,
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
    baselines: comparing.Judged = Baselines.shelf,
    repeats: Annotated[int, typer.Option(min=2, help="Fresh seeds of the verdict's measurement on test.")] = 10,
    metrics: options.Metrics = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Search for a loss for a task, or for your own training loop; ends with a verdict on the best.

    Before it begins, the known losses of the shelf say what there is to beat.  The verdict compares the best with them on
    the test split.

    The search ends by --generations, --trials, --timeout, --target or --patience, whichever comes first, and with its
    confirmation.

    Every generation is recorded as it ends: go on with an interrupted search with `glo resume NAME`.  With --steady-state
    every result is recorded, and the history depends on the order in which results arrive, unless --slots is 1.
    """
    from glo.records import PhaseKind
    from glo.study.commands import unread

    phases = [PhaseKind.GENETIC, *([PhaseKind.COEFFICIENTS] if tune else [])]
    judging = Judging(baselines, repeats, json, metrics=read_names(metrics))
    where = Where(device, cluster, insecure, slots, time_limit, data_dir)
    given = {"link": link, "classes": classes, "direction": direction, "version": version}
    run_new_study(
        lambda study: study.search(
            generations=generations, population=population, steps=steps, steady_state=steady_state or None, tune=tune,
            trials=trials, target=target, patience=patience, start=start,
            constraints=constraint, forbidden=forbid, confirm=confirm, timeout=timeout, jobs=jobs, isolate=isolate,
        ),
        chosen_problem(task, objective, given), where, max_failures=max_failures, name=name,
        preset=preset, seed=seed, storage=storage, settings=settings, config=config,
        task_option=task_option,
        unused=unread(phases), show=lambda result: print_result(result, storage, json, judging), judging=judging,
        quiet=quiet,
    )  # fmt: skip
