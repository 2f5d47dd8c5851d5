"""On a GPU: 80 MNIST networks together and one after the other, and what less precision changes."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import torch

from benchmarks.measuring import Row, in_turn, row, viable_losses
from benchmarks.peers import graphed, plain
from glo.records import TrainingConfig
from glo.tasks import load_task
from glo.training import Training, train_population
from glo.training.steps import products

NETWORKS, BATCH, RATE = 80, 100, 0.01
Precision = Literal["float32", "tf32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ALONE = 4  # networks that are trained one after the other, in place of all


def gpu(repeats: int) -> list[Row]:
    """The rows of both, where there is a GPU."""
    if not torch.cuda.is_available():
        print("gpu: left out, PyTorch sees no GPU here")
        return []
    return [*networks(repeats), *accuracy()]


def networks(repeats: int) -> list[Row]:
    """Network-steps per second of the paper's MNIST network, 80 losses: together, alone, and alone as a CUDA graph.

    Each in three precisions; the peers' bfloat16 is autocast's.  The time of a start, which is that of a training of
    hardly any steps, is taken off on both sides.
    """
    task, losses, short, long = load_task("mnist"), viable_losses(NETWORKS), 20, 220

    def together(precision: Precision, steps: int) -> None:
        config = TrainingConfig(steps=steps, batch_size=BATCH, precision=precision)
        train_population(task, [Training(loss, RATE) for loss in losses], config, 0, "cuda")

    def alone(train: Callable[[plain.Work], float], precision: Precision, steps: int) -> None:
        config = TrainingConfig(precision=precision)
        narrow = precision == "bfloat16"
        with products(config), torch.autocast("cuda", torch.bfloat16, enabled=narrow, cache_enabled=False):
            for loss in losses[:: NETWORKS // ALONE]:
                train(plain.Work(str(loss), RATE, steps, BATCH, 0))

    ways: dict[str, tuple[Callable[..., None], int]] = {
        "together": (together, NETWORKS),
        "eager": (partial(alone, partial(plain.train, task, device="cuda")), ALONE),
        "graph": (partial(alone, partial(graphed.train, task)), ALONE),
    }
    works: dict[str, Callable[[], Any]] = {
        f"{way} {precision} {steps}": partial(work, precision, steps)
        for way, (work, _) in ways.items()
        for precision in PRECISIONS
        for steps in (short, long)
    }
    times = in_turn(works, repeats)
    rates = {
        f"{way} {p}": count * (long - short) / (times[f"{way} {p} {long}"] - times[f"{way} {p} {short}"])
        for way, (_, count) in ways.items()
        for p in PRECISIONS
    }
    faster = {(way, p): rates[f"together {p}"] / rates[f"{way} {p}"] for way in ways for p in PRECISIONS}
    detail = {"device": torch.cuda.get_device_name(), "network_steps_per_second": rates}
    return [
        row(f"{NETWORKS} MNIST networks on a GPU, {p}: together vs {way}", faster[way, p], goal, detail)
        for way, goal in (("eager", ">= 15"), ("graph", ">= 3"))
        for p in PRECISIONS
    ]


def accuracy() -> list[Row]:
    """By how much validation accuracies change with less precision: 80 losses, two seeds, 300 steps."""
    task, losses = load_task("mnist"), viable_losses(NETWORKS)

    def accuracies(precision: Precision) -> list[float]:
        config = TrainingConfig(steps=300, batch_size=BATCH, precision=precision)
        trainings = [Training(loss, RATE) for loss in losses]
        return [r.validation for seed in (0, 1) for r in train_population(task, trainings, config, seed, "cuda")]

    wide, rows = accuracies("float32"), list[Row]()
    for narrow in PRECISIONS[1:]:
        changes = [there - here for there, here in zip(accuracies(narrow), wide, strict=True)]
        error = statistics.stdev(changes) / len(changes) ** 0.5
        largest = max(map(abs, changes))
        detail = {"mean": statistics.mean(changes), "standard_error": error, "largest": largest, "n": len(changes)}
        rows.append(row(f"accuracy with {narrow}: mean change, absolute", abs(detail["mean"]), "<= 0.005", detail))
    return rows
