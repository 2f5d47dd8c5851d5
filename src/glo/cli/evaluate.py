"""`glo evaluate`: train one network with one loss."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glo.cli import options
from glo.cli.output import progress_of, read_task_options
from glo.cli.streams import print_json, say

if TYPE_CHECKING:
    import torch

    from glo.records import Result, Training, TrainingConfig
    from glo.tasks import Task


def evaluate(
    expr: options.Expression,
    task: options.TaskName,
    seed: options.Seed = 0,
    steps: options.Steps = None,
    learning_rate: Annotated[float | None, typer.Option(help="Learning rate; by default the task's.")] = None,
    curve_every: Annotated[int, typer.Option(min=0, help="Steps between points of a validation curve; 0 for none.")] = 0,
    task_option: options.TaskOptions = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Train one network with a loss, and print its metric on validation and, if the task has one, on the test split.

    One training with one seed says little about which of two losses is better.
    """
    from glo.catalog import resolve
    from glo.compare.families import why_constant
    from glo.errors import ConfigError
    from glo.provenance import hardware, versions
    from glo.records import Training
    from glo.tasks import load_task
    from glo.tasks.training import training_config
    from glo.training import choose_device, rehearse

    expression, place = resolve(expr), choose_device(device)
    loaded = load_task(task, read_task_options(task_option), data_dir)
    if (reason := why_constant(expression, loaded)) is not None:
        raise ConfigError(f"'{expr}' cannot train a network: it {reason}")
    rates = None if learning_rate is None else [learning_rate]
    config = training_config(loaded, {"steps": steps, "learning_rates": rates, "curve_every": curve_every})
    started = time.perf_counter()
    training = Training(expression, config.learning_rates[0])
    rehearse(loaded, config, place)
    with progress_of(quiet) as progress:
        result = _trained(loaded, training, config, seed, place, lambda step: progress.show("steps", step, config.steps))
    shown = {
        "expression": str(expression),
        "task": task,
        "metric": loaded.metric_name,
        **_described(result),
        "learning_rate": config.learning_rates[0],
        "steps": config.steps,
        "seed": seed,
        "seconds": time.perf_counter() - started,
        "device": str(place),
        "versions": versions(),
        "hardware": hardware(),
    }
    if json:
        print_json(shown)
        return
    reached = [f"validation {shown['metric']} {shown['fitness']:.4f}"]
    reached += [f"test {shown['test_metric']:.4f}"] if shown["test_metric"] is not None else []
    say(f"{shown['status']}: {shown['reason'] or ', '.join(reached)}")
    for step, score in shown["curve"]:
        say(f"step {step}: validation {shown['metric']} {score:.4f}")
    say(
        f"{config.steps} steps, learning rate {config.learning_rates[0]:g}, seed {seed}, {shown['seconds']:.1f} s on {place}"
    )


def _trained(
    task: Task, training: Training, config: TrainingConfig, seed: int, device: torch.device, on_step: Callable[[int], None]
) -> Result:
    """Train the network; an exception of the model, the metric or PyTorch is a `Failure`."""
    from glo.errors import RAISED, described
    from glo.records import Failure, Status
    from glo.training import train_single

    try:
        return train_single(task, training, config, seed, device, test=task.test is not None, on_step=on_step)
    except RAISED as error:  # the user's code may raise anything
        return Failure(Status.CRASHED, described(error))


def _described(result: Result) -> dict[str, Any]:
    """What a training reached, or why it failed, as JSON-like data."""
    from glo.records import Failure, Status

    if isinstance(result, Failure):
        return {"status": result.status, "reason": result.reason, "fitness": 0.0, "test_metric": None, "curve": []}
    return {
        "status": Status.DIVERGED if result.diverged else Status.TRAINED,
        "reason": result.why_diverged,
        "fitness": max(0.0, result.validation),
        "test_metric": result.test,
        "curve": [list(point) for point in result.curve],
    }
