"""Forty kills, and four with PostgreSQL; `python -m tests.soak` makes a thousand (docs/reliability.md has the record)."""

from __future__ import annotations

import sys

import pytest

from soak.kills import MODES, POSTGRES, soak

KILLS = {"generations": 10, "two processes": 6, "steady state": 8, "tuning after a search": 6, "tuning": 5, "enumeration": 5}
EACH = {**{mode: (MODES, kills) for mode, kills in KILLS.items()}, "generations, PostgreSQL": (POSTGRES, 4)}


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes that are left in /proc")
@pytest.mark.parametrize("mode", EACH)
def test_killed_studies_end_as_if_never_interrupted(mode: str) -> None:
    modes, kills = EACH[mode]
    record = soak({mode: modes[mode]}, kills, seed=11)
    assert record.faults == []
    assert record.kills.total() == kills
