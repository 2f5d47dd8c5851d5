"""The ten problems: a few thousand samples and one hidden layer each, so that two cores need two minutes for one.

MNIST's and CIFAR-10's images are made smaller by averaging pixels (`Size`), and CIFAR-10's go to a network without
convolutions: the suite compares losses, not networks.  Wrong labels are in the training split only, unless a problem says
otherwise; the data is the same for every seed of a search.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import avg_pool2d

from benchmarks.evidence.noise import SIMILAR_DIGITS, SIMILAR_OBJECTS, asymmetric, instance_dependent
from benchmarks.evidence.sizes import Size
from glo.records import generator
from glo.tasks import Task, load_task, with_label_noise, with_long_tail
from glo.tasks.models import mlp

Folder = str | Path | None
Arrays = tuple[NDArray[Any], NDArray[Any]]
CLASSES = 10


@dataclass(frozen=True)
class Problem:
    """One problem of the suite.

    Attributes:
        name: on the command line and in tables.
        what: one line: what it is, and where the data is from.
        make: the task at a size, with its files in a folder.
        settings: of the search, beyond the defaults, as `--set` takes them.
    """

    name: str
    what: str
    make: Callable[[Size, Folder], Task]
    settings: tuple[str, ...] = ()


@functools.cache
def _images(name: str, side: int, data_dir: Folder) -> tuple[dict[str, Arrays], str]:
    """The splits of MNIST or CIFAR-10 as rows of averaged pixels, and where the files are from."""
    task = load_task(name, data_dir=data_dir)
    found: dict[str, Arrays] = {}
    for split, data in task.splits.items():
        pixels, labels = _arrays(data)
        pooled = avg_pool2d(torch.from_numpy(pixels), pixels.shape[-1] // side)
        found[split] = pooled.flatten(1).numpy(), labels
    return found, task.description


def _task(name: str, parts: dict[str, Arrays], hidden: int, outputs: int, **options: Any) -> Task:
    features = parts["train"][0].shape[1]
    return Task(name, lambda: mlp(features, hidden, outputs), parts["train"], parts["validation"], parts["test"], **options)


def _of_images(data: str, size: Size, data_dir: Folder, count: int | None = None, metric: str = "accuracy") -> Task:
    """The first images of each split, with the labels as they are."""
    side = size.mnist if data == "mnist" else size.cifar
    images, source = _images(data, side, data_dir)
    counts = {"train": count or size.images, "validation": size.validation, "test": size.test}
    parts = {split: (inputs[: counts[split]], labels[: counts[split]]) for split, (inputs, labels) in images.items()}
    return _task(
        data, parts, size.hidden, CLASSES, training=size.training, metric=metric, description=f"{side}x{side}, {source}"
    )


def _relabelled(task: Task, change: Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.int64]]) -> Task:
    """The task with other training labels."""
    inputs, labels = _arrays(task.train)
    return replace(task, train=(inputs, change(inputs, labels)))


def symmetric_20(size: Size, data_dir: Folder) -> Task:
    return with_label_noise(_of_images("mnist", size, data_dir), 0.2)


def symmetric_40(size: Size, data_dir: Folder) -> Task:
    task = load_task("noisy-digits", {"noise": 0.4})
    return replace(task, training=size.training)


def asymmetric_20(size: Size, data_dir: Folder) -> Task:
    rng = generator(0, "asymmetric-20")
    return _relabelled(_of_images("cifar10", size, data_dir), lambda _, y: asymmetric(y, SIMILAR_OBJECTS, 0.2, rng))


def asymmetric_40(size: Size, data_dir: Folder) -> Task:
    rng = generator(0, "asymmetric-40")
    return _relabelled(_of_images("mnist", size, data_dir), lambda _, y: asymmetric(y, SIMILAR_DIGITS, 0.4, rng))


def instance_40(size: Size, data_dir: Folder) -> Task:
    rng = generator(0, "instance-40")
    task = _of_images("cifar10", size, data_dir)
    return _relabelled(task, lambda x, y: instance_dependent(x, y, 0.4, CLASSES, rng))


def noisy_validation(size: Size, data_dir: Folder) -> Task:
    rng = generator(0, "noisy-validation")
    task, kept = _of_images("mnist", size, data_dir), size.images
    both = [np.concatenate(pair) for pair in zip(_arrays(task.train), _arrays(task.validation), strict=True)]
    labels = instance_dependent(both[0], both[1], 0.2, CLASSES, rng)
    return replace(task, train=(both[0][:kept], labels[:kept]), validation=(both[0][kept:], labels[kept:]))


def _arrays(split: Any) -> Arrays:
    """Inputs and targets of a split in memory."""
    return split.inputs.numpy(), split.targets.numpy()


def long_tail(size: Size, data_dir: Folder) -> Task:
    return with_long_tail(_of_images("mnist", size, data_dir, count=size.tail, metric="balanced_accuracy"), 100)


def few_samples(size: Size, data_dir: Folder) -> Task:
    return _of_images("mnist", size, data_dir, count=200)


def outliers(size: Size, data_dir: Folder) -> Task:
    from sklearn.datasets import make_friedman1

    rng = generator(0, "outliers")
    counts = _counts(size)
    inputs, values = make_friedman1(sum(counts), noise=1.0, random_state=0)
    parts = _parts(inputs, (values - values.mean()) / values.std(), counts)
    train = parts["train"][1]
    wrong = rng.permutation(len(train))[: len(train) // 10]
    train[wrong] += rng.choice(np.array([-10, 10], np.float32), (len(wrong), 1))
    return _task(
        "outliers", parts, size.hidden, 1, link="identity", metric="rmse", training=size.training, description="generated"
    )


def imbalanced(size: Size, data_dir: Folder) -> Task:
    from sklearn.datasets import make_classification

    counts = _counts(size)
    inputs, labels = make_classification(
        sum(counts), n_features=20, n_informative=8, n_clusters_per_class=3, weights=[0.95], flip_y=0.01, class_sep=1.0,
        random_state=0,
    )  # fmt: skip
    parts = _parts(np.asarray(inputs), np.asarray(labels), counts)
    return _task(
        "imbalanced", parts, size.hidden, 1, link="sigmoid", metric="average_precision", training=size.training,
        description="generated",
    )  # fmt: skip


def _counts(size: Size) -> tuple[int, int, int]:
    """Rows of each split of generated data."""
    return size.rows, size.rows, 2 * size.rows


def _parts(inputs: NDArray[Any], targets: NDArray[Any], counts: tuple[int, int, int]) -> dict[str, Arrays]:
    """Generated rows as splits, the inputs standardised."""
    ends = np.cumsum(counts)
    standard = ((inputs - inputs.mean(0)) / inputs.std(0)).astype(np.float32)
    column = targets.astype(np.float32)[:, None]
    cuts = zip(("train", "validation", "test"), ends - counts, ends, strict=True)
    return {name: (standard[start:end], column[start:end].copy()) for name, start, end in cuts}


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem("symmetric-20", "MNIST, 20 % of the training labels replaced by any other class", symmetric_20),
        Problem("symmetric-40", "scikit-learn's digits, 40 % of the training labels replaced: noisy-digits", symmetric_40),
        Problem("asymmetric-20", "CIFAR-10, 20 % of five classes have the label of a similar one", asymmetric_20),
        Problem("asymmetric-40", "MNIST, 40 % of five classes have the label of a similar one", asymmetric_40),
        Problem("instance-40", "CIFAR-10, 40 % wrong labels that depend on the image (Xia et al. 2020)", instance_40),
        Problem(
            "noisy-validation",
            "MNIST, 20 % wrong labels that depend on the image, in the validation split too",
            noisy_validation,
        ),
        Problem(
            "long-tail",
            "MNIST, each class rarer than the one before, in all 100 times; balanced accuracy",
            long_tail,
            ("genetic.weights={prior=3}",),
        ),
        Problem("few-samples", "MNIST, 200 training images with the right labels", few_samples),
        Problem("outliers", "regression (scikit-learn's Friedman 1), 10 % of the targets 10 sd off; RMSE", outliers),
        Problem("imbalanced", "a table (scikit-learn's make_classification), 5 % positive; average precision", imbalanced),
    )
}
