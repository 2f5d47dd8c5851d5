"""Is one loss better than another?  Samples, and Welch's t-test, the paper's (section IV.C)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Sample:
    """The test metric of repeated trainings of one loss."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def sd(self) -> float:
        """Standard deviation of the sample (n - 1); 0 for a single value."""
        return float(np.std(self.values, ddof=1)) if self.n > 1 else 0.0


def welch(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-tailed p-value of Welch's t-test, which does not assume equal variances.

    Samples without any spread are a limit of the test: p is 0 for different means and 1 for equal ones.
    """
    if len(set(a)) == 1 and len(set(b)) == 1:
        return 0.0 if a[0] != b[0] else 1.0
    with warnings.catch_warnings():  # a sample without spread is exact, whatever scipy fears for its precision
        warnings.simplefilter("ignore", RuntimeWarning)
        result: Any = stats.ttest_ind(a, b, equal_var=False)
    return float(result.pvalue)
