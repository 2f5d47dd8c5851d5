"""Which kinds of models are trained as a population, as docs/guide/training.md says, and that they agree with the oracle."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


class Residual(nn.Module):
    """Uses a value twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(12, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, values: Tensor) -> Tensor:
        hidden = self.first(values).relu()
        return self.out(hidden + self.second(hidden).relu())


def dense(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8), *layers, nn.ReLU(), nn.Linear(8, 3))


def bag_of_tokens(**options: Any) -> nn.Module:
    return nn.Sequential(nn.EmbeddingBag(50, 8, **options), nn.Linear(8, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))


def attention() -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)


KINDS: dict[str, tuple[Tensor, Callable[[], nn.Module]]] = {
    "Linear and activations": (VALUES, dense),
    "Dropout": (VALUES, lambda: dense(nn.Dropout(0.2))),
    "LayerNorm": (VALUES, lambda: dense(nn.LayerNorm(8))),
    "BatchNorm": (VALUES, lambda: dense(nn.BatchNorm1d(8))),
    "Embedding": (TOKENS, Text),
    "EmbeddingBag": (TOKENS, lambda: bag_of_tokens(padding_idx=7)),
    "values that are added or used twice": (VALUES, Residual),
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


BAGS: dict[str, Callable[[], nn.Module]] = {
    "mean": bag_of_tokens,
    "sum": lambda: bag_of_tokens(mode="sum"),
    "padding": lambda: bag_of_tokens(padding_idx=7),
    "bag alone": lambda: nn.Sequential(nn.EmbeddingBag(50, 3, mode="sum", padding_idx=0)),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum and decay": {"momentum": 0.9, "weight_decay": 0.01},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "adam": {"optimizer": "adam", "weight_decay": 0.01},
    "clipped": {"optimizer": "adamw", "weight_decay": 0.01, "clip_norm": 0.5},
    "early stop": {"early_stop": 0.3},
    "bfloat16": {"precision": "bfloat16"},
}
TOKENS_ARE_REPEATED = TOKENS % 9  # a token is often several times in a text


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("bag", BAGS)
def test_an_embedding_bag_agrees_with_the_oracle(bag: str, settings: str) -> None:
    inputs = TOKENS_ARE_REPEATED
    labels = inputs[:, :2].sum(1) % 3
    stops = "early_stop" in SETTINGS[settings]
    task = Task("bag", BAGS[bag], (inputs, labels), (inputs, labels), metric="accuracy" if stops else "log_loss")
    config = TrainingConfig(steps=20, batch_size=20, **SETTINGS[settings])
    rate = 0.01 if config.optimizer != "sgd" else 0.1
    trainings = [Training(parse(text), rate) for text in ("x*log(y)", "-x*log(y)", "x*y")]
    found = train_population(task, trainings, config, seed=0)
    alone = [train_single(task, training, config, seed=0) for training in trainings]
    tolerance = 0.02 if settings == "bfloat16" else 1e-4
    for together, single in zip(found, alone, strict=True):
        assert (together.stopped, together.diverged) == (single.stopped, single.diverged)
        assert together.validation == pytest.approx(single.validation, rel=tolerance)
    assert len({result.validation for result in found}) > 1
    assert any(result.stopped for result in found) is stops
