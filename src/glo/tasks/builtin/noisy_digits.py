"""Digits with wrong labels in the training split, where a better loss matters most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glo.errors import TaskError
from glo.tasks.builtin.digits import make_digits

if TYPE_CHECKING:
    from glo.tasks import Task


def load(noise: float = 0.4, split_seed: int = 0) -> Task:
    """Digits with 40 % of the training labels wrong (symmetric noise); validation and test are clean."""
    if not 0 <= noise < 1:
        raise TaskError(f"noise is a fraction from 0 to below 1, not {noise}")
    return make_digits("noisy-digits", noise, split_seed)
