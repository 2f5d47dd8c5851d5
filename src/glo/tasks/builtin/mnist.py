"""MNIST with the paper's network and split (section IV.A.1)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from glo.tasks import Task

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# sha256 of the decompressed files.
FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
SIZES = {  # in bytes, of the decompressed files
    "train-images-idx3-ubyte": 47_040_016,
    "train-labels-idx1-ubyte": 60_008,
    "t10k-images-idx3-ubyte": 7_840_016,
    "t10k-labels-idx1-ubyte": 10_008,
}
TRAIN = 55_000  # the paper's 55,000 / 5,000 / 10,000


def load(data_dir: str | Path | None = None) -> Task:
    """28x28 handwritten digits, ten classes, the paper's CNN and 55,000/5,000/10,000 split (needs 11 MB of files)."""
    from glo.tasks import Task
    from glo.tasks.data import find_file, read_idx
    from glo.tasks.models import paper_mnist_cnn

    arrays = {
        name: read_idx(find_file("mnist", name, sha256, SIZES[name], URL, data_dir), name) for name, sha256 in FILES.items()
    }
    images, labels = arrays["train-images-idx3-ubyte"], arrays["train-labels-idx1-ubyte"]
    train = _scaled(images[:TRAIN], labels[:TRAIN])
    validation = _scaled(images[TRAIN:], labels[TRAIN:])
    test = _scaled(arrays["t10k-images-idx3-ubyte"], arrays["t10k-labels-idx1-ubyte"])
    return Task(
        "mnist", paper_mnist_cnn, train, validation, test, training={"steps": 2000},
        description="the official images and labels; the sha256 of their content was checked",
    )  # fmt: skip


def _scaled(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Pixels from 0 to 1 with a channel dimension, and class indices."""
    import numpy as np

    return images[:, None].astype(np.float32) / np.float32(255), labels.astype(np.int64)
