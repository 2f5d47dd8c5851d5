"""Parts: a batch is split into trainings of one seed, each part for one process."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from glo.execution.protocol import Batch, Key
from glo.execution.work import is_population
from glo.records import Result, Training

SMALLEST_PART = 4  # fewer networks take hardly less time together (docs/decisions/0011-processes.md)


@dataclass(frozen=True)
class Part:
    """Some trainings of a batch, all of one seed.

    Attributes:
        key: of the batch.
        positions: of the trainings in the batch.
        together: whether they are trained as one population.
    """

    key: Key
    batch: Batch
    positions: tuple[int, ...]
    together: bool

    @property
    def trainings(self) -> list[Training]:
        return [self.batch.trainings[position] for position in self.positions]

    @property
    def seed(self) -> int:
        return self.batch.seeds[self.positions[0]]

    def by_position(self, results: Sequence[Result]) -> dict[int, Result]:
        """The results of `trainings`, by position in the batch."""
        return dict(zip(self.positions, results, strict=True))

    def one_by_one(self) -> list[Part]:
        """A part for each training."""
        return [replace(self, positions=(position,)) for position in self.positions]


def parts_of(key: Key, batch: Batch, device: str | torch.device, slots: int) -> list[Part]:
    """Split a batch.

    Args:
        device: where it will be trained; it decides whether networks are trained together.
        slots: how many parts can be trained at once now; a batch is split into as many parts as keep them busy.
    """
    together = is_population(batch.task, device, batch.config)
    return [Part(key, batch, tuple(positions), together) for positions in split(batch.seeds, together, slots)]


def split(seeds: Sequence[int], together: bool, slots: int) -> list[list[int]]:
    """The positions of each part.

    Args:
        seeds: one for each training.
        together: whether networks are trained together at all.
        slots: how many parts can be trained at once.
    """
    groups = [[p for p, other in enumerate(seeds) if other == seed] for seed in dict.fromkeys(seeds)]
    if not together:
        return [[position] for group in groups for position in group]
    pieces = slots // math.gcd(slots, len(groups))
    return [piece for group in groups for piece in _pieces(group, min(pieces, max(1, len(group) // SMALLEST_PART)))]


def _pieces(positions: list[int], count: int) -> list[list[int]]:
    """Pieces of about equal size.

    Neighbours, often one loss at several rates that stop early together, are separated.  Each round of the pieces begins one
    piece later, so that none gets all losses at the rate at which most of them stop (docs/decisions/0011-processes.md).
    """
    pieces: list[list[int]] = [[] for _ in range(count)]
    for place, position in enumerate(positions):
        pieces[(place + place // count) % count].append(position)
    return pieces
