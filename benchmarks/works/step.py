"""One step of the half of a population that one core trains: the share of the losses, and the floor of its products."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks.measuring import Call, Row, Run, row, viable_losses
from benchmarks.works.engine import BATCH, CORES, NETWORKS
from glo.execution.children import Died, Overdue, in_processes
from glo.loss import PopulationLoss
from glo.records import Training, TrainingConfig
from glo.tasks import load_task
from glo.training import train_population

INPUTS, HIDDEN, CLASSES = 64, 64, 10  # of the digits network


def step(run: Run) -> Iterator[Row]:
    """The time of a step on one thread beside that of its losses, and of its matrix products in their real shapes."""
    task, losses = load_task("digits"), viable_losses(4 if run.small else NETWORKS)[::CORES]
    steps = 10 if run.small else 300
    config = TrainingConfig(steps=steps, batch_size=BATCH)
    trainings = [Training(loss, 0.1) for loss in losses]
    population = PopulationLoss(losses)
    outputs, targets = torch.randn(len(losses), BATCH, CLASSES), torch.randint(0, CLASSES, (BATCH,))
    products = matrix_products(len(losses))
    calls = {
        "training": lambda: train_population(task, trainings, config, 0),
        "losses": lambda: [population.gradient(outputs, targets) for _ in range(steps)],
        "products": lambda: [products() for _ in range(steps)],
    }
    # In a process of one thread that keeps freed memory, like those that train.
    ((_, measured),) = in_processes(lambda _: run.interleaved(calls, pairs=15), [None], processes=1)
    if isinstance(measured, Died | Overdue):
        raise RuntimeError(f"the measurement has no result: {measured}")
    detail: Row = {"ms_per_step": {name: 1e3 * measured.wall(name) / steps for name in measured.spent}}
    what = f"share of the losses in a step ({len(losses)} networks, one thread)"
    yield row("losses-share", what, measured.ratios("losses", "training"), "<= 0.15", "%", **detail)
    what = f"a training ({len(losses)} networks, one thread) over its matrix products in their real shapes"
    yield row("floor-real", what, measured.ratios("training", "products"), "<= 1.8", **detail)


def matrix_products(networks: int) -> Call:
    """The five products of a step of that many digits networks, and nothing else: no biases, activations or updates."""
    inputs = torch.randn(INPUTS, BATCH)
    first, second = torch.randn(networks * HIDDEN, INPUTS), torch.randn(networks, CLASSES, HIDDEN)
    hidden, outputs = torch.empty(networks * HIDDEN, BATCH), torch.randn(networks, CLASSES, BATCH)
    of_hidden, of_first, of_second = torch.empty(networks, HIDDEN, BATCH), torch.empty_like(first), torch.empty_like(second)
    stacked, by_hidden = hidden.view(networks, HIDDEN, BATCH), of_hidden.view(-1, BATCH)

    def products() -> None:
        torch.mm(first, inputs, out=hidden)
        torch.bmm(second, stacked, out=outputs)
        torch.bmm(outputs, stacked.mT, out=of_second)
        torch.bmm(second.mT, outputs, out=of_hidden)
        torch.mm(by_hidden, inputs.T, out=of_first)

    return products
