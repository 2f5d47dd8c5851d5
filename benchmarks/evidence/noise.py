"""Wrong labels that depend on the class, or on the sample itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

# Classes that are taken for another one (Patrini et al. 2017): 2 for 7, 3 for 8, 5 and 6 for each other, 7 for 1; truck for
# automobile, bird for airplane, deer for horse, cat and dog for each other.
SIMILAR_DIGITS = {2: 7, 3: 8, 5: 6, 6: 5, 7: 1}
SIMILAR_OBJECTS = {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}
SPREAD = 0.1  # standard deviation of the rate of wrong labels over samples

Labels = NDArray[np.int64]


def asymmetric(labels: Labels, others: Mapping[int, int], fraction: float, rng: np.random.Generator) -> Labels:
    """Labels of which a fraction, of each class with a similar one, has the similar class (Patrini et al. 2017)."""
    wrong = labels.copy()
    for true, taken in others.items():
        of_class = np.flatnonzero(labels == true)
        wrong[rng.permutation(of_class)[: round(fraction * len(of_class))]] = taken
    return wrong


def instance_dependent(
    inputs: NDArray[np.float32], labels: Labels, fraction: float, classes: int, rng: np.random.Generator
) -> Labels:
    """Labels that are wrong with a probability and towards a class of each sample's own (Xia et al. 2020, algorithm 2).

    Args:
        inputs: (N, features).
        labels: (N).
        fraction: mean probability that a label is wrong.
    """
    flat = (inputs - inputs.mean(0)) / (inputs.std(0) + 1e-6)
    rates = _truncated_normal(fraction, len(labels), rng)
    directions = rng.standard_normal((classes, flat.shape[1], classes))
    chances = np.zeros((len(labels), classes))
    for true in range(classes):
        of_class = labels == true
        scores = flat[of_class] @ directions[true]
        scores[:, true] = -np.inf
        likely = np.exp(scores - scores.max(1, keepdims=True))
        chances[of_class] = rates[of_class, None] * likely / likely.sum(1, keepdims=True)
        chances[of_class, true] = 1 - rates[of_class]
    drawn = (chances.cumsum(1) < rng.random((len(labels), 1))).sum(1)
    return np.minimum(drawn, classes - 1).astype(np.int64)


def _truncated_normal(mean: float, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Normal numbers of which those outside [0, 1] are drawn again."""
    drawn = rng.normal(mean, SPREAD, count)
    while (outside := (drawn < 0) | (drawn > 1)).any():
        drawn[outside] = rng.normal(mean, SPREAD, int(outside.sum()))
    return drawn
