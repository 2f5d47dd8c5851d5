"""CIFAR-10 with the paper's network and augmentation (section IV.A.2)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from glo.tasks import Task

TRAIN = 45_000  # the paper names no validation split, so the last 5,000 training images are one
DECAY = 350 * 50_000 // 1024  # steps in 350 epochs of the paper's 50,000 images in batches of 1,024


def load(data_dir: str | Path | None = None) -> Task:
    """Small colour photographs, ten classes, the paper's AlexNet-like network with augmentation (needs 170 MB of files)."""
    from glo.tasks import Task
    from glo.tasks.cifar import load_images
    from glo.tasks.models import paper_cifar_cnn

    images = load_images(data_dir)
    pixels, labels = images.train
    return Task(
        "cifar10",
        paper_cifar_cnn,
        _scaled(pixels[:TRAIN], labels[:TRAIN]),
        _scaled(pixels[TRAIN:], labels[TRAIN:]),
        _scaled(*images.test),
        training={
            "steps": 2000,
            "batch_size": 1024,
            "learning_rates": [0.05],
            "weight_decay": 0.004,
            "schedule": [[DECAY, 0.1], [2 * DECAY, 0.1]],
        },
        description=f"from {images.source}",
    )


def _scaled(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Pixels from 0 to 1, and class indices."""
    import numpy as np

    return images.astype(np.float32) / np.float32(255), labels.astype(np.int64)
