"""A small text model: a population with 80 losses, and the plain loop on the same losses, one after the other."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.measuring import Row, median_seconds, row, viable_losses
from benchmarks.peers import plain
from glo.execution import Batch, local_executor, train
from glo.records import Training, TrainingConfig
from glo.tasks import Task

NETWORKS, BATCH, CORES, STEPS, RATE = 80, 100, 2, 100, 0.1
VOCABULARY, TOKENS, WIDTH, CLASSES = 2000, 32, 64, 4


def text_model() -> nn.Module:
    """The mean of the embeddings of a text's tokens, and two linear layers."""
    bag = nn.EmbeddingBag(VOCABULARY, WIDTH, mode="mean")
    return nn.Sequential(bag, nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, CLASSES))


def texts() -> Task:
    """Random texts; the label is the sum of the first three tokens, modulo the classes."""
    tokens = torch.randint(VOCABULARY, (2000, TOKENS), generator=torch.Generator().manual_seed(0))
    labels = tokens[:, :3].sum(1) % CLASSES
    return Task("texts", text_model, train=(tokens[:1600], labels[:1600]), validation=(tokens[1600:], labels[1600:]))


def text(repeats: int) -> list[Row]:
    """Network-steps per second: a population against the plain loop."""
    task, losses = texts(), viable_losses(NETWORKS)
    work = [plain.Work(str(loss), RATE, STEPS, BATCH, 0) for loss in losses]
    config = TrainingConfig(steps=STEPS, batch_size=BATCH)
    batch = Batch(task, config, [Training(loss, RATE) for loss in losses], [0] * NETWORKS)
    executor = local_executor()
    with plain.workers(task, CORES) as in_plain:
        calls = {"population": lambda: train(executor, batch), "plain": lambda: in_plain(work)}
        times = median_seconds(calls, repeats)
    rates = {name: NETWORKS * STEPS / seconds for name, seconds in times.items()}
    return [row("text model, network-steps/s: population vs plain", rates["population"] / rates["plain"], ">= 5", rates)]
