"""Random numbers by purpose: every generator is derived from the study's seed and from what it is for."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, e.g. `derive_seed(seed, "generation", 3)`; independent between purposes."""
    text = ":".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def derive_seeds(seed: int, purpose: str, count: int) -> list[int]:
    """Several seeds of one purpose; those of two purposes never meet."""
    return [derive_seed(seed, purpose, number) for number in range(count)]


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A numpy generator for one purpose."""
    return np.random.default_rng(derive_seed(seed, *purpose))
