"""The batches of a training, of data in memory or read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from glo.records import TrainingConfig
from glo.tasks import Data, Split
from glo.training.schedule import batches


def feed(split: Data, config: TrainingConfig, seed: int, device: torch.device | str = "cpu") -> Iterator[Split]:
    """The batch of each step, on a device.

    Args:
        split: the training data.
        config: steps and batch size; a `DataLoader` of the user's has its own batch size.
        seed: of the order.
    """
    if isinstance(split, Split):
        resident = split.to(device)
        return (resident[index] for index in batches(len(split), config, seed, device))
    order = batches(len(split), config, seed) if split.has_length else iter(())
    return (batch.to(device) for batch in split.batches(order, config.steps))
