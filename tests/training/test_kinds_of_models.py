"""Which kinds of models are trained as a population, as docs/guide/training.md says, and that they agree with the oracle."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from glo.expr import parse
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Task
from glo.training import train_population, train_single, trains_together

GENERATOR = torch.Generator().manual_seed(0)
VALUES, TOKENS = torch.randn(60, 12, generator=GENERATOR), torch.randint(50, (60, 6), generator=GENERATOR)
LABELS = (VALUES[:, 0] > 0).long() + (VALUES[:, 1] > 0).long()
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "training.md"


class Text(nn.Module):
    """An embedding, perhaps a layer over the sequence, and a linear layer on the mean."""

    def __init__(self, layer: nn.Module | None = None) -> None:
        super().__init__()
        self.embedding, self.layer, self.out = nn.Embedding(50, 8), layer, nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.embedding(tokens)
        if self.layer is not None:
            hidden = self.layer(hidden)
        return self.out((hidden[0] if isinstance(hidden, tuple) else hidden).mean(1))


def dense(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8), *layers, nn.ReLU(), nn.Linear(8, 3))


def attention() -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)


KINDS: dict[str, tuple[Tensor, Callable[[], nn.Module]]] = {
    "Linear and activations": (VALUES, dense),
    "Dropout": (VALUES, lambda: dense(nn.Dropout(0.2))),
    "LayerNorm": (VALUES, lambda: dense(nn.LayerNorm(8))),
    "BatchNorm": (VALUES, lambda: dense(nn.BatchNorm1d(8))),
    "Embedding": (TOKENS, Text),
    "TransformerEncoderLayer": (TOKENS, lambda: Text(attention())),
    "LSTM": (TOKENS, lambda: Text(nn.LSTM(8, 8, batch_first=True))),
    "GRU": (TOKENS, lambda: Text(nn.GRU(8, 8, batch_first=True))),
    "convolutions": (VALUES.reshape(60, 1, 3, 4), lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(4, 3))),
}


def in_the_guide(kind: str) -> bool:
    """Whether the guide says that this kind is trained together on a CPU."""
    (line,) = [line for line in GUIDE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {kind} |")]
    answer = line.split("|")[2].strip()
    assert answer in ("together", "one by one")
    return answer == "together"


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_trained_as_the_guide_says(kind: str) -> None:
    inputs, model = KINDS[kind]
    task = Task("kind", model, (inputs, LABELS), (inputs, LABELS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # PyTorch's, of a batching rule that it lacks
        together = trains_together(task, "cpu")
        assert together is in_the_guide(kind)
        if not together:
            return
        config = TrainingConfig(steps=30, batch_size=20)
        trainings = [Training(parse(text), 0.3) for text in ("x*log(y)", "x*y")]
        for found, training in zip(train_population(task, trainings, config, seed=0), trainings, strict=True):
            alone = train_single(task, training, config, seed=0)
            assert isinstance(found, TrainingResult)
            assert found.validation == pytest.approx(alone.validation, abs=2 / 60)
