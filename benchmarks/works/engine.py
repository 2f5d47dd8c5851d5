"""Training 80 networks with 80 losses: the population engine beside the plain loop and a DataLoader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from benchmarks.measuring import Measured, Row, Run, row, viable_losses
from benchmarks.peers import dataloader, plain
from glo.execution import Batch, local_executor, train
from glo.records import Training, TrainingConfig
from glo.tasks import load_task

NETWORKS, BATCH, CORES = 80, 100, 2
SQUARE = 2048  # rows and columns of the large matrices whose product shows the speed of the machine


def digits(run: Run) -> Iterator[Row]:
    """Network-steps per second on digits (64-64-10, batch 100), 80 losses, SGD."""
    networks, steps = (4, 20) if run.small else (NETWORKS, 300)
    task, losses = load_task("digits"), viable_losses(networks)
    config = TrainingConfig(steps=steps, batch_size=BATCH)
    work = [plain.Work(str(loss), 0.1, steps, BATCH, 0) for loss in losses]
    batch = Batch(task, config, [Training(loss, 0.1) for loss in losses], [0] * networks)
    executor, square = local_executor(), torch.randn(SQUARE, SQUARE)
    with plain.workers(task, CORES) as in_plain, plain.workers(task, CORES, dataloader.train) as in_dataloader:
        calls = {
            "glo": lambda: train(executor, batch),
            "plain": lambda: in_plain(work),
            "dataloader": lambda: in_dataloader(work),
            "square": lambda: square @ square,
        }
        measured = run.interleaved(calls, pairs=5)
    executor.close()
    total = networks * steps
    rates = {name: total / measured.wall(name) for name in ("glo", "plain", "dataloader")}
    detail = {"network_steps_per_second": rates, **measured.detail("glo", "plain", "dataloader")}
    what = f"digits network, {networks} losses, {steps} steps: glo vs"
    yield row("engine-plain", f"{what} the plain loop", measured.ratios("plain", "glo"), ">= 10", **detail)
    yield row("engine-dataloader", f"{what} a DataLoader", measured.ratios("dataloader", "glo"), ">= 20")
    # Forward, weight gradients and the gradient by the hidden layer; a multiplication and an addition are 2 operations.
    flops = 2 * BATCH * (2 * 64 * 64 + 3 * 64 * 10) * total
    over = [ratio * 2 * SQUARE**3 / flops for ratio in measured.ratios("glo", "square")]
    peak = 2 * SQUARE**3 / measured.wall("square") / 1e9
    what = "the same training over its matrix products at the speed of large square ones"
    yield row("floor-square", what, over, "<= 3", peak_gflops=peak)


def adamw(run: Run) -> Iterator[Row]:
    """Network-steps per second with AdamW on digits, 80 losses."""
    networks, steps = (4, 10) if run.small else (NETWORKS, 100)
    task, losses, rate = load_task("digits"), viable_losses(networks), 0.003
    config = TrainingConfig(steps=steps, batch_size=BATCH, optimizer="adamw", weight_decay=0.01)  # PyTorch's default
    work = [plain.Work(str(loss), rate, steps, BATCH, 0, "AdamW") for loss in losses]
    measured = beside_plain(run, Batch(task, config, [Training(loss, rate) for loss in losses], [0] * networks), work)
    what = f"the same losses with AdamW, {steps} steps: glo vs the plain loop"
    yield row("adamw", what, measured.ratios("plain", "glo"), ">= 5", **measured.detail())


def beside_plain(run: Run, batch: Batch, work: Sequence[plain.Work]) -> Measured:
    """The trainings of a batch in turn with the same ones by the plain loop."""
    executor = local_executor()
    with plain.workers(batch.task, CORES) as in_plain:
        calls = {"glo": lambda: train(executor, batch), "plain": lambda: in_plain(work)}
        measured = run.interleaved(calls, pairs=5)
    executor.close()
    return measured
