"""A guard against slowness that counts work, not seconds: how many steps a search with a given seed trains."""

from __future__ import annotations

from pathlib import Path

from benchmarks.evidence.timed_search import CountingExecutor
from glo.execution import InlineExecutor
from glo.study import Study

GENERATIONS, POPULATION, STEPS, RATES = 3, 12, 100, 2


def steps(folder: Path, *settings: str) -> int:
    """The training steps of a search by the default preset, all networks together."""
    executor = CountingExecutor(InlineExecutor())
    storage = f"{folder}/glo.db"
    study = Study("digits", name="work", storage=storage, cluster=executor, settings=settings)
    study.search(generations=GENERATIONS, population=POPULATION, steps=STEPS, confirm=0)
    return executor.steps


def test_a_search_trains_half_of_the_steps_of_its_candidates(tmp_path: Path) -> None:
    """Known losses, such as the elites, are not trained again, and the worst are given up at rungs: 3,490 steps of 7,200."""
    assert 0 < steps(tmp_path) <= 0.55 * GENERATIONS * POPULATION * RATES * STEPS


def test_without_rungs_only_known_losses_are_spared(tmp_path: Path) -> None:
    """With them, a search trains fewer steps than without: 5,600."""
    trained = steps(tmp_path, "training.rungs=[]", "training.early_stop=0")
    assert 0.6 < trained / (GENERATIONS * POPULATION * RATES * STEPS) <= 0.85
    assert trained % STEPS == 0
