"""The searches that glo is compared with: they find losses that the language of glo can read."""

from __future__ import annotations

import pytest

from glo.expr import parse
from glo.tasks import load_task

pytest.importorskip("deap", reason="pip install 'glo-torch[bench]'")
pytest.importorskip("optuna", reason="pip install 'glo-torch[bench]'")

from benchmarks.peers import deap_glo, optuna_glo


def test_a_search_by_deap_counts_each_tree_at_its_best_rate() -> None:
    task = load_task("digits")
    one = deap_glo.search(task, 1, 0, 20, [0.01], population=30, generations=1)
    both = deap_glo.search(task, 1, 0, 20, [0.01, 1.0], population=30, generations=1)
    assert both.trainings == 2 * one.trainings > 0
    assert one.known.keys() == both.known.keys()
    assert all(both.known[text] >= one.known[text] for text in one.known)
    assert both.best == max(both.known.values()) > one.best


def test_a_skilled_search_ends_with_a_confirmed_loss() -> None:
    points = deap_glo.skilled(load_task("digits"), 1, 0, 20, [0.3], population=30, generations=2, elites=2)
    assert [point.seconds for point in points] == sorted(point.seconds for point in points)
    assert {"x", "y"} <= {name for name in "xy" if parse(points[-1].loss).uses(name)}


def test_optuna_tries_published_losses() -> None:
    points = optuna_glo.search(load_task("digits"), 1, 0, 20, trials=4)
    assert all(parse(point.loss).uses("y") for point in points)
    assert points[-1].loss == points[-2].loss
