"""Who becomes a parent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator

# select(fitnesses, rng) -> position of one parent
Select = Callable[[Sequence[float], Generator], int]


def roulette(fitnesses: Sequence[float], rng: Generator) -> int:
    """Fitness-proportional (paper, section III.A); uniform where all are 0; a negative fitness counts as 0."""
    wheel = np.maximum(np.asarray(fitnesses, dtype=np.float64), 0.0)
    total = wheel.sum()
    return int(rng.choice(len(wheel), p=wheel / total if total > 0 else None))


def tournament(size: int) -> Select:
    """The best of `size` drawn at random."""

    def select(fitnesses: Sequence[float], rng: Generator) -> int:
        return int(max(rng.integers(len(fitnesses), size=size), key=lambda position: fitnesses[position]))

    return select
