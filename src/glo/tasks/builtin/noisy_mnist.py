"""MNIST with wrong labels in the training split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from glo.tasks.builtin import mnist

if TYPE_CHECKING:
    from glo.tasks import Task


def load(noise: float = 0.4, noise_seed: int = 0, data_dir: str | Path | None = None) -> Task:
    """MNIST with 40 % of the training labels wrong (symmetric noise); validation and test are clean."""
    from glo.tasks import with_label_noise

    return replace(with_label_noise(mnist.load(data_dir), noise, noise_seed), name="noisy-mnist")
