"""Check the targets of a task, and encode labels that are names or that begin at 1."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glo.errors import TaskError
from glo.records import Link
from glo.tasks.arrays import Numbers, is_floating, to_tensor
from glo.tasks.shapes import counted
from glo.tasks.split import LARGEST_WHOLE, Split

logger = logging.getLogger("glo")
SUM_TOLERANCE = 1e-3  # of the probabilities of one sample
NO_CLASS = -1  # no target has it
Names = tuple[Any, ...]
BINARY = ((-1.0, 1.0), (1.0, 2.0))  # the two labels of a yes-no question, besides 0 and 1


def read_targets(targets: Numbers, where: str, link: Link, ignore_index: int | None = None, copy: bool = True) -> Tensor:
    """The targets of a split: class indices, or labels or values in floating point.

    Raises:
        TaskError: if they do not fit the link; the message says how.
    """
    if link is not Link.SOFTMAX:
        return _read_values(targets, where, link, copy)
    if targets.ndim == 1 or (targets.ndim > 1 and not _are_probabilities(targets)):
        return _read_indices(targets, where, ignore_index, copy)
    if targets.shape[1] < 2:
        raise TaskError(
            f"{where} needs class indices of shape (N), at least 0, or probabilities of shape (N, C), "
            f"not targets of shape {tuple(targets.shape)}"
        )
    return _read_probabilities(targets, where, copy)


def _are_probabilities(targets: Numbers) -> bool:
    """Whether targets of several dimensions are labels (N, C, ...) for each class, and not class indices (N, d1, ...)."""
    given = to_tensor(targets, torch.float32, copy=False)
    if given.dim() == 2 and (is_floating(targets) or given.shape[1] == 1):
        return True
    whole = not is_floating(targets) or bool((given == given.round()).all())
    one_hot = bool(((given == 0) | (given == 1)).all()) and bool((given.sum(1) == 1).all())
    return one_hot or not whole


def _read_probabilities(targets: Numbers, where: str, copy: bool) -> Tensor:
    probabilities = _read_values(targets, where, Link.SOFTMAX, copy)
    sums = probabilities.sum(1).flatten()
    off = int((sums - 1).abs().argmax())
    if abs(float(sums[off]) - 1) > SUM_TOLERANCE:
        raise TaskError(
            f"{where} has probabilities that do not sum to 1: those of sample {off} sum to {float(sums[off]):.4g}; "
            "if a sample may have several labels, use link='sigmoid'"
        )
    return probabilities


def _read_indices(targets: Numbers, where: str, ignore_index: int | None, copy: bool) -> Tensor:
    """Class indices (N) or (N, d1, ...); those of floating point must be whole numbers."""
    if is_floating(targets):
        given = to_tensor(targets, torch.float32, copy=False)
        if not bool(torch.isfinite(given).all()):
            raise TaskError(f"{where} needs finite targets: some are NaN or infinite")
        if not bool(((given == given.round()) & (given.abs() < LARGEST_WHOLE)).all()):
            raise TaskError(
                f"{where} has targets of shape (N) that are not whole numbers: give class indices, or probabilities of "
                "shape (N, C), or use link='identity' for a regression"
            )
        targets = given
    indices = to_tensor(targets, torch.int64, copy)
    if not len(found := counted(indices, ignore_index)):
        raise TaskError(f"{where} has no target but {ignore_index}, the ignore_index")
    if (lowest := int(found.min())) < 0:
        hint = f"; if those do not count, give ignore_index={lowest}" if ignore_index is None else ""
        raise TaskError(f"{where} needs class indices of shape (N), at least 0, not {lowest}{hint}")
    return indices


def _read_values(targets: Numbers, where: str, link: Link, copy: bool) -> Tensor:
    """Labels or values (N, C) or (N, C, d1, ...) in floating point."""
    values = to_tensor(targets, torch.float32, copy)
    values = values.unsqueeze(1) if values.dim() == 1 else values
    if not bool(torch.isfinite(values).all()):
        raise TaskError(f"{where} needs finite targets of shape (N) or (N, C): some are NaN or infinite")
    if link is not Link.IDENTITY and not bool(((values >= 0) & (values <= 1)).all()):
        raise TaskError(f"{where} has labels outside [0, 1]")
    return values


def encoded(targets: Mapping[str, Any], where: str, link: Link) -> tuple[dict[str, Any], Names | None]:
    """The targets of all splits, with names replaced by class indices: the classes of train, in order, are 0, 1, 2...

    The labels -1 and 1, or 1 and 2, of a yes-no question become 0 and 1.

    Args:
        targets: by the name of their split; train is among them.

    Returns:
        The targets, and the names of the classes if there are any.

    Raises:
        TaskError: if a split has a name that train does not have, or names for a regression.
    """
    if any(_are_names(each) for each in targets.values()):
        if link is Link.IDENTITY:
            raise TaskError(f"{where} has names as targets: a regression needs numbers")
        if numeric := [split for split, each in targets.items() if not _are_names(each)]:
            raise TaskError(f"{where}: {numeric[0]} has numbers as targets, and another split has names: give one form")
        names: Names = tuple(np.unique(targets["train"]).tolist())
    elif link is Link.SIGMOID and (two := _two_labels(targets["train"])) is not None:
        names = two
    else:
        return dict(targets), None
    places = {name: place for place, name in enumerate(names)}
    found = {split: _places(each, places, f"{where}: {split}") for split, each in targets.items()}
    if link is Link.SIGMOID and len(names) != 2:
        raise TaskError(f"{where} has {len(names)} classes, and one yes-no question has two: use link='softmax'")
    logger.info("%s: the classes are %s, in this order", where, ", ".join(map(str, names)))
    return found, names


def _are_names(targets: Any) -> bool:
    return not isinstance(targets, Tensor) and targets.dtype.kind == "U"


def _two_labels(targets: Numbers) -> Names | None:
    """The two labels of one yes-no question that are not 0 and 1."""
    if targets.ndim > 1 and tuple(targets.shape[1:]) != (1,):
        return None
    found = torch.unique(to_tensor(targets, torch.float32, copy=False))
    return next((pair for pair in BINARY if found.tolist() == list(pair)), None)


def _places(targets: Any, places: Mapping[Any, int], where: str) -> Any:
    given = targets.tolist() if _are_names(targets) else to_tensor(targets, torch.float32, copy=False).tolist()
    if np.asarray(given, dtype=object).ndim != 1:
        given = [value for (value,) in given] if all(len(row) == 1 for row in given) else given
    if unknown := sorted({str(value) for value in given} - {str(name) for name in places}):
        raise TaskError(f"{where} has classes that train does not have: {', '.join(unknown[:5])}")
    return np.array([places[value] for value in given])


def from_one(splits: Mapping[str, Split], classes: int, ignore_index: int | None) -> dict[str, Split] | None:
    """The splits with class indices that begin at 0 instead of 1; None unless they are from 1 to the number of classes."""
    if any(split.targets.is_floating_point() for split in splits.values()):
        return None
    found = [counted(split.targets, ignore_index) for split in splits.values()]
    lowest, highest = min(int(each.min()) for each in found), max(int(each.max()) for each in found)
    if lowest < 1 or highest != classes:
        return None
    logger.info("the classes are 1 to %d; in glo they are 0 to %d", classes, classes - 1)
    return {
        name: Split(
            split.inputs,
            split.targets - (split.targets != (NO_CLASS if ignore_index is None else ignore_index)).long(),
            split.weights,
        )
        for name, split in splits.items()
    }


def read_class_weight(
    given: Any, targets: Tensor, classes: int, where: str, link: Link, names: Sequence[Any]
) -> list[float]:
    """A factor for each class; for one yes-no question, of the labels 0 and 1.

    Args:
        given: numbers; a dictionary from class, or name of a class, to number, where others are 1; or "balanced", as in
            scikit-learn: N / (C times the samples of the class).
        targets: of the training split.
        classes: number of outputs C.
        names: of the classes, or their numbers.

    Raises:
        TaskError: for a regression, a wrong number of factors, or one that is not a positive number.
    """
    if link is Link.IDENTITY:
        raise TaskError(f"{where}: class_weight is for classification, and the identity link is of a regression")
    binary = link is Link.SIGMOID and classes == 1
    needed = 2 if binary else classes
    if isinstance(given, str):
        if given != "balanced":
            raise TaskError(f"{where}: class_weight is 'balanced', numbers or a dictionary, not {given!r}")
        weights = _balanced(targets, needed, where, binary)
    elif isinstance(given, Mapping):
        places = {name: place for place, name in enumerate(names or range(needed))}
        if unknown := [key for key in given if key not in places]:
            raise TaskError(f"{where}: class_weight names the class {unknown[0]!r}, which is not one of the {needed}")
        weights = [1.0] * needed
        for key, value in given.items():
            weights[places[key]] = value
    else:
        weights = torch.as_tensor(given).tolist()
    if not isinstance(weights, list) or len(weights) != needed:
        count = len(weights) if isinstance(weights, list) else 1
        raise TaskError(f"{where}: class_weight has {count} numbers for {needed} classes: give one for each")
    if not all(isinstance(weight, int | float) and 0 < weight < np.inf for weight in weights):
        raise TaskError(f"{where}: class_weight needs positive numbers, not {weights}")
    return [float(weight) for weight in weights]


def _balanced(targets: Tensor, classes: int, where: str, binary: bool) -> list[float]:
    if targets.is_floating_point():
        counts = targets.sum([axis for axis in range(targets.dim()) if axis != 1])
        total = float(targets.numel() // targets.shape[1])
        counts = torch.stack([total - counts[0], counts[0]]) if binary else counts
    else:
        counts = torch.bincount(targets[(targets >= 0) & (targets < classes)], minlength=classes)
        total = float(counts.sum())
    if bool((counts == 0).any()):
        raise TaskError(f"{where}: class_weight='balanced' needs samples of each class, and train has none of some")
    return (total / (classes * counts.double())).tolist()
