"""The ten problems: what is wrong with the data, and a small network for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from glo.records import derive_seed
from glo.tasks import Split, Task, load_task, with_label_noise, with_long_tail

CLASSES = 10
# Which digits people confuse: 7 is labelled 1, 2 is labelled 7, and so on (Patrini et al. 2017).
CONFUSED = {2: 7, 3: 8, 5: 6, 6: 5, 7: 1}


@dataclass(frozen=True)
class Size:
    """How much of each problem is used.

    Attributes:
        train, validation, test: largest number of images.
        steps: of each training.
        generations, population: of the search.
        repeats: fresh seeds of the measurement on test.
    """

    train: int = 6000
    validation: int = 2000
    test: int = 10_000
    steps: int = 600
    generations: int = 15
    population: int = 40
    repeats: int = 10


SCALES = {
    "tiny": Size(train=300, validation=200, test=200, steps=30, generations=2, population=6, repeats=2),
    "small": Size(),
    "full": Size(train=45_000, validation=5000, steps=2000, generations=30, repeats=20),
}


@dataclass(frozen=True)
class Problem:
    """A problem, and how a user would search for its loss.

    Attributes:
        what: the data and what is wrong with them, in a few words.
        load: makes the task from a size and the folder with the data.
        settings: of the search, beyond the default.
    """

    what: str
    load: Callable[[Size, Path | None], Task]
    settings: tuple[str, ...] = ()


def mlp(inputs: int, outputs: int = CLASSES) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, outputs))


def mnist(size: Size, data: Path | None) -> Task:
    """MNIST at 14x14 pixels."""
    return _images(load_task("mnist", data_dir=data), size, "mnist", 2)


def cifar10(size: Size, data: Path | None) -> Task:
    """CIFAR-10 at 8x8 pixels."""
    return _images(load_task("cifar10", data_dir=data), size, "cifar10", 4)


def digits(size: Size, data: Path | None) -> Task:
    """The digits of scikit-learn."""
    return _sized(load_task("digits"), size)


def _images(task: Task, size: Size, name: str, shrink: int) -> Task:
    """The first images of each split, averaged over squares of `shrink` pixels."""
    splits = {}
    for split, count in (("train", size.train), ("validation", size.validation), ("test", size.test)):
        first = _split(task, split)[:count]
        splits[split] = (functional.avg_pool2d(_tensor(first), shrink), first.targets)
    inputs = splits["train"][0][0].numel()
    return Task(
        name, lambda: mlp(inputs), splits["train"], splits["validation"], splits["test"], training={"steps": size.steps}
    )


def _sized(task: Task, size: Size) -> Task:
    """The first samples of each split of a small task."""
    parts = {"train": size.train, "validation": size.validation, "test": size.test}
    return replace(
        task, **{name: _split(task, name)[:count] for name, count in parts.items()}, training={"steps": size.steps}
    )


def noisy(load: Callable[[Size, Path | None], Task], fraction: float) -> Callable[[Size, Path | None], Task]:
    """A fraction of the training labels replaced by another class, chosen uniformly."""
    return lambda size, data: with_label_noise(load(size, data), fraction)


def asymmetric(size: Size, data: Path | None) -> Task:
    """40 % of the images of five digits labelled as the digit they are confused with."""
    task, generator = mnist(size, data), _generator("asymmetric")
    train = _split(task, "train")
    targets = train.targets.clone()
    for digit, other in CONFUSED.items():
        chosen = (train.targets == digit) & (torch.rand(len(targets), generator=generator) < 0.4)
        targets[chosen] = other
    return replace(task, train=Split(train.inputs, targets))


def by_instance(size: Size, data: Path | None) -> Task:
    """The hardest 20 % of the training images labelled as another class (Xia et al. 2020, simplified).

    How hard an image is, and the class that it is labelled as, say the distances to the mean images of the classes.
    """
    task = mnist(size, data)
    train = _split(task, "train")
    x = _tensor(train).flatten(1)
    means = torch.stack([x[train.targets == digit].mean(0) for digit in range(CLASSES)])
    distances = torch.cdist(x, means)
    own = distances.gather(1, train.targets[:, None])[:, 0]
    others = distances.scatter(1, train.targets[:, None], torch.inf)
    wrong = (own - others.min(1).values).argsort(descending=True)[: len(x) // 5]
    targets = train.targets.clone()
    targets[wrong] = others[wrong].argmin(1)
    return replace(task, train=Split(train.inputs, targets))


def long_tail(size: Size, data: Path | None) -> Task:
    """A hundred times as many images of the first digit as of the last."""
    return replace(with_long_tail(mnist(size, data), 100), metric="balanced_accuracy")


def few(size: Size, data: Path | None) -> Task:
    """200 training images."""
    return mnist(replace(size, train=min(size.train, 200)), data)


def noisy_validation(size: Size, data: Path | None) -> Task:
    """40 % of the labels wrong, those of the validation split too."""
    task = digits(size, data)
    other = with_label_noise(replace(task, train=_split(task, "validation")), 0.4, seed=1)
    return replace(with_label_noise(task, 0.4), validation=_split(other, "train"))


def outliers(size: Size, data: Path | None) -> Task:
    """Diabetes with a tenth of the training values far off."""
    task = load_task("diabetes")
    train, generator = _split(task, "train"), _generator("outliers")
    chosen = torch.randperm(len(train), generator=generator)[: len(train) // 10]
    values = train.targets.clone()
    values[chosen] += 8 * torch.randn(len(chosen), 1, generator=generator)
    training = {**task.training, "steps": min(size.steps, 300)}
    return replace(task, train=Split(train.inputs, values), metric="mae", training=training)


def imbalanced(size: Size, data: Path | None) -> Task:
    """Breast cancer with 12 of the malignant training samples left, by average precision."""
    task = load_task("breast-cancer")
    train = _split(task, "train")
    answers = train.targets[:, 0] if train.targets.dim() > 1 else train.targets
    rare = float(answers.mean() > 0.5)  # malignant is 0 in the data: the answer to find is the rarer one
    kept = torch.cat([(answers == rare).nonzero()[:, 0], (answers != rare).nonzero()[:, 0][:12]]).sort().values
    splits = {name: _answers(_split(task, name), 1 - rare) for name in ("train", "validation", "test")}
    return replace(
        task, **{**splits, "train": splits["train"][kept]}, metric="average_precision",
        training={**task.training, "steps": min(size.steps, 300)},
    )  # fmt: skip


def _answers(split: Split, positive: float) -> Split:
    """The split with the answer yes for the labels that are `positive`."""
    return Split(split.inputs, (split.targets == positive).to(split.targets.dtype))


def _split(task: Task, name: str) -> Split:
    split = task.split(name)
    assert isinstance(split, Split)  # noqa: S101 - these tasks are in memory
    return split


def _tensor(split: Split) -> Tensor:
    assert isinstance(split.inputs, Tensor)  # noqa: S101 - and have one input
    return split.inputs


def _generator(purpose: str) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(0, purpose))


PROBLEMS = {
    "digits-symmetric-40": Problem("digits, 40 % of the labels wrong at random", noisy(digits, 0.4)),
    "mnist-symmetric-20": Problem("MNIST, 20 % of the labels wrong at random", noisy(mnist, 0.2)),
    "mnist-asymmetric-40": Problem("MNIST, five digits labelled as a similar one, 40 %", asymmetric),
    "mnist-instance-20": Problem("MNIST, the hardest 20 % labelled wrong", by_instance),
    "mnist-long-tail": Problem("MNIST, long tail of 100 : 1", long_tail, ("genetic.weights={prior=3}",)),
    "mnist-200": Problem("MNIST, 200 training images", few),
    "digits-noisy-validation": Problem("digits, 40 % wrong in training and validation", noisy_validation),
    "cifar10-symmetric-40": Problem("CIFAR-10, 40 % of the labels wrong at random", noisy(cifar10, 0.4)),
    "diabetes-outliers": Problem("diabetes, a tenth of the values far off", outliers),
    "cancer-imbalanced": Problem("breast cancer, 12 malignant samples", imbalanced),
}
