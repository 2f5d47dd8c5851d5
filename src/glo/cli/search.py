"""`glo search`: look for a loss."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glo.cli import options
from glo.cli.output import Progress, command_line, print_discovery, read_task_options, resumable, show_generations


def search(
    task: options.TaskName,
    preset: Annotated[
        str, typer.Option("--preset", "-p", help="default, or paper: the paper's method to the letter.")
    ] = "default",
    seed: options.Seed = 0,
    generations: Annotated[int | None, typer.Option(min=1, help="Generations of the genetic algorithm.")] = None,
    population: Annotated[int | None, typer.Option(min=2, help="Candidates in each generation.")] = None,
    steps: options.Steps = None,
    storage: options.Storage = options.DEFAULT_STORAGE,
    name: Annotated[str | None, typer.Option(help="Name of the run; by default made of task, preset and seed.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other option, e.g. genetic.crossover=0.9; may be repeated."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with the tables [genetic], [training], [funnel].")] = None,
    task_option: options.TaskOptions = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Search for a loss for a task; ends with the best and a table of the funnel.

    Every generation is recorded as it ends: a search that was interrupted goes on with `glo resume NAME`.
    """
    from glo.run import discover
    from glo.run.discover import default_name

    chosen = name or default_name(task, preset, seed)
    hint = command_line("glo resume", chosen, storage=storage, data_dir=data_dir)
    with resumable(hint), Progress() as progress:
        discovery = discover(
            task,
            preset=preset,
            seed=seed,
            generations=generations,
            population=population,
            steps=steps,
            name=chosen,
            storage=storage,
            settings=settings or [],
            file=config,
            task_options=read_task_options(task_option),
            data_dir=data_dir,
            device=device,
            on_generation=show_generations(progress, generations),
            resume=False,
        )
    print_discovery(discovery, storage, json)
