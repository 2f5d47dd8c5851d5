"""The profile of a search: its stages are functions that exist, and their seconds add up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.profile import STAGES, main, resolved
from glo.training.population import _Population


@pytest.mark.parametrize("name", [name for names in STAGES.values() for name in names])
def test_a_stage_is_a_function_that_exists(name: str) -> None:
    owner, attribute = resolved(name)
    assert callable(getattr(owner, attribute))


def test_a_function_that_was_renamed_is_an_error() -> None:
    with pytest.raises(AttributeError, match=r"correct STAGES in benchmarks/profile\.py"):
        resolved("glo.training.population:_Population.nonsense")


def test_the_seconds_of_the_stages_add_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = _Population.train
    out = tmp_path / "profile.json"
    assert main(["search", "--small", "--out", str(out)]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))["search"]
    assert sum(stage["cpu_s"] for stage in found["stages"]) == pytest.approx(found["cpu_s"], rel=0.1)
    assert found["processes"] > 0
    names = {stage["stage"] for stage in found["stages"]}
    assert {"losses: gradient", "forward pass", "descent probe", "breeding", "store", "check: structure"} <= names
    assert "descent probe" in capsys.readouterr().out
    assert _Population.train is before
