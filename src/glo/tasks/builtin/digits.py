"""The digits that scikit-learn ships: 1,797 images of 8x8 pixels, ten classes; no download."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glo.tasks import Task

TRAIN, VALIDATION = 1000, 397  # of 1,797; the other 400 are the test split


def load(split_seed: int = 0) -> Task:
    """8x8 handwritten digits (scikit-learn), ten classes, a 64-64-10 network."""
    return make_digits("digits", noise=0.0, split_seed=split_seed)


def make_digits(name: str, noise: float, split_seed: int) -> Task:
    """Digits with a fraction `noise` of the training labels replaced by another class, chosen uniformly."""
    import numpy as np
    from sklearn.datasets import load_digits

    from glo.records import generator
    from glo.tasks import Task
    from glo.tasks.models import mlp

    images, labels = load_digits(return_X_y=True)
    rng = generator(split_seed, "digits")
    order = rng.permutation(len(labels))
    inputs, targets = (images[order] / 16).astype(np.float32), labels[order].astype(np.int64)
    parts = [slice(0, TRAIN), slice(TRAIN, TRAIN + VALIDATION), slice(TRAIN + VALIDATION, None)]
    train, validation, test = ((inputs[part], targets[part].copy()) for part in parts)
    wrong = rng.permutation(TRAIN)[: round(noise * TRAIN)]
    train[1][wrong] = (train[1][wrong] + rng.integers(1, 10, len(wrong))) % 10
    return Task(
        name,
        model=lambda: mlp(64, 64, 10),
        train=train,
        validation=validation,
        test=test,
        training={"steps": 600 if noise else 300},
    )
