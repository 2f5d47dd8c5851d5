"""`glo shelf`: which published loss is the best for a task?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glo.cli import options
from glo.cli.compare import UNUSED, check_smoothings, show, whole, write
from glo.cli.launch import Where, refuse_settings
from glo.cli.output import Progress, folder_for_output, read_numbers, read_task_options
from glo.cli.signals import time_limited
from glo.cli.streams import say

if TYPE_CHECKING:
    from glo.compare import Comparison


def shelf(
    task: options.TaskName,
    repeats: Annotated[int, typer.Option(help="Fresh seeds of the measurement on test.")] = 5,
    steps: Annotated[
        str | None,
        typer.Option(metavar="N,N,...", help="Training steps; several lengths show whether the order holds."),
    ] = None,
    learning_rates: Annotated[
        str | None, typer.Option(metavar="R,R,...", help="Ladder of learning rates; validation chooses one for each loss.")
    ] = None,
    tuning_seeds: Annotated[int, typer.Option(help="Seeds over which rate and parameters are chosen.")] = 2,
    smoothings: Annotated[
        str | None, typer.Option(metavar="S,S,...", help="Amounts of label smoothing; validation chooses one.")
    ] = None,
    label_noise: Annotated[float, typer.Option(help="Fraction of the training labels to make wrong.")] = 0.0,
    train_fraction: Annotated[float, typer.Option(help="Fraction of the training data to keep.")] = 1.0,
    out: Annotated[Path, typer.Option(help="Folder for comparison.json, .png and .svg.")] = Path("glo-shelf"),
    seed: options.Seed = 0,
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
    """Compare all published losses of the shelf, without any search.

    Each has its learning rate and its parameters chosen on validation, and is measured on the test split with fresh seeds.
    """
    from glo.compare import ComparisonConfig, compare_losses
    from glo.study import compose
    from glo.tasks import load_task

    refuse_settings(settings, UNUSED, only="training")
    given = {
        "steps": whole(read_numbers(steps, "--steps", "300,1000")),
        "learning_rates": read_numbers(learning_rates, "--learning-rates"),
        "smoothings": read_numbers(smoothings, "--smoothings"),
    }
    how = ComparisonConfig(
        tuning_seeds=tuning_seeds, repeats=repeats, seed=seed, baselines="shelf", label_noise=label_noise,
        train_fraction=train_fraction, **{key: values for key, values in given.items() if values is not None},
    )  # fmt: skip
    with folder_for_output(out), Progress() as progress:
        where = Where(device, cluster, insecure, None, time_limit, data_dir).of_study()
        with time_limited(time_limit):
            loaded = load_task(task, read_task_options(task_option), data_dir)
        check_smoothings(smoothings, loaded, no_baselines=False)
        training = compose(loaded, file=config, settings=settings or []).training
        comparison = compare_losses(
            loaded, [], how, training=training, device=device, cluster=where["cluster"], time_limit=time_limit,
            on_progress=progress.show,
        )  # fmt: skip
    write(comparison, out)
    show(comparison, out, json)
    if not json:
        say(_best(comparison))


def _best(comparison: Comparison) -> str:
    """The best mean on test in words, and whether it is more than chance."""
    baseline, *others = comparison.rows
    sign = comparison.direction.sign
    trained = [row for row in others if not row.failed]
    if baseline.failed or not trained:
        return "No loss of the shelf could be compared."
    best = max(trained, key=lambda row: sign * row.mean)
    if sign * best.mean <= sign * baseline.mean:
        return f"No loss of the shelf has a better mean than {baseline.name} ({baseline.mean:.4f})."
    found = f"The best mean on test is that of {best.name}: {best.mean:.4f}, {baseline.name} has {baseline.mean:.4f}"
    if best.p_holm is None:
        return f"{found}."
    verdict = "more than chance" if best.p_holm < LEVEL else "which may be chance"
    return f"{found}: {verdict} (p = {best.p_holm:.1e} after Holm, n = {best.n})."


LEVEL = 0.05
