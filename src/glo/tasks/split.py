"""The data of a task that is in memory: one split of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from glo.tasks.inputs import count, each, rows, tensors_of, to_device

logger = logging.getLogger("glo")
LARGEST_WHOLE = 2.0**24  # below it, float32 has every whole number


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a task's data, in memory.

    Attributes:
        inputs: shape (N, ...), float32; or int64 for a model that takes whole numbers, such as the ids of tokens; or several
            such tensors in a tuple or dictionary.
        targets: class indices (N) or (N, d1, ...) of dtype int64, or labels or values (N, C) or (N, C, d1, ...) in floating
            point.
        weights: of the samples in the loss, shape (N); None if each counts the same.
    """

    inputs: Any  # an `Inputs`; with that type, to index a task's inputs would need a cast
    targets: Tensor
    weights: Tensor | None = None
    _copies: dict[str, Split] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return count(self.inputs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_copies": {}}  # another process has its own devices

    @property
    def is_whole(self) -> bool:
        """Whether all inputs are whole numbers, or true and false."""
        return not any(tensor.is_floating_point() for tensor in tensors_of(self.inputs))

    @property
    def first(self) -> Split:
        """All samples; of a stream, only some are at hand."""
        return self

    @property
    def head(self) -> Split:
        """The first two samples, on which a model is tried."""
        return self[:2]

    def __getitem__(self, index: slice | Tensor) -> Split:
        """Some of the samples."""
        weights = None if self.weights is None else self.weights[index]
        return Split(rows(self.inputs, index), self.targets[index], weights)

    def parts(self, size: int) -> Iterator[Split]:
        """All samples in order, so many at a time."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def with_float_inputs(self) -> Split:
        """The same data with float32 inputs; a warning says if these are not exact."""
        if all(tensor.is_floating_point() for tensor in tensors_of(self.inputs)):
            return self
        if any(_above(tensor, int(LARGEST_WHOLE)) for tensor in tensors_of(self.inputs)):
            logger.warning("inputs above 2**24 are rounded to float32: scale them, or subtract an offset, before glo does")
        return Split(each(lambda tensor: tensor.float(), self.inputs), self.targets, self.weights)

    def to(self, device: torch.device | str) -> Split:
        """The same data on a device.  It is copied there once, and the copy is kept."""
        name = str(torch.device(device))
        if self.targets.device == torch.device(device):
            return self
        if name not in self._copies:
            weights = None if self.weights is None else self.weights.to(device)
            self._copies[name] = Split(to_device(self.inputs, device), self.targets.to(device), weights)
        return self._copies[name]


def _above(tensor: Tensor, limit: int) -> bool:
    return not tensor.is_floating_point() and tensor.dtype != torch.bool and bool((tensor.abs() > limit).any())
