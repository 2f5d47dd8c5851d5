"""Does the order of the losses hold when they are trained for longer?  On made-up rows."""

from __future__ import annotations

import pytest

from compare.made_up import rows_with
from glo.compare.horizons import Horizon, agreement, flip_warnings
from glo.compare.statistics import welch

CLEAR, VAGUE = 0.001, 0.2  # spread of the values; the means are 0.05 apart


def horizon(steps: int, spread: float = CLEAR, **means: float) -> Horizon:
    """Losses with these means, each with five values around it."""
    return Horizon(steps, rows_with({n: [mean + spread * step for step in (-2, -1, 0, 1, 2)] for n, mean in means.items()}))


def test_the_same_order_agrees() -> None:
    (between,) = agreement([horizon(100, a=0.5, b=0.6, c=0.7), horizon(1000, a=0.6, b=0.61, c=0.9)])
    assert between.to_dict() == {"steps": [100, 1000], "kendall_tau": pytest.approx(1.0), "flips": []}


def test_the_opposite_order_disagrees_in_every_pair() -> None:
    (between,) = agreement([horizon(100, a=0.5, b=0.6, c=0.7), horizon(1000, a=0.9, b=0.8, c=0.75)])
    assert between.kendall_tau == pytest.approx(-1.0)
    assert [flip.losses for flip in between.flips] == [("a", "b"), ("a", "c"), ("b", "c")]


def test_a_flip_has_both_differences_and_their_tests() -> None:
    short, long = horizon(100, a=0.70, b=0.65, c=0.1), horizon(1000, VAGUE, a=0.80, b=0.83, c=0.1)
    (between,) = agreement([short, long])
    assert between.kendall_tau == pytest.approx(1 / 3)
    (flip,) = between.flips
    assert flip.losses == ("a", "b")
    assert flip.ahead == pytest.approx((0.05, -0.03))
    assert flip.p_values == tuple(welch(each.rows[0].values, each.rows[1].values) for each in (short, long))
    assert flip.p_values[0] < 0.05 < flip.p_values[1]


@pytest.mark.parametrize(
    ("early", "late"),
    [((0.5, 0.5), (0.4, 0.6)), ((0.6, 0.5), (0.7, 0.7)), ((0.5, 0.5), (0.7, 0.7)), ((0.5, 0.6), (0.6, 0.7))],
)
def test_a_tie_is_no_flip(early: tuple[float, float], late: tuple[float, float]) -> None:
    (between,) = agreement([horizon(10, a=early[0], b=early[1]), horizon(20, a=late[0], b=late[1])])
    assert between.flips == []
    assert flip_warnings([between]) == []


def test_all_ties_have_no_tau() -> None:
    (between,) = agreement([horizon(10, a=0.5, b=0.5), horizon(20, a=0.6, b=0.7)])
    assert between.kendall_tau is None


def test_every_two_horizons_are_compared() -> None:
    """A loss that is behind in the middle alone: both flips are told."""
    horizons = [horizon(10, a=0.6, b=0.5), horizon(20, a=0.6, b=0.7), horizon(30, a=0.8, b=0.7)]
    found = agreement(horizons)
    assert [between.steps for between in found] == [(10, 20), (10, 30), (20, 30)]
    assert [between.kendall_tau for between in found] == pytest.approx([-1, 1, -1])
    assert [len(between.flips) for between in found] == [1, 0, 1]
    assert len(flip_warnings(found)) == 2


def test_one_horizon_has_nothing_to_agree_with() -> None:
    assert agreement([horizon(10, a=0.6, b=0.5)]) == []
    assert flip_warnings([]) == []


@pytest.mark.parametrize(
    ("spreads", "verdict"),
    [
        ((CLEAR, CLEAR), "both differences have p < 0.05, uncorrected"),
        ((CLEAR, VAGUE), "not beyond noise"),
        ((VAGUE, CLEAR), "not beyond noise"),
        ((VAGUE, VAGUE), "not beyond noise"),
    ],
)
@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
def test_a_flip_in_words(spreads: tuple[float, float], verdict: str, first: str, second: str) -> None:
    """Who was ahead, by how much, and whether both differences are significant; whichever loss is listed first."""
    ahead, behind = {first: 0.70, second: 0.65}, {first: 0.80, second: 0.86}
    in_order = [{name: means[name] for name in ("a", "b")} for means in (ahead, behind)]
    horizons = [horizon(n, spread, **means) for n, spread, means in zip((100, 2000), spreads, in_order, strict=True)]
    (text,) = flip_warnings(agreement(horizons))
    assert text == f"{first} is ahead of {second} at 100 steps (+0.0500) and behind at 2000 (-0.0600); {verdict}"
