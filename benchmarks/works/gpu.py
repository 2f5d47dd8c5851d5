"""Benchmarks on a GPU: 80 MNIST networks as a population and one by one, and the effect of reduced precision."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, get_args

import torch

from benchmarks.measuring import Row, Run, row, viable_losses
from benchmarks.peers import graphed, plain
from benchmarks.works.engine import BATCH, NETWORKS
from benchmarks.works.images import random_images
from glo.records import Training, TrainingConfig
from glo.tasks import Task, load_task
from glo.training import train_population
from glo.training.precision import matmul_precision

RATE = 0.01
Precision = Literal["float32", "tf32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ONE_BY_ONE = 4  # networks that are trained one by one, as a sample of all


def gpu(run: Run) -> Iterator[Row]:
    """80 of the paper's MNIST networks on a GPU in three precisions; nothing without a GPU."""
    if not torch.cuda.is_available() and not run.small:
        run.report("skipped: PyTorch finds no GPU")
        return
    for precision in PRECISIONS:
        yield from networks(run, precision)
    yield from accuracy(run)


def device_and_task(run: Run) -> tuple[str, Task]:
    """The GPU and MNIST; random images for a small run, on the CPU if there is no GPU."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return device, random_images(200) if run.small else load_task("mnist")


def networks(run: Run, precision: Precision) -> Iterator[Row]:
    """Network-steps per second of the paper's MNIST network: a population of 80 losses, one by one, and as CUDA graphs.

    The peers use autocast for bfloat16.  The rate is that of the steps between a short and a long training, so that the
    time to start does not count.
    """
    device, task = device_and_task(run)
    count, short, long = (2, 1, 2) if run.small else (NETWORKS, 20, 220)
    losses = viable_losses(count)

    def population(steps: int) -> None:
        config = TrainingConfig(steps=steps, batch_size=BATCH, precision=precision)
        train_population(task, [Training(loss, RATE) for loss in losses], config, 0, device)

    def one_by_one(train: Callable[[plain.Work], float], steps: int) -> None:
        config, low = TrainingConfig(precision=precision), precision == "bfloat16"
        with matmul_precision(config), torch.autocast(device, torch.bfloat16, enabled=low, cache_enabled=False):
            for loss in losses[:: max(1, count // ONE_BY_ONE)]:
                train(plain.Work(str(loss), RATE, steps, BATCH, 0))

    methods = {"together": population, "eager": partial(one_by_one, partial(plain.train, task, device=device))}
    if device == "cuda":
        methods["graph"] = partial(one_by_one, partial(graphed.train, task))
    alone = len(losses[:: max(1, count // ONE_BY_ONE)])
    calls = {f"{name} {steps}": partial(call, steps) for name, call in methods.items() for steps in (short, long)}
    measured = run.interleaved(calls, pairs=5)
    rates: dict[str, list[float]] = {}
    for name in methods:
        pairs = zip(measured.spent[f"{name} {long}"], measured.spent[f"{name} {short}"], strict=True)
        trained = count if name == "together" else alone
        rates[name] = [trained * (long - short) / max(1e-9, a.wall - b.wall) for a, b in pairs]
    detail: Row = {"network_steps_per_second": {name: statistics.median(values) for name, values in rates.items()}}
    for name, goal in (("eager", ">= 15"), ("graph", ">= 3")):
        if name in rates:
            faster = [ours / theirs for ours, theirs in zip(rates["together"], rates[name], strict=True)]
            what = f"{count} MNIST networks, {precision}: together vs {name}"
            yield row(f"gpu-{precision}-{name}", what, faster, goal, **detail)


def accuracy(run: Run) -> Iterator[Row]:
    """The change of validation accuracy in reduced precision: 80 losses, two seeds, 300 steps."""
    device, task = device_and_task(run)
    count, steps = (2, 2) if run.small else (NETWORKS, 300)
    losses = viable_losses(count)

    def accuracies(precision: Precision) -> list[float]:
        run.report(f"accuracy in {precision}")
        config = TrainingConfig(steps=steps, batch_size=BATCH, precision=precision)
        trainings = [Training(loss, RATE) for loss in losses]
        return [r.validation for seed in (0, 1) for r in train_population(task, trainings, config, seed, device)]

    float32 = accuracies("float32")
    for precision in PRECISIONS[1:]:
        changes = [reduced - full for reduced, full in zip(accuracies(precision), float32, strict=True)]
        error = statistics.stdev(changes) / len(changes) ** 0.5
        detail = {
            "mean": statistics.mean(changes),
            "standard_error": error,
            "largest": max(map(abs, changes)),
            "n": len(changes),
        }
        what = f"validation accuracy with {precision}: mean change, absolute"
        yield row(f"gpu-accuracy-{precision}", what, [abs(detail["mean"])], "<= 0.005", "", **detail)
