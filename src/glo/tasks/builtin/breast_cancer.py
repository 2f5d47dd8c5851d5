"""A yes-no question: the sigmoid link."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glo.tasks import Task

TRAIN, VALIDATION = 300, 134  # of 569; the other 135 are the test split


def load(split_seed: int = 0) -> Task:
    """Benign or malignant from 30 features (scikit-learn), one sigmoid output, a 30-32-1 network."""
    import numpy as np
    from sklearn.datasets import load_breast_cancer

    from glo.records import generator
    from glo.tasks import Task
    from glo.tasks.models import mlp

    features, labels = map(np.asarray, load_breast_cancer(return_X_y=True))
    order = generator(split_seed, "breast-cancer").permutation(len(labels))
    inputs, targets = features[order], labels[order].astype(np.float32)
    inputs = ((inputs - inputs[:TRAIN].mean(0)) / inputs[:TRAIN].std(0)).astype(np.float32)
    parts = [slice(0, TRAIN), slice(TRAIN, TRAIN + VALIDATION), slice(TRAIN + VALIDATION, None)]
    train, validation, test = ((inputs[part], targets[part]) for part in parts)
    return Task(
        "breast-cancer", lambda: mlp(30, 32, 1), train, validation, test, link="sigmoid", training={"batch_size": 50}
    )
