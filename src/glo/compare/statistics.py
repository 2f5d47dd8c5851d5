"""Statistics of repeated trainings: what a comparison reports."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from glo.compare.failures import NO_FAILURES, Failures
from glo.records import Predicted


@dataclass(frozen=True)
class Sample:
    """The test metric of repeated trainings of one loss.

    Attributes:
        values: of each seed; 0 for a training that failed.
        failures: how many failed.
        left_out: the mean over the seeds without each group of test samples (`glo.training.jackknife`); None if that is
            not known.
        test_samples: size of the test set, if it is known.
        predicted: the counts of the predictions of all seeds together, if they are known.
        histogram: of these predictions, in `glo.records.BINS` equal parts of [0, 1].
    """

    values: tuple[float, ...]
    failures: Failures = NO_FAILURES
    left_out: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    test_samples: int | None = field(default=None, repr=False, compare=False)
    predicted: Predicted | None = field(default=None, repr=False, compare=False)
    histogram: tuple[int, ...] = field(default=(), repr=False, compare=False)

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def sd(self) -> float:
        """Standard deviation of the sample (n - 1); exactly 0 where all values are equal."""
        return float(np.std(self.values, ddof=1)) if len(set(self.values)) > 1 else 0.0


def welch(a: Sequence[float], b: Sequence[float]) -> float:
    """Two-tailed p-value of Welch's t-test, which does not assume equal variances (the paper's test, section IV.B).

    Samples without any spread are a limit of the test: p is 0 for different means and 1 for equal ones.
    """
    if len(set(a)) == 1 and len(set(b)) == 1:
        return 0.0 if a[0] != b[0] else 1.0
    return float(_welch(a, b).pvalue)


def difference_interval(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of mean(a) - mean(b), by the distribution of Welch's test: it excludes 0 where p < 0.05."""
    if len(set(a)) == 1 and len(set(b)) == 1:
        return a[0] - b[0], a[0] - b[0]
    interval = _welch(a, b).confidence_interval(confidence)
    return float(interval.low), float(interval.high)


def _welch(a: Sequence[float], b: Sequence[float]) -> Any:
    with warnings.catch_warnings():  # scipy warns of lost precision if a sample has no spread, but the result is exact
        warnings.simplefilter("ignore", RuntimeWarning)
        return stats.ttest_ind(a, b, equal_var=False)


def hedges_g(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Size of the effect: difference of the means in pooled standard deviations, corrected for small samples.

    Hedges 1981, with the exact correction.  None where neither sample has any spread.
    """
    first, second = Sample(tuple(a)), Sample(tuple(b))
    freedom = first.n + second.n - 2
    pooled = math.sqrt(((first.n - 1) * first.sd**2 + (second.n - 1) * second.sd**2) / freedom)
    if pooled == 0:
        return None
    log_correction = math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2) - math.log(math.sqrt(freedom / 2))
    return math.exp(log_correction) * (first.mean - second.mean) / pooled


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979): the chance of a false alarm among them stays below the level."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def kendall_tau(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Rank correlation of two lists (tau-b): 1 for the same order, -1 for the opposite; None where one is all ties."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        result: Any = stats.kendalltau(a, b)
    return None if math.isnan(result.statistic) else float(result.statistic)


@dataclass(frozen=True)
class Gain:
    """How much better one loss is than another on test, with the errors of the seeds and of the test set.

    Attributes:
        difference: of the means; positive if the first is better.
        low, high: its 95 % confidence interval.
        p_value: two-tailed, by both errors.
        p_seeds: two-tailed, by the error of the seeds alone (Welch).
        seed_error: standard error of the difference over seeds, of the same test set.
        test_error: standard error over the samples of the test set, with the same seeds; None where it is not known.
    """

    difference: float
    low: float
    high: float
    p_value: float
    p_seeds: float
    seed_error: float
    test_error: float | None


def gain(a: Sample, b: Sample, sign: int = 1) -> Gain:
    """How much better `a` is than `b`.

    The two errors are independent parts of one (seeds and samples are crossed), so their squares are added; what belongs to
    both is counted twice, which makes the test conservative.  The error of the test set is that of the jackknife.  The
    degrees of freedom of the sum are Welch's and Satterthwaite's.

    Args:
        sign: -1 if the lower mean is better.
    """
    difference = sign * (a.mean - b.mean)
    of_seeds = [(sample.sd**2 / sample.n, sample.n - 1) for sample in (a, b)]
    of_test: list[tuple[float, int]] = []
    if a.left_out is not None and b.left_out is not None and len(a.left_out) == len(b.left_out):
        groups = len(a.left_out)
        of_test = [((groups - 1) * float(np.var(a.left_out - b.left_out)), groups - 1)]
    error, freedom = _combined([*of_seeds, *of_test])
    seed_error, seed_freedom = _combined(of_seeds)
    half = float(stats.t.ppf(0.975, freedom)) * error
    return Gain(
        difference, difference - half, difference + half,
        p_value=_two_tailed(difference, error, freedom),
        p_seeds=_two_tailed(difference, seed_error, seed_freedom),
        seed_error=seed_error,
        test_error=math.sqrt(of_test[0][0]) if of_test else None,
    )  # fmt: skip


def _combined(variances: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """The error of a sum of independent parts, and its degrees of freedom (Satterthwaite 1946).

    Args:
        variances: of each part, with its degrees of freedom.
    """
    total = sum(variance for variance, _ in variances)
    below = sum(variance**2 / freedom for variance, freedom in variances)
    return math.sqrt(total), total**2 / below if below else 1e9


def _two_tailed(difference: float, error: float, freedom: float) -> float:
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stats.t.sf(abs(difference) / error, freedom))
