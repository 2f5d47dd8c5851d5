"""`glo evaluate`: train one network with one loss."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from glo.cli import options
from glo.cli.output import Progress, print_json, read_task_options


def evaluate(
    expr: options.Expression,
    task: options.TaskName,
    seed: options.Seed = 0,
    steps: options.Steps = None,
    learning_rate: Annotated[float | None, typer.Option(help="Learning rate of SGD; by default the task's.")] = None,
    curve_every: Annotated[int, typer.Option(min=0, help="Steps between points of a validation curve; 0 for none.")] = 0,
    task_option: options.TaskOptions = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Train one network with a loss, and print its metric on validation and test.

    One training with one seed says little about which of two losses is better.
    """
    from glo.catalog import resolve
    from glo.provenance import hardware, versions
    from glo.records import Status, Training
    from glo.tasks import load_task
    from glo.tasks.training import training_config
    from glo.training import choose_device, rehearse, train_single

    expression = resolve(expr)
    loaded = load_task(task, read_task_options(task_option), data_dir)
    rates = None if learning_rate is None else [learning_rate]
    config = training_config(loaded, {"steps": steps, "learning_rates": rates, "curve_every": curve_every})
    place = choose_device(device)
    started = time.perf_counter()
    training = Training(expression, config.learning_rates[0])
    rehearse(loaded, config, place)
    with Progress() as progress:
        result = train_single(
            loaded, training, config, seed, place, test=True, on_step=lambda step: progress.show("steps", step, config.steps)
        )
    shown = {
        "expression": str(expression),
        "task": task,
        "metric": loaded.metric_name,
        "status": str(Status.DIVERGED if result.diverged else Status.TRAINED),
        "fitness": max(0.0, result.validation),
        "test_metric": result.test,
        "learning_rate": config.learning_rates[0],
        "steps": config.steps,
        "seed": seed,
        "seconds": time.perf_counter() - started,
        **({"curve": [list(point) for point in result.curve]} if curve_every else {}),
        "device": str(place),
        "versions": versions(),
        "hardware": hardware(),
    }
    if json:
        print_json(shown)
        return
    typer.echo(f"{shown['status']}: validation {shown['metric']} {shown['fitness']:.4f}, test {shown['test_metric']:.4f}")
    typer.echo(
        f"{config.steps} steps, learning rate {config.learning_rates[0]:g}, seed {seed}, {shown['seconds']:.1f} s on {place}"
    )
