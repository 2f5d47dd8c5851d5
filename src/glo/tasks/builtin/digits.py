"""The digits that scikit-learn ships: 1,797 images of 8x8 pixels, ten classes; no download."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from glo.tasks import Task

TRAIN, VALIDATION = 1000, 397  # of 1,797; the other 400 are the test split


def load(split_seed: int = 0) -> Task:
    """8x8 handwritten digits (scikit-learn), ten classes, a 64-64-10 network."""
    return make_digits("digits", noise=0.0, split_seed=split_seed)


def make_digits(name: str, noise: float, split_seed: int) -> Task:
    """Digits with a fraction `noise` of the training labels replaced by another class, chosen uniformly."""
    import numpy as np

    from glo.records import generator
    from glo.tasks import Task
    from glo.tasks.models import mlp

    images, labels = images_and_labels()
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


def images_and_labels() -> tuple[np.ndarray, np.ndarray]:
    """Pixels from 0 to 16, shape (1797, 64), and labels, shape (1797).

    They are read from the file of scikit-learn: to import scikit-learn takes as long as a small search.
    """
    import importlib.util
    from pathlib import Path

    import numpy as np

    found = importlib.util.find_spec("sklearn")
    folders = [] if found is None else found.submodule_search_locations or []
    for folder in folders:
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    loaded: Any = load_digits(return_X_y=True)
    return loaded
