"""Inputs that are whole numbers: token ids stay what they are, pixels become floating point."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from glo.errors import TaskError
from glo.expr import parse
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Task
from glo.training import train_population, train_single, trains_together

WORDS, LENGTH = 1000, 6


class Text(nn.Module):
    """The mean of embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.out = nn.Embedding(WORDS, 8), nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.embedding(tokens).mean(1))


def tokens(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sentences of a class have one of its words more often than chance."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    words = rng.integers(3, WORDS, (count, LENGTH))
    words[:, :3] = labels[:, None]
    return words.astype(np.int32), labels


def task(kind: type[nn.Module] = Text) -> Task:
    return Task("text", kind, tokens(120, 0), tokens(60, 1))


def test_the_ids_of_tokens_stay_integers_and_the_task_is_learned() -> None:
    text = task()
    assert text.train.inputs.dtype == torch.int64
    assert trains_together(text, "cpu")
    config = TrainingConfig(steps=60, batch_size=20)
    trainings = [Training(parse("x*log(y)"), rate) for rate in (1.0, 3.0)]
    results = train_population(text, trainings, config, seed=0)
    assert results == [train_single(text, training, config, seed=0) for training in trainings]
    best = results[1]
    assert isinstance(best, TrainingResult)
    assert best.validation > 0.9


def test_the_identity_of_a_task_with_tokens() -> None:
    assert task().digest() == task().digest()

    class Last(Text):
        def forward(self, tokens: Tensor) -> Tensor:
            return self.out(self.embedding(tokens)[:, -1])

    assert task(Last).digest() != task().digest()


def test_whole_numbers_of_layers_in_floating_point_become_float32() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 4)).astype(np.uint8), np.arange(20) % 2
    linear = Task("pixels", lambda: nn.Linear(4, 2), pixels, pixels)
    assert linear.train.inputs.dtype == torch.float32
    assert torch.equal(linear.train.inputs, torch.tensor(pixels[0]).float())
    # if one split has floating point, all have
    mixed = Task("mixed", lambda: nn.Linear(4, 2), pixels, (pixels[0].astype(float), pixels[1]))
    assert mixed.train.inputs.dtype == torch.float32
    flags = Task("flags", lambda: nn.Linear(4, 2), (pixels[0] > 100, pixels[1]), pixels)
    assert flags.train.inputs.dtype == torch.float32


def test_a_dataset_of_tokens() -> None:
    words, labels = tokens(30, 0)
    data = TensorDataset(torch.tensor(words), torch.tensor(labels))
    assert Task("text", Text, data, data).train.inputs.dtype == torch.int64


class Mixed(torch.utils.data.Dataset[tuple[Tensor, int]]):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return (torch.tensor([1, 2]), 0) if index == 0 else (torch.tensor([1.5, 2.0]), 1)


def test_a_dataset_of_both_is_refused() -> None:
    with pytest.raises(TaskError, match="whole numbers in item 0 and floating point in item 1"):
        Task("mixed", lambda: nn.Linear(2, 2), Mixed(), Mixed())


def test_ids_beyond_the_vocabulary_are_an_error_of_the_model() -> None:
    words, labels = tokens(30, 0)
    with pytest.raises(TaskError, match="the model fails on inputs"):
        Task("text", Text, (words + WORDS, labels), (words + WORDS, labels))


def test_rounding_is_said(caplog: pytest.LogCaptureFixture) -> None:
    large = np.array([[2**24 + 1, 0], [1, 2]]), np.array([0, 1])
    Task("large", lambda: nn.Linear(2, 2), large, large)
    assert "inputs above 2**24 are rounded to float32" in caplog.text
