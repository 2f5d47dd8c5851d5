"""The data of a task: one split of it, and the forms in which users give one."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from glo.errors import TaskError
from glo.records import Link


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a task's data, in memory.

    Attributes:
        inputs: shape (N, ...), floating point.
        targets: class indices (N) of dtype int64, or labels or values (N, C) in floating point.
    """

    inputs: Tensor
    targets: Tensor
    _copies: dict[str, Split] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.inputs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_copies": {}}  # another process has its own devices

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

    Args:
        data: (inputs, targets), a `Dataset` of such pairs, or a split.
        where: what the data is, for messages.
        link: decides which targets are valid.

    Raises:
        TaskError: if the data is malformed; the message says how.
    """
    inputs, targets = _read_pair(data, where)
    inputs = inputs.to(torch.float32)
    if len(inputs) != len(targets) or len(inputs) == 0:
        raise TaskError(f"{where} has {len(inputs)} inputs and {len(targets)} targets")
    if not bool(torch.isfinite(inputs).all()):
        raise TaskError(f"{where} has inputs that are NaN or infinite")
    return Split(inputs.contiguous(), _check_targets(targets, where, link).contiguous())


def _read_pair(data: SplitLike, where: str) -> tuple[Tensor, Tensor]:
    if isinstance(data, Split):
        return data.inputs, data.targets
    if isinstance(data, tuple) and len(data) == 2:
        inputs, targets = (torch.as_tensor(np.asarray(part) if isinstance(part, list) else part) for part in data)
        return inputs, targets
    if isinstance(data, Dataset) and isinstance(data, Sized):
        pairs = [data[index] for index in range(len(data))]
        inputs, targets = (torch.stack([torch.as_tensor(pair[part]) for pair in pairs]) for part in (0, 1))
        return inputs, targets
    raise TaskError(f"{where} must be (inputs, targets) or a Dataset with a length, not {type(data).__name__}")


def _check_targets(targets: Tensor, where: str, link: Link) -> Tensor:
    if link is Link.SOFTMAX and not targets.is_floating_point():
        if targets.dim() != 1 or int(targets.min()) < 0:
            raise TaskError(f"{where} needs class indices of shape (N), at least 0, or probabilities of shape (N, C)")
        return targets.to(torch.int64)
    targets = targets.to(torch.float32)
    targets = targets.unsqueeze(1) if targets.dim() == 1 else targets
    if targets.dim() != 2 or not bool(torch.isfinite(targets).all()):
        raise TaskError(f"{where} needs finite targets of shape (N) or (N, C), not {tuple(targets.shape)}")
    if link is not Link.IDENTITY and not bool(((targets >= 0) & (targets <= 1)).all()):
        raise TaskError(f"{where} has labels outside [0, 1]")
    return targets
