"""The time that is left, in the progress of a command."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import glo
from glo.cli.output import Progress, show_generations
from glo.cli.time_left import seconds_left, time_left


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


def test_what_the_progress_shows() -> None:
    now = [100.0]
    progress = Progress(lambda: now[0])
    progress.show("choosing", 2, 10)
    now[0] = 110.0
    progress.show("choosing", 6, 20, "rates")
    assert progress.lines == ["choosing rates, about 35 s left"]  # 4 in 10 s, 14 to come
    progress.show("genetic", 5, None, "5 candidates", 130.0)
    assert progress.lines == ["choosing rates", "genetic 5 candidates, about 3 min left"]
    progress.show("genetic", 10, None, "10 candidates")
    assert progress.lines[1] == "genetic 10 candidates"


def test_a_search_shows_it(tmp_path: Path) -> None:
    """Of the search while it runs, of the confirmation after that; nothing is left at the end, or said of a replay."""
    progress = Progress()
    shown: list[str] = []

    class Noting(glo.Callback):
        def on_generation(self, study: glo.Study, generation: object) -> None:
            shown.append(progress.lines[-1])

    def study(*callbacks: glo.Callback) -> glo.Study:
        return glo.Study("digits", storage=tmp_path / "glo.db", name="run", device="cpu", callbacks=callbacks)

    options: dict[str, Any] = {"generations": 2, "population": 6, "steps": 20, "confirm": 2}
    study(show_generations(progress), Noting()).search(**options)
    assert [line.split()[0] for line in shown] == ["genetic"] * 2 + ["confirmation"] * 3
    assert all(" left" in line and ", about " in line for line in shown)
    assert shown[-1].endswith("about 0 s left")
    assert "left" not in progress.lines[0]
    replayed = Progress()
    study(show_generations(replayed)).search(**options)
    assert len(replayed.lines) == 2
    assert not any("left" in line for line in replayed.lines)
