"""The time that is left, and how it is said."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glo.progress import seconds_left, time_left


@given(st.floats(-1e9, 1e9), st.integers(-5, 10**6), st.none() | st.integers(-5, 10**6))
def test_it_is_never_negative_and_nothing_is_divided_by_zero(elapsed: float, done: int, total: int | None) -> None:
    left = seconds_left(elapsed, done, total)
    assert left is None or left >= 0
    assert (left is None) == (total is None or done <= 0 or elapsed < 0)


def test_parts_take_equally_long() -> None:
    assert seconds_left(10, 4, 10) == 15
    assert seconds_left(10, 10, 10) == seconds_left(10, 11, 10) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""), (math.inf, ""), (math.nan, ""), (-3.0, "about 0 s left"), (0.2, "about 1 s left"),
        (59, "about 59 s left"), (60, "about 1 min left"), (61, "about 2 min left"), (3599, "about 60 min left"),
        (5400, "about 1.5 h left"),
    ],
)  # fmt: skip
def test_in_words(seconds: float | None, text: str) -> None:
    assert time_left(seconds) == text
