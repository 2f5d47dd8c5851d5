"""The data of a task: one split of it, and the forms in which users give one."""

from __future__ import annotations

import logging
from collections.abc import Sized
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from glo.errors import RAISED, TaskError
from glo.records import Link
from glo.tasks.arrays import Numbers, check_shape, dtype_of, is_floating, read_numbers, stack, to_tensor

logger = logging.getLogger("glo")
SUM_TOLERANCE = 1e-3  # of the probabilities of one sample
LARGEST_WHOLE = 2.0**24  # below it, float32 has every whole number


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a task's data, in memory.

    Attributes:
        inputs: shape (N, ...), float32; or int64 for a model that takes whole numbers, such as the ids of tokens.
        targets: class indices (N) of dtype int64, or labels or values (N, C) in floating point.
    """

    inputs: Tensor
    targets: Tensor
    _copies: dict[str, Split] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_copies": {}}  # another process has its own devices

    def with_float_inputs(self) -> Split:
        """The same data with float32 inputs; a warning says if these are not exact."""
        if self.inputs.is_floating_point():
            return self
        if bool((self.inputs.abs() > int(LARGEST_WHOLE)).any()):
            logger.warning("inputs above 2**24 are rounded to float32: scale them, or subtract an offset, before glo does")
        return Split(self.inputs.float(), self.targets)

    def to(self, device: torch.device | str) -> Split:
        """The same data on a device.  It is copied there once, and the copy is kept."""
        name = str(torch.device(device))
        if self.inputs.device == torch.device(device):
            return self
        if name not in self._copies:
            self._copies[name] = Split(self.inputs.to(device), self.targets.to(device))
        return self._copies[name]


SplitLike = Split | tuple[Any, Any] | Dataset


def read_split(data: SplitLike, where: str, link: Link) -> Split:
    """Check data in any accepted form and bring it into the form of a `Split`.

    The result has its own memory, so that the caller may change an array afterwards; only a `Split` is shared.

    Args:
        data: (inputs, targets), a `Dataset` of such pairs, or a split.
        where: what the data is, for messages.
        link: decides which targets are valid.

    Raises:
        TaskError: if the data is malformed; the message says how.
    """
    inputs, targets = _read_pair(data, where)
    if inputs.ndim == 0 or targets.ndim == 0:
        raise TaskError(f"{where} is a single number: give arrays with one row for each sample")
    if len(inputs) != len(targets) or len(inputs) == 0:
        raise TaskError(f"{where} has {len(inputs)} inputs and {len(targets)} targets")
    shared = isinstance(data, Split | Dataset)  # a Dataset has just been read into new tensors
    inputs = to_tensor(inputs, dtype_of(inputs), copy=not shared)
    if not bool(torch.isfinite(inputs).all()):
        raise TaskError(f"{where} has inputs that are NaN or infinite")
    read_targets = _read_classes if link is Link.SOFTMAX else _read_values
    return Split(inputs, read_targets(targets, where, link, not shared))


def _read_pair(data: SplitLike, where: str) -> tuple[Numbers, Numbers]:
    if isinstance(data, Split):
        data = (data.inputs, data.targets)
    if isinstance(data, tuple) and len(data) == 2:
        return read_numbers(data[0], f"{where} inputs"), read_numbers(data[1], f"{where} targets")
    if isinstance(data, Dataset) and isinstance(data, Sized) and not isinstance(data, IterableDataset):
        return _read_dataset(data, where)
    hint = "; give its .dataset" if isinstance(data, DataLoader) else ""
    raise TaskError(f"{where} must be (inputs, targets) or a Dataset with a length, not {type(data).__name__}{hint}")


def _read_dataset(data: Dataset[Any], where: str) -> tuple[Tensor, Tensor]:
    """Inputs and targets of a dataset of pairs; an input is written to its place as soon as it is read."""
    count = len(data)  # pyright: ignore[reportArgumentType] - it is Sized
    if count == 0:
        raise TaskError(f"{where} has 0 inputs and 0 targets")
    inputs, targets = torch.empty(0), list[Numbers]()
    for index in range(count):
        part, target = _read_item(data, index, where)
        if index == 0:
            inputs = torch.empty((count, *part.shape), dtype=dtype_of(part))
        check_shape(part, inputs[0], index, f"{where} inputs")
        if is_floating(part) and not inputs.is_floating_point():
            raise TaskError(f"{where} inputs are whole numbers in item 0 and floating point in item {index}: give one type")
        inputs[index] = to_tensor(part, inputs.dtype, copy=False)
        targets.append(target)
    return inputs, stack(targets, f"{where} targets")


def _read_item(data: Dataset[Any], index: int, where: str) -> tuple[Numbers, Numbers]:
    try:
        item = data[index]
    except RAISED as error:
        raise TaskError(f"{where} cannot be read: item {index} raises {type(error).__name__}: {error}") from error
    if not isinstance(item, tuple | list) or len(item) != 2:
        kind = f"{type(item).__name__} of {len(item)}" if isinstance(item, Sized) else type(item).__name__
        raise TaskError(f"{where} must have items (input, target), but item {index} is a {kind}")
    if type(item[0]).__module__.startswith("PIL."):
        raise TaskError(f"{where} has images as items: give the dataset a transform that makes tensors, e.g. ToTensor()")
    part, target = item
    return read_numbers(part, f"{where} inputs of item {index}"), read_numbers(target, f"{where} targets of item {index}")


def _read_classes(targets: Numbers, where: str, link: Link, copy: bool) -> Tensor:
    """The targets of the softmax link: class indices (N) or probabilities (N, C)."""
    if targets.ndim == 1:
        return _read_indices(targets, where, copy)
    if targets.ndim != 2 or targets.shape[1] < 2:
        raise TaskError(
            f"{where} needs class indices of shape (N), at least 0, or probabilities of shape (N, C), "
            f"not targets of shape {tuple(targets.shape)}"
        )
    probabilities = _read_values(targets, where, link, copy)
    sums = probabilities.sum(1)
    off = int((sums - 1).abs().argmax())
    if abs(float(sums[off]) - 1) > SUM_TOLERANCE:
        raise TaskError(
            f"{where} has probabilities that do not sum to 1: those of sample {off} sum to {float(sums[off]):.4g}; "
            "if a sample may have several labels, use link='sigmoid'"
        )
    return probabilities


def _read_indices(targets: Numbers, where: str, copy: bool) -> Tensor:
    """Class indices (N); those of floating point must be whole numbers."""
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
    if int(indices.min()) < 0:
        raise TaskError(f"{where} needs class indices of shape (N), at least 0, not {int(indices.min())}")
    return indices


def _read_values(targets: Numbers, where: str, link: Link, copy: bool) -> Tensor:
    """Labels or values (N, C) in floating point."""
    values = to_tensor(targets, torch.float32, copy)
    values = values.unsqueeze(1) if values.dim() == 1 else values
    if values.dim() != 2 or not bool(torch.isfinite(values).all()):
        raise TaskError(f"{where} needs finite targets of shape (N) or (N, C), not {tuple(values.shape)}")
    if link is not Link.IDENTITY and not bool(((values >= 0) & (values <= 1)).all()):
        raise TaskError(f"{where} has labels outside [0, 1]")
    return values
