"""A small text model: a population with 80 losses, and the plain loop on the same losses, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from benchmarks.measuring import Row, Run, row, viable_losses
from benchmarks.peers import plain
from benchmarks.works.engine import BATCH, NETWORKS, beside_plain
from glo.execution import Batch
from glo.records import Training, TrainingConfig
from glo.tasks import Task

STEPS, RATE = 100, 0.1
VOCABULARY, TOKENS, WIDTH, CLASSES = 2000, 32, 64, 4


def text_model() -> nn.Module:
    """The mean of the embeddings of a text's tokens, and two linear layers."""
    bag = nn.EmbeddingBag(VOCABULARY, WIDTH, mode="mean")
    return nn.Sequential(bag, nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, CLASSES))


class TextModel(nn.Module):
    """The same as a class, as most people would write it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.hidden, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(relu(self.hidden(self.embedding(tokens).mean(1))))


MODELS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "text": ("a text model (`EmbeddingBag` of 2,000 tokens, two linear layers)", text_model),
    "text-class": ("the same model as a class, with `self.embedding(tokens).mean(1)` in its forward pass", TextModel),
}


def texts(model: Callable[[], nn.Module]) -> Task:
    """Random texts; the label is the sum of the first three tokens, modulo the classes."""
    tokens = torch.randint(VOCABULARY, (2000, TOKENS), generator=torch.Generator().manual_seed(0))
    labels = tokens[:, :3].sum(1) % CLASSES
    return Task("texts", model, train=(tokens[:1600], labels[:1600]), validation=(tokens[1600:], labels[1600:]))


def text(run: Run) -> Iterator[Row]:
    """Network-steps per second: a population beside the plain loop."""
    networks, steps = (4, 5) if run.small else (NETWORKS, STEPS)
    losses, config = viable_losses(networks), TrainingConfig(steps=steps, batch_size=BATCH)
    work = [plain.Work(str(loss), RATE, steps, BATCH, 0) for loss in losses]
    for name, (what, model) in MODELS.items():
        batch = Batch(texts(model), config, [Training(loss, RATE) for loss in losses], [0] * networks)
        measured = beside_plain(run, batch, work)
        ratios = measured.ratios("plain", "glo")
        yield row(name, f"{what}, {networks} losses: glo vs the plain loop", ratios, ">= 5", **measured.detail())
