"""Check the targets of a task, and encode labels that are names or that begin at 1."""

from __future__ import annotations

import logging
import numbers
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


def read_targets(
    targets: Numbers,
    where: str,
    link: Link,
    ignore_index: int | None = None,
    copy: bool = True,
    by_index: bool | None = None,
    whole: bool = True,
) -> Tensor:
    """The targets of a split: class indices, or labels or values in floating point.

    Args:
        by_index: whether those of softmax are class indices; None to find out.
        whole: whether it is all of the split, some of which must count.

    Raises:
        TaskError: if they do not fit the link; the message says how.
    """
    if link is not Link.SOFTMAX:
        return _read_values(targets, where, link, copy)
    if by_index is None:
        by_index = targets.ndim == 1 or not _are_probabilities(targets)
    if by_index:
        return _read_indices(targets, where, ignore_index, copy, whole)
    if ignore_index is not None:
        raise TaskError(f"{where} has probabilities as targets, and ignore_index is for class indices")
    if targets.shape[1] < 2:
        raise TaskError(
            f"{where} needs class indices of shape (N), at least 0, or probabilities of shape (N, C), "
            f"not targets of shape {tuple(targets.shape)}"
        )
    return _read_probabilities(targets, where, copy)


def _are_probabilities(targets: Numbers) -> bool:
    """Whether targets of several dimensions are labels (N, C, ...) for each class, and not class indices (N, d1, ...)."""
    given = to_tensor(targets, torch.float32, copy=False)
    if given.dim() == 2 and given.shape[1] == 1:
        return True
    if given.dim() == 2 and is_floating(targets) and not bool((given > 1).any()):
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


def _read_indices(targets: Numbers, where: str, ignore_index: int | None, copy: bool, whole: bool = True) -> Tensor:
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
        if whole:
            raise TaskError(f"{where} has no target but {ignore_index}, the ignore_index")
        return indices
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


def encoded(
    targets: Mapping[str, Any], where: str, link: Link, given: Names | None = None
) -> tuple[dict[str, Any], Names | None]:
    """The targets of splits, with names replaced by class indices: the classes of train, in order, are 0, 1, 2...

    The labels -1 and 1, or 1 and 2, of a yes-no question become 0 and 1.

    Args:
        targets: by the name of their split.
        given: the classes in the order of their indices, if that is known.  If they are numbers, so are the labels.

    Returns:
        The targets, and the names of the classes if there are any.

    Raises:
        TaskError: if a label is not one of the classes, or for names in a regression.
    """
    named = [split for split, each in targets.items() if _are_names(each)]
    numeric = [split for split in targets if split not in named]
    if named and link is Link.IDENTITY:
        raise TaskError(f"{where} has names as targets: a regression needs numbers")
    if named and numeric and (given is None or not _are_numbers(given)):
        raise TaskError(f"{where}: {numeric[0]} has numbers as targets, and another split has names: give one form")
    if given is not None and not named and not _are_numbers(given):
        return dict(targets), given  # class indices, and the names that they stand for
    if named and "train" not in targets and given is None:
        raise TaskError(f"{where}: {named[0]} has names as targets, and train has not: give one form")
    names = given
    if names is None and named:
        names = tuple(np.unique(targets["train"]).tolist())
    elif names is None and link is Link.SIGMOID and "train" in targets:
        names = _two_labels(targets["train"])
    if names is None:
        return dict(targets), None
    if named and link is Link.SIGMOID and len(names) != 2:
        raise TaskError(f"{where} has {len(names)} classes, and one yes-no question has two: use link='softmax'")
    places = {name: place for place, name in enumerate(names)}
    found = {split: _places(each, places, f"{where}: {split}") for split, each in targets.items()}
    logger.info("%s: the classes are %s, in this order", where, ", ".join(map(str, names)))
    return found, names


def _are_names(targets: Any) -> bool:
    return not isinstance(targets, Tensor) and targets.dtype.kind == "U"


def _are_numbers(names: Names) -> bool:
    return all(isinstance(name, numbers.Real) for name in names)


