"""A regression: the identity link."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glo.tasks import Task

TRAIN, VALIDATION = 262, 90  # of 442; the other 90 are the test split


def load(split_seed: int = 0) -> Task:
    """Progression of diabetes from 10 features (scikit-learn), standardised; regression, R2, a 10-32-1 network."""
    import numpy as np
    from sklearn.datasets import load_diabetes

    from glo.records import generator
    from glo.tasks import Task
    from glo.tasks.models import mlp

    features, values = load_diabetes(return_X_y=True)
    order = generator(split_seed, "diabetes").permutation(len(values))
    data = np.column_stack([features[order], values[order]])
    data = ((data - data[:TRAIN].mean(0)) / data[:TRAIN].std(0)).astype(np.float32)
    parts = [slice(0, TRAIN), slice(TRAIN, TRAIN + VALIDATION), slice(TRAIN + VALIDATION, None)]
    train, validation, test = ((data[part, :-1], data[part, -1:]) for part in parts)
    return Task("diabetes", lambda: mlp(10, 32, 1), train, validation, test, link="identity", training={"batch_size": 50})
