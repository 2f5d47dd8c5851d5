"""Benchmarks on a GPU: 80 MNIST networks as a population and one by one, and the effect of reduced precision."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import torch

from benchmarks.measuring import Row, median_seconds, row, viable_losses
from benchmarks.peers import graphed, plain
from glo.records import Training, TrainingConfig
from glo.tasks import load_task
from glo.training import train_population
from glo.training.precision import matmul_precision

NETWORKS, BATCH, RATE = 80, 100, 0.01
Precision = Literal["float32", "tf32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ONE_BY_ONE = 4  # networks that are trained one by one, as a sample of all


def gpu(repeats: int) -> list[Row]:
    """The rows of both benchmarks; none without a GPU."""
    if not torch.cuda.is_available():
        print("gpu: skipped, PyTorch finds no GPU")
        return []
    return [*networks(repeats), *accuracy()]


def networks(repeats: int) -> list[Row]:
    """Network-steps per second of the paper's MNIST network: a population of 80 losses, one by one, and as CUDA graphs.

    Each is measured in three precisions; the peers use autocast for bfloat16.  The rate is that of the steps between a
    short and a long training, so that the time to start does not count.
    """
    task, losses, short, long = load_task("mnist"), viable_losses(NETWORKS), 20, 220

    def population(precision: Precision, steps: int) -> None:
        config = TrainingConfig(steps=steps, batch_size=BATCH, precision=precision)
        train_population(task, [Training(loss, RATE) for loss in losses], config, 0, "cuda")

    def one_by_one(train: Callable[[plain.Work], float], precision: Precision, steps: int) -> None:
        config = TrainingConfig(precision=precision)
        bfloat16 = precision == "bfloat16"
        with matmul_precision(config), torch.autocast("cuda", torch.bfloat16, enabled=bfloat16, cache_enabled=False):
            for loss in losses[:: NETWORKS // ONE_BY_ONE]:
                train(plain.Work(str(loss), RATE, steps, BATCH, 0))

    methods: dict[str, tuple[Callable[..., None], int]] = {
        "together": (population, NETWORKS),
        "eager": (partial(one_by_one, partial(plain.train, task, device="cuda")), ONE_BY_ONE),
        "graph": (partial(one_by_one, partial(graphed.train, task)), ONE_BY_ONE),
    }
    calls: dict[str, Callable[[], Any]] = {
        f"{method} {precision} {steps}": partial(call, precision, steps)
        for method, (call, _) in methods.items()
        for precision in PRECISIONS
        for steps in (short, long)
    }
    times = median_seconds(calls, repeats)
    rates = {
        f"{method} {p}": count * (long - short) / (times[f"{method} {p} {long}"] - times[f"{method} {p} {short}"])
        for method, (_, count) in methods.items()
        for p in PRECISIONS
    }
    faster = {(method, p): rates[f"together {p}"] / rates[f"{method} {p}"] for method in methods for p in PRECISIONS}
    detail = {"device": torch.cuda.get_device_name(), "network_steps_per_second": rates}
    return [
        row(f"{NETWORKS} MNIST networks on a GPU, {p}: together vs {method}", faster[method, p], goal, detail)
        for method, goal in (("eager", ">= 15"), ("graph", ">= 3"))
        for p in PRECISIONS
    ]


def accuracy() -> list[Row]:
    """The change of validation accuracy in reduced precision: 80 losses, two seeds, 300 steps."""
    task, losses = load_task("mnist"), viable_losses(NETWORKS)

    def accuracies(precision: Precision) -> list[float]:
        config = TrainingConfig(steps=300, batch_size=BATCH, precision=precision)
        trainings = [Training(loss, RATE) for loss in losses]
        return [r.validation for seed in (0, 1) for r in train_population(task, trainings, config, seed, "cuda")]

    float32, rows = accuracies("float32"), list[Row]()
    for precision in PRECISIONS[1:]:
        changes = [reduced - full for reduced, full in zip(accuracies(precision), float32, strict=True)]
        error = statistics.stdev(changes) / len(changes) ** 0.5
        largest = max(map(abs, changes))
        detail = {"mean": statistics.mean(changes), "standard_error": error, "largest": largest, "n": len(changes)}
        rows.append(row(f"accuracy with {precision}: mean change, absolute", abs(detail["mean"]), "<= 0.005", detail))
    return rows
