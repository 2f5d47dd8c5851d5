"""The memory of a population of 2,000 networks, measured in a process of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.measuring import Row, Run, row, viable_losses
from benchmarks.works.engine import BATCH
from glo.expr import parse
from glo.records import Training, TrainingConfig
from glo.tasks import Task, fresh_model, load_task
from glo.training import train_population
from glo.training.memory import PER_THREAD

NETWORKS, LOSSES, STEPS = 2000, 80, 5
MEMORY_MB = 16_000  # so that no limit of the memory makes the chunks smaller
RESET_PEAK = "5"  # proc(5), /proc/pid/clear_refs


def memory(run: Run) -> Iterator[Row]:
    """The memory for each network, its parameters and all, over that of the activations of a batch.

    The networks are trained in chunks, one after the other, so parameters and activations of a chunk exist at a time.
    """
    if not Path("/proc/self/clear_refs").exists():
        run.report("skipped: only Linux says how much memory a process had at most")
        return
    networks = 200 if run.small else NETWORKS
    task = load_task("digits")
    context = multiprocessing.get_context("spawn")
    activations = 4 * BATCH * numbers_per_sample(task)
    texts = [str(loss) for loss in viable_losses(4 if run.small else LOSSES)]
    ratios: dict[str, list[float]] = {"whole": [], "steps": []}
    for number in range(run.pairs or 5):
        for name, measured in (("whole", None), ("steps", 10)):
            run.report(f"round {number + 1}: {name}")
            with context.Pool(1) as pool:
                peak = pool.apply(peak_bytes, (texts, networks, measured))
            ratios[name].append(peak / networks / activations)
    detail: Row = {
        "networks": networks,
        "networks_in_a_chunk": min(networks, PER_THREAD),
        "activation_bytes": activations,
        "validation_samples": len(task.split("validation")),
    }
    what = f"memory of {networks:,} networks, parameters and all, over the activations of a batch:"
    yield row("memory-steps", f"{what} the steps", ratios["steps"], "<= 1.2", **detail)
    yield row("memory-whole", f"{what} with the measurement on validation", ratios["whole"], **detail)


def peak_bytes(losses: list[str], networks: int, validation: int | None) -> int:
    """The bytes that a population has at most while it is trained, beyond what the process has before."""
    torch.set_num_threads(1)
    task = load_task("digits")
    if validation is not None:
        task = with_validation_of(task, validation)
    config = TrainingConfig(steps=STEPS, batch_size=BATCH, memory_mb=MEMORY_MB)
    expressions = [parse(text) for text in losses]
    rates = [0.01 * 1.1**number for number in range(-(-networks // len(losses)))]
    trainings = [Training(expression, rate) for rate in rates for expression in expressions][:networks]
    train_population(task, trainings[:4], config, 0)  # what the first population of a process imports and keeps
    Path("/proc/self/clear_refs").write_text(RESET_PEAK, encoding="ascii")
    before = status("VmRSS")
    train_population(task, trainings, config, 0)
    return status("VmHWM") - before


def status(name: str) -> int:
    """A number of bytes in /proc/self/status."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def with_validation_of(task: Task, samples: int) -> Task:
    """The task with only the first samples of its validation split."""
    split = task.split("validation")
    return replace(task, validation=(split.inputs[:samples], split.targets[:samples]))


def numbers_per_sample(task: Task) -> int:
    """How many numbers the modules of a network return for one sample."""
    model, counts = fresh_model(task, 0), list[int]()
    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda module, inputs, output: counts.append(output.numel()))
    with torch.no_grad():
        model(task.split("train").inputs[:1])
    return sum(counts)
