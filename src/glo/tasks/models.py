"""Networks of the built-in tasks."""

from __future__ import annotations

from torch import nn


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Module:
    """One hidden layer of ReLU units: (N, inputs) -> (N, outputs)."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def paper_mnist_cnn() -> nn.Module:
    """The paper's MNIST network (section IV.A.1): (N, 1, 28, 28) -> (N, 10).

    "Same" padding, as in the TensorFlow network that the description matches: 7*7*64 features reach the 1024 units.
    """
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(7 * 7 * 64, 1024),
        nn.ReLU(),
        nn.Dropout(0.4),
        nn.Linear(1024, 10),
    )
