"""Selection of parents by fitness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.random import Generator

# select(fitnesses, rng) -> an endless iterator over positions of parents
Select = Callable[[Sequence[float], Generator], Iterator[int]]


def roulette(fitnesses: Sequence[float], rng: Generator) -> Iterator[int]:
    """Select in proportion to fitness (paper, section III.A); uniformly if all are 0.  A negative fitness counts as 0."""
    wheel = np.maximum(np.asarray(fitnesses, dtype=np.float64), 0.0)
    if wheel.sum() == 0:
        wheel += 1
    ends = (wheel / wheel.sum()).cumsum()
    ends /= ends[-1]
    while True:  # the same draws as rng.choice(p=...), which would compute the cumulative sum at each draw
        yield int(ends.searchsorted(rng.random(), side="right"))


def tournament(size: int) -> Select:
    """Select the best of `size` candidates drawn at random, with replacement."""

    def select(fitnesses: Sequence[float], rng: Generator) -> Iterator[int]:
        while True:
            yield int(max(rng.integers(len(fitnesses), size=size), key=lambda position: fitnesses[position]))

    return select
