"""Samples and Welch's test."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from glo.experiments.statistics import Sample, welch

A, B = (0.91, 0.93, 0.92, 0.95), (0.88, 0.90, 0.85)
VALUES = st.lists(st.integers(0, 100).map(lambda n: n / 100), min_size=2, max_size=8)


def test_welch_is_scipys() -> None:
    expected = ttest_ind(A, B, equal_var=False)
    assert welch(A, B) == pytest.approx(expected.pvalue)  # pyright: ignore[reportAttributeAccessIssue]
    assert 0.01 < welch(A, B) < 0.1
    # Not Student's test, which takes the variances for equal.
    assert welch(A, B) != pytest.approx(ttest_ind(A, B).pvalue)  # pyright: ignore[reportAttributeAccessIssue]


@given(a=VALUES, b=VALUES)
def test_welch_is_a_symmetric_probability(a: list[float], b: list[float]) -> None:
    assert 0 <= welch(a, b) <= 1
    assert welch(a, b) == pytest.approx(welch(b, a))


def test_samples_without_spread() -> None:
    assert welch([0.5, 0.5], [0.5, 0.5, 0.5]) == 1.0
    assert welch([0.5, 0.5], [0.6, 0.6]) == 0.0
    assert 0 < welch([0.5, 0.5, 0.5], [0.5, 0.6, 0.7]) < 1


def test_sample() -> None:
    sample = Sample(A)
    assert sample.n == 4
    assert sample.mean == pytest.approx(statistics.mean(A))
    assert sample.sd == pytest.approx(statistics.stdev(A))
    assert (Sample((0.5,)).mean, Sample((0.5,)).sd) == (0.5, 0.0)
