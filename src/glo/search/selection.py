"""Selection of parents by fitness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

# select(fitnesses, rng) -> an endless iterator over positions of parents
Select = Callable[[Sequence[float], Generator], Iterator[int]]


def roulette(fitnesses: Sequence[float], rng: Generator) -> Iterator[int]:
    """Select in proportion to fitness (paper, section III.A); uniformly if all are 0.

    If any fitness is negative, in proportion to the rank instead: scores of an objective may be any numbers
    (docs/decisions/0019-objectives.md).  A fitness of minus infinity is never selected.
    """
    wheel = np.asarray(fitnesses, dtype=np.float64)
    finite = np.isfinite(wheel)
    wheel = _ranks(wheel, finite) if (wheel[finite] < 0).any() else np.where(finite, wheel, 0.0)
    if wheel.sum() == 0:
        wheel += 1
    ends = (wheel / wheel.sum()).cumsum()
    ends /= ends[-1]
    while True:  # the same draws as rng.choice(p=...), which would compute the cumulative sum at each draw
        yield int(ends.searchsorted(rng.random(), side="right"))


def _ranks(fitnesses: NDArray[np.float64], finite: NDArray[np.bool_]) -> NDArray[np.float64]:
    """1 for the worst, and so on; equal ones have their mean rank; 0 for those that are not finite."""
    ranks = np.zeros(len(fitnesses))
    _, positions, counts = np.unique(fitnesses[finite], return_inverse=True, return_counts=True)
    ranks[finite] = (counts.cumsum() - (counts - 1) / 2)[positions]
    return ranks


def tournament(size: int) -> Select:
    """Select the best of `size` candidates drawn at random, with replacement."""

    def select(fitnesses: Sequence[float], rng: Generator) -> Iterator[int]:
        while True:
            yield int(max(rng.integers(len(fitnesses), size=size), key=lambda position: fitnesses[position]))

    return select
