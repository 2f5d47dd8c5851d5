"""Chi-square tests of counts against probabilities, for random generators with fixed seeds."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from scipy.stats import chisquare

K = TypeVar("K", bound=Hashable)
# A correct generator fails with one seed in ten thousand; seeds are fixed, so a test always fails or never.
FALSE_ALARM = 1e-4


def normalised(weights: Mapping[K, float]) -> dict[K, float]:
    """Weights as probabilities."""
    total = sum(weights.values())
    return {key: weight / total for key, weight in weights.items()}


def assert_drawn_from(counts: Mapping[K, int], probabilities: Mapping[K, float]) -> None:
    """Fail if the chi-square statistic is unlikely, or an outcome of probability 0 has occurred."""
    assert abs(sum(probabilities.values()) - 1) < 1e-9, "the test's own probabilities do not add up to 1"
    possible = [key for key, probability in probabilities.items() if probability > 0]
    assert not set(counts) - set(possible), f"impossible: {sorted(map(str, set(counts) - set(possible)))}"
    samples = sum(counts.values())
    observed = np.array([counts.get(key, 0) for key in possible])
    expected = np.array([probabilities[key] * samples for key in possible])
    assert expected.min() > 5, "too few samples for a chi-square test"
    p_value = chisquare(observed, expected * (observed.sum() / expected.sum())).pvalue
    assert p_value > FALSE_ALARM, (
        f"p = {p_value:.2g}: {dict(zip(possible, zip(observed, expected.round(1), strict=False), strict=True))}"
    )
