"""`glo enumerate`: an atlas of all small losses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glo.cli import options
from glo.cli.launch import Where, run_new_study
from glo.cli.output import check_output, print_result, read_numbers

if TYPE_CHECKING:
    from glo.study import StudyResult


def enumerate_(
    task: options.TaskName,
    max_depth: Annotated[int | None, typer.Option(min=1, help="Depth of the largest expressions; by default 2.")] = None,
    repeats: Annotated[
        int | None, typer.Option("--repeats", "--seeds", min=1, help="Seeds over which fitness is averaged; by default 3.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the atlas to this CSV file.")] = None,
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
    """Train every loss up to a depth that passes the funnel, and rank them.

    Each counts at its best learning rate, averaged over the seeds.  Go on with an interrupted study with `glo resume NAME`.
    """
    from glo.records import PhaseKind
    from glo.study.commands import unread

    if csv is not None:
        check_output(csv)
    rates = read_numbers(learning_rates, "--learning-rates")
    where = Where(device, cluster, insecure, None, time_limit, data_dir)
    run_new_study(
        lambda study: study.enumerate(max_depth=max_depth, repeats=repeats, steps=steps, learning_rates=rates),
        task, where, name=name, preset=preset, seed=seed, storage=storage, settings=settings, config=config,
        task_option=task_option,
        unused=unread([PhaseKind.ENUMERATION]), show=lambda result: _show(result, csv, storage, json), quiet=quiet,
    )  # fmt: skip


def _show(result: StudyResult, csv: Path | None, storage: str, json: bool) -> None:
    if csv is not None:
        from glo.report import atlas_csv, atlas_rows, write_text

        write_text(csv, atlas_csv(atlas_rows(result.enumerated)))
    print_result(result, storage, json)
