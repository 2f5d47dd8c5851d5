"""Tests, intervals, effects and corrections: against scipy, hand calculations, and simulations of known truth."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, ttest_ind

from glo.compare.statistics import Sample, difference_interval, hedges_g, holm, kendall_tau, welch
from search.frequencies import FALSE_ALARM

A, B = (0.91, 0.93, 0.92, 0.95), (0.88, 0.90, 0.85)
VALUES = st.lists(st.integers(0, 100).map(lambda n: n / 100), min_size=2, max_size=8)
P_VALUES = st.lists(st.floats(0, 1) | st.integers(0, 20).map(lambda n: n / 400), max_size=6)
RANKED = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=9)


def sample_of(n: int, mean: float, sd: float) -> list[float]:
    """n numbers of exactly this mean and standard deviation."""
    raw = np.random.default_rng(n).normal(size=n)
    return (mean + sd * (raw - raw.mean()) / raw.std(ddof=1)).tolist()


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
    assert difference_interval([0.5, 0.5], [0.5, 0.5, 0.5]) == (0.0, 0.0)
    assert difference_interval([0.75, 0.75], [0.5, 0.5]) == (0.25, 0.25)
    low, high = difference_interval([0.5, 0.5, 0.5], [0.5, 0.6, 0.7])
    assert low < -0.1 < high


def test_sample() -> None:
    sample = Sample(A)
    assert sample.n == 4
    assert sample.mean == pytest.approx(statistics.mean(A))
    assert sample.sd == pytest.approx(statistics.stdev(A))
    assert (Sample((0.5,)).mean, Sample((0.5,)).sd) == (0.5, 0.0)


def test_interval_by_hand() -> None:
    """Means 3 and 1, variances 1 and 1, n = 3 each: 2 -+ t(4) * sqrt(2/3), with the tabulated t(4) = 2.776 (4.604)."""
    a, b = [2.0, 3.0, 4.0], [0.0, 1.0, 2.0]
    assert difference_interval(a, b) == pytest.approx((2 - 2.776 * math.sqrt(2 / 3), 2 + 2.776 * math.sqrt(2 / 3)), abs=1e-3)
    assert difference_interval(a, b, 0.99) == pytest.approx(
        (2 - 4.604 * math.sqrt(2 / 3), 2 + 4.604 * math.sqrt(2 / 3)), abs=1e-3
    )


@pytest.mark.parametrize(("n", "sd"), [((8, 20), (3.0, 1.0)), ((10, 10), (1.0, 1.0))])
def test_interval_holds_the_true_difference(n: tuple[int, int], sd: tuple[float, float]) -> None:
    """In 95 % of 1,500 pairs of normal samples; false alarm 1e-4.

    At n = 8 and 20 with deviations 3 and 1, Student's interval would hold it in 82 %, one of normal quantiles in 91 %:
    more than 6 standard errors away.  Welch's own approximation is good to 0.002 here.
    """
    rng = np.random.default_rng(0)
    difference, pairs, held = 0.7, 1500, 0
    for _ in range(pairs):
        a, b = rng.normal(difference, sd[0], n[0]), rng.normal(0, sd[1], n[1])
        low, high = difference_interval(a.tolist(), b.tolist())
        held += low <= difference <= high
    assert binomtest(held, pairs, 0.95).pvalue > FALSE_ALARM, f"{held / pairs:.3f} hold the true difference"


@given(a=VALUES, b=VALUES)
def test_interval_leaves_out_zero_where_welch_is_significant(a: list[float], b: list[float]) -> None:
    low, high = difference_interval(a, b)
    p_value = welch(a, b)
    assert low <= statistics.mean(a) - statistics.mean(b) + 1e-12
    assert high >= statistics.mean(a) - statistics.mean(b) - 1e-12
    if abs(p_value - 0.05) > 1e-9:
        assert (p_value < 0.05) == (low > 0 or high < 0)


@given(a=VALUES, b=VALUES)
def test_interval_and_effect_are_antisymmetric(a: list[float], b: list[float]) -> None:
    low, high = difference_interval(a, b)
    assert difference_interval(b, a) == pytest.approx((-high, -low), abs=1e-12)
    if len(set(a)) > 1 or len(set(b)) > 1:
        forth, back = hedges_g(a, b), hedges_g(b, a)
        assert forth is not None
        assert back == pytest.approx(-forth, abs=1e-12)
        assert abs(forth) < 1e-6 or (forth > 0) == (statistics.mean(a) > statistics.mean(b))


def test_a_more_confident_interval_is_wider() -> None:
    low, high = difference_interval(A, B)
    wider = difference_interval(A, B, 0.99)
    assert wider[0] < low < high < wider[1]


def test_hedges_g_of_a_textbook() -> None:
    """Borenstein et al., Introduction to Meta-Analysis (2009), chapter 4: d = 0.5970, J = 0.9923, g = 0.5924."""
    assert hedges_g(sample_of(50, 103, 5.5), sample_of(50, 100, 4.5)) == pytest.approx(0.5924, abs=1e-4)


@pytest.mark.parametrize(
    ("n", "correction"),
    # Gamma(f/2) / (sqrt(f/2) Gamma((f - 1)/2)) for f = n - 2 degrees of freedom, in closed form.
    [
        ((2, 2), 1 / math.sqrt(math.pi)),
        ((3, 3), math.sqrt(2 / math.pi)),
        ((2, 6), 4 / 3 * math.sqrt(1 / 3) * 2 / math.sqrt(math.pi)),
    ],
)
def test_hedges_g_is_corrected_exactly(n: tuple[int, int], correction: float) -> None:
    """Two samples with a pooled deviation of 1, their means 1 apart: g is the correction itself."""
    assert hedges_g(sample_of(n[0], 5, 1), sample_of(n[1], 4, 1)) == pytest.approx(correction, rel=1e-9)


def test_pooled_deviation_weighs_by_degrees_of_freedom() -> None:
    """Variances 4 and 1 of n = 3 and 7: (2*4 + 6*1) / 8 = 1.75; the correction for 8 degrees of freedom is 0.9027."""
    assert hedges_g(sample_of(3, 2, 2), sample_of(7, 0, 1)) == pytest.approx(0.9027 * 2 / math.sqrt(1.75), abs=1e-4)


def test_hedges_g_is_cohens_d_for_large_samples() -> None:
    found = hedges_g(sample_of(5000, 1.5, 2), sample_of(4000, 1, 2))
    assert found == pytest.approx(0.25, rel=2e-4)


def test_no_effect_size_without_spread() -> None:
    assert hedges_g([0.5, 0.5], [0.75, 0.75, 0.75]) is None
    assert hedges_g([0.5, 0.5], [0.5, 0.5]) is None
    assert hedges_g([0.5, 0.5], [0.5, 0.75]) is not None


def test_hedges_g_is_unbiased() -> None:
    """Its mean over 6,000 pairs of samples of 3 and 4 is the true effect 0.8; false alarm 1e-4.

    Cohen's d, uncorrected, would be 19 % too large: more than 10 standard errors.
    """
    rng = np.random.default_rng(1)
    found = [hedges_g(rng.normal(0.8, 1, 3).tolist(), rng.normal(0, 1, 4).tolist()) for _ in range(6000)]
    values = [value for value in found if value is not None]
    assert len(values) == len(found)
    standard_error = statistics.stdev(values) / math.sqrt(len(values))
    z = (statistics.mean(values) - 0.8) / standard_error
    assert standard_error < 0.015
    assert 2 * norm.sf(abs(z)) > FALSE_ALARM, f"mean g is {statistics.mean(values):.3f}"


def closed_testing(p_values: Sequence[float]) -> list[float]:
    """Holm's correction by its definition: a hypothesis falls if every intersection with it falls by Bonferroni."""
    everything = range(len(p_values))
    subsets = [s for size in range(1, len(p_values) + 1) for s in itertools.combinations(everything, size)]
    bonferroni = {s: min(1.0, len(s) * min(p_values[i] for i in s)) for s in subsets}
    return [max(p for s, p in bonferroni.items() if index in s) for index in everything]


