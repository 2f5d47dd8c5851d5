"""`glo experiment`: the figures of the paper, measured again."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from glo.cli import options
from glo.cli.launch import check_device, chosen_cluster, unless_auto
from glo.cli.output import command_line, folder_for_output, print_table, progress_of, resumable
from glo.cli.streams import print_json, say

app = typer.Typer(help="Measure the paper's figures and tables again.", no_args_is_help=True, rich_markup_mode=None)


class ScaleName(StrEnum):
    smoke = "smoke"
    small = "small"
    paper = "paper"


@app.command("list")
def list_(json: options.Json = False) -> None:
    """List the experiments."""
    from glo.paper.experiment.definition import experiment_names, load_experiment

    experiments = {name: load_experiment(name) for name in experiment_names()}
    if json:
        rows = [
            {
                "name": name,
                "figure": experiment.figure,
                "what": experiment.what,
                "scales": {scale.value: setting.model_dump(mode="json") for scale, setting in experiment.scales.items()},
            }
            for name, experiment in experiments.items()
        ]
        print_json(rows)
        return
    from rich.table import Table

    table = Table(title="Experiments", caption="Scales: smoke (seconds), small (half an hour on two cores), paper (a GPU)")
    for column in ("name", "of the paper", "what"):
        table.add_column(column)
    for name, experiment in experiments.items():
        table.add_row(name, experiment.figure, experiment.what)
    print_table(table)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="Name of the experiment (see: glo experiment list).")],
    scale: Annotated[
        ScaleName, typer.Option(help="smoke: seconds; small: half an hour on two cores; paper: a GPU.")
    ] = ScaleName.small,
    out: Annotated[Path, typer.Option(help="Folder for NAME-SCALE.json, .png, .svg and .md.")] = Path("results"),
    seed: options.Seed = 0,
    storage: Annotated[str | None, typer.Option(help="The store; by default glo.db in the folder.")] = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    cluster: options.Cluster = None,
    insecure: options.Insecure = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Measure a figure or table of the paper again, and print the numbers beside those of the paper.

    Every training is recorded as it ends: the same command goes on where an interrupted one stopped.
    """
    from glo.execution import open_executor
    from glo.paper.experiment.context import ExperimentContext
    from glo.paper.experiment.definition import load_experiment, run_experiment
    from glo.store import Store, without_password

    experiment = load_experiment(name)
    check_device(device, cluster)
    shown = None if storage is None else without_password(storage)
    again = command_line(
        "glo experiment run", name, scale=scale, out=out, seed=seed, storage=shown, data_dir=data_dir,
        device=unless_auto(device), cluster=cluster, insecure=insecure,
    )  # fmt: skip
    chosen = chosen_cluster(cluster, insecure)
    with folder_for_output(out), resumable(lambda: again), progress_of(quiet) as progress:
        where = storage or out / "glo.db"
        with closing(Store(where)) as store, open_executor(chosen, device) as executor:
            context = ExperimentContext(
                where, store, seed=seed, executor=executor, cluster=chosen is not None, data_dir=data_dir,
                on_progress=progress.show,
            )  # fmt: skip
            results = run_experiment(name, scale.value, out, context)
    if json:
        print_json(results)
        return
    for sheet in experiment.tables(results):
        print_table(sheet.table())
    say(f"{len(results['runs'])} trainings. Written to {out}/: {name}-{scale.value}.json, .png, .svg, .md")