def _two_labels(targets: Numbers) -> Names | None:
    """The two labels of one yes-no question that are not 0 and 1."""
    if targets.ndim > 1 and tuple(targets.shape[1:]) != (1,):
        return None
    found = torch.unique(to_tensor(targets, torch.float32, copy=False))
    return next((pair for pair in BINARY if found.tolist() == list(pair)), None)


def _places(targets: Any, places: Mapping[Any, int], where: str) -> Any:
    """The class indices of labels (N), or (N, 1)."""
    given = np.asarray(targets if _are_names(targets) else to_tensor(targets, torch.float64, copy=False).numpy())
    if given.ndim > 1 and given.shape[1:] != (1,):
        raise TaskError(f"{where} has targets of shape {given.shape}; labels that are encoded have the shape (N)")
    labels = given.reshape(-1).tolist()
    if unknown := sorted({str(label) for label in labels if label not in places}):
        raise TaskError(
            f"{where} has classes that train does not have: {', '.join(unknown[:5])}; "
            f"the classes are {', '.join(map(str, list(places)[:10]))}"
        )
    return np.array([places[label] for label in labels])


def from_one(splits: Mapping[str, Split], classes: int, ignore_index: int | None) -> dict[str, Split] | None:
    """The splits with class indices that begin at 0 instead of 1; None unless they are from 1 to the number of classes.

    Raises:
        TaskError: if an index below the number of classes is ignored, and would then be that of a class.
    """
    if any(split.targets.is_floating_point() for split in splits.values()):
        return None
    found = [counted(split.targets, ignore_index) for split in splits.values()]
    lowest, highest = min(int(each.min()) for each in found), max(int(each.max()) for each in found)
    if lowest < 1 or highest != classes:
        return None
    if ignore_index is not None and 0 <= ignore_index < classes:
        raise TaskError(
            f"the classes are 1 to {classes} for {classes} outputs, and ignore_index={ignore_index} is one of them: "
            f"give the model {classes + 1} outputs, or subtract 1 from the labels and ignore {ignore_index - 1}"
        )
    ignored = NO_CLASS if ignore_index is None else ignore_index
    logger.info("the classes are 1 to %d; in glo they are 0 to %d", classes, classes - 1)
    return {
        name: Split(split.inputs, split.targets - (split.targets != ignored).long(), split.weights)
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
        weights = _balanced(targets, needed, binary)
    elif isinstance(given, Mapping):
        places = {name: place for place, name in enumerate(names or range(needed))}
        if unknown := [key for key in given if places.get(key, needed) >= needed]:
            raise TaskError(f"{where}: class_weight names the class {unknown[0]!r}, which is not one of the {needed}")
        weights = [1.0] * needed
        for key, value in given.items():
            weights[places[key]] = value
    else:
        try:
            weights = torch.as_tensor(given).tolist()
        except (TypeError, ValueError, RuntimeError):
            raise TaskError(f"{where}: class_weight is 'balanced', numbers or a dictionary, not {given!r}") from None
    if not isinstance(weights, list) or len(weights) != needed:
        count = len(weights) if isinstance(weights, list) else 1
        raise TaskError(f"{where}: class_weight has {count} numbers for {needed} classes: give one for each")
    if not all(isinstance(weight, numbers.Real) and 0 < float(weight) < np.inf for weight in weights):
        raise TaskError(f"{where}: class_weight needs positive numbers, not {weights}")
    return [float(weight) for weight in weights]


def _balanced(targets: Tensor, classes: int, binary: bool) -> list[float]:
    if targets.is_floating_point():
        counts = targets.sum([axis for axis in range(targets.dim()) if axis != 1])
        total = float(targets.numel() // targets.shape[1])
        counts = torch.stack([total - counts[0], counts[0]]) if binary else counts
    else:
        counts = torch.bincount(targets[(targets >= 0) & (targets < classes)], minlength=classes)
        total = float(counts.sum())
    present = counts > 0
    balanced = total / (present.sum() * counts.double().clamp_min(1))
    return torch.where(present, balanced, 1.0).tolist()
