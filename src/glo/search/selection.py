"""Who becomes a parent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.random import Generator

# select(fitnesses, rng) -> positions of parents, without end
Select = Callable[[Sequence[float], Generator], Iterator[int]]


def roulette(fitnesses: Sequence[float], rng: Generator) -> Iterator[int]:
    """Fitness-proportional (paper, section III.A); uniform where all are 0; a negative fitness counts as 0."""
    wheel = np.maximum(np.asarray(fitnesses, dtype=np.float64), 0.0)
    if wheel.sum() == 0:
        wheel += 1
    ends = (wheel / wheel.sum()).cumsum()
    ends /= ends[-1]
    while True:  # the draws of rng.choice(p=...), which would add all up each time
        yield int(ends.searchsorted(rng.random(), side="right"))


def tournament(size: int) -> Select:
    """The best of `size` drawn at random."""

    def select(fitnesses: Sequence[float], rng: Generator) -> Iterator[int]:
        while True:
            yield int(max(rng.integers(len(fitnesses), size=size), key=lambda position: fitnesses[position]))

    return select
