"""`glo shelf`: which published loss is the best for a task?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from glo.cli import comparing, options
from glo.cli.launch import Where
from glo.cli.output import folder_for_output, progress_of, read_numbers
from glo.cli.streams import say

if TYPE_CHECKING:
    from glo.compare import Comparison

LEVEL = 0.05  # of p after Holm's correction


def shelf(
    task: options.TaskName,
    repeats: comparing.Repeats = 5,
    steps: comparing.Lengths = None,
    learning_rates: comparing.Ladder = None,
    tuning_seeds: comparing.TuningSeeds = 2,
    run_off: comparing.RunOff = 6,
    smoothings: comparing.Smoothings = None,
    label_noise: comparing.LabelNoise = 0.0,
    train_fraction: comparing.TrainFraction = 1.0,
    out: comparing.Out = Path("glo-shelf"),
    seed: options.Seed = 0,
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
    """Compare all published losses of the shelf, without any search.

    Each has its learning rate and its parameters chosen on validation, and is measured on the test split with fresh seeds.
    """
    how = comparing.read_config(
        steps, read_numbers(learning_rates, "--learning-rates"), smoothings, tuning_seeds=tuning_seeds, run_off=run_off,
        repeats=repeats, seed=seed, label_noise=label_noise, train_fraction=train_fraction, baselines="shelf",
    )  # fmt: skip
    where = Where(device, cluster, insecure, None, time_limit, data_dir)
    with folder_for_output(out), progress_of(quiet) as progress:
        loaded, run = comparing.comparison_of(task, task_option, settings, config, where)
        comparing.check_smoothings(smoothings, loaded, how.baselines)
        comparison = run([], how, on_progress=progress.show)
    comparing.finish(comparison, out, json)
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