def test_holm_by_hand() -> None:
    """Sorted .005*4 = .02, .01*3 = .03, .03*2 = .06, and .04*1 is raised to the .06 before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.4]) == pytest.approx([0.8, 0.8])
    assert holm([0.7, 0.6]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


@given(P_VALUES)
def test_holm_is_closed_testing(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(closed_testing(p_values))


@given(P_VALUES)
def test_holm_only_raises_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(raw <= new <= 1 for raw, new in zip(p_values, corrected, strict=True))
    by_rank = [new for _, new in sorted(zip(p_values, corrected, strict=True))]
    assert by_rank == sorted(by_rank)


@given(st.data(), P_VALUES)
def test_holm_does_not_depend_on_the_order(data: st.DataObject, p_values: list[float]) -> None:
    order = data.draw(st.permutations(range(len(p_values))))
    corrected = holm(p_values)
    assert holm([p_values[i] for i in order]) == pytest.approx([corrected[i] for i in order])


def test_familywise_error_of_holm() -> None:
    """Two real effects among five p-values: a false alarm among the other three in 1 - (1 - .05/3)^3 = 4.9 % of 20,000.

    Two-sided, false alarm 1e-4: 12.1 % uncorrected and 3.0 % by Bonferroni are more than 10 standard errors away.
    """
    rng = np.random.default_rng(2)
    repeats = 20_000
    alarms = sum(min(holm([*null, 1e-7, 1e-8])[:3]) < 0.05 for null in rng.random((repeats, 3)).tolist())
    assert binomtest(alarms, repeats, 1 - (1 - 0.05 / 3) ** 3).pvalue > FALSE_ALARM


def test_familywise_error_against_one_baseline() -> None:
    """Four losses as good as the baseline, by Welch's test on six values each, which all share the baseline's.

    At most 5 % of 800 comparisons may find any difference; false alarm 1e-4.  Uncorrected it would be about 12 %.
    """
    rng = np.random.default_rng(3)
    repeats, uncorrected, alarms = 800, 0, 0
    for _ in range(repeats):
        baseline, *others = rng.normal(size=(5, 6)).tolist()
        p_values = [welch(other, baseline) for other in others]
        uncorrected += min(p_values) < 0.05
        alarms += min(holm(p_values)) < 0.05
    assert binomtest(alarms, repeats, 0.05, alternative="greater").pvalue > FALSE_ALARM
    assert binomtest(uncorrected, repeats, 0.05, alternative="greater").pvalue < FALSE_ALARM  # the test can see it


def tau_by_pairs(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Kendall's tau-b by its definition: over all pairs, those tied in one list leaving the other's count."""
    pairs = list(itertools.combinations(zip(a, b, strict=True), 2))
    signs = [(np.sign(one[0] - other[0]), np.sign(one[1] - other[1])) for one, other in pairs]
    untied = math.prod(sum(1 for sign in signs if sign[side]) for side in (0, 1))
    return float(sum(x * y for x, y in signs) / math.sqrt(untied)) if untied else None


def test_kendall_tau_by_hand() -> None:
    """One of six pairs in another order: (5 - 1)/6.  A tie in one list: 5/sqrt(5*6)."""
    assert kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert kendall_tau([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / math.sqrt(30))
    assert kendall_tau([0.1, 0.5, 0.9], [1, 20, 300]) == pytest.approx(1)
    assert kendall_tau([0.1, 0.5, 0.9], [3, 2, 1]) == pytest.approx(-1)


@given(RANKED)
def test_kendall_tau_is_a_count_of_pairs(pairs: list[tuple[int, int]]) -> None:
    a, b = zip(*pairs, strict=True)
    expected = tau_by_pairs(a, b)
    assert kendall_tau(a, b) == (None if expected is None else pytest.approx(expected))


def test_no_tau_of_all_ties() -> None:
    assert kendall_tau([0.5, 0.5, 0.5], [0.1, 0.2, 0.3]) is None
    assert kendall_tau([0.1, 0.2, 0.3], [0.5, 0.5, 0.5]) is None
    assert kendall_tau([0.5, 0.5], [0.5, 0.5]) is None
