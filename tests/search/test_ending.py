"""A search ends at its target, or without progress."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glo.errors import ConfigError
from glo.records import Direction, Outcome, PhaseKind, Stage, Status
from glo.search import GeneticConfig, GeneticSearch, SteadyStateSearch
from glo.study import compose, discover, load_study
from glo.study.phases import phases
from glo.tasks import Objective, load_task

POPULATION = 5


def outcomes(expressions: list[Any], fitness: float, status: Status = Status.TRAINED) -> list[Outcome]:
    return [Outcome(str(expression), "", status, Stage.TRAINING, fitness=fitness) for expression in expressions]


def generations(config: GeneticConfig, fitnesses: Callable[[int], float], status: Status = Status.TRAINED) -> int:
    """How many generations a search asks for, whose candidates all have the fitness of their generation."""
    search, asked = GeneticSearch(config, 0, 10), 0
    while not search.done:
        search.tell(outcomes(search.ask(), fitnesses(asked), status))
        asked += 1
    return asked


def config_of(**options: Any) -> GeneticConfig:
    return GeneticConfig(population=POPULATION, elites=1, **options)


@pytest.mark.parametrize(("target", "expected"), [(0.0, 1), (0.35, 5), (0.4, 5), (2.0, 10)])
def test_a_target(target: float, expected: int) -> None:
    assert generations(config_of(target=target), lambda generation: generation / 10) == expected


def test_a_value_that_is_no_fitness_reaches_no_target() -> None:
    """A training that was given up, at a rung where it stood high, has no fitness."""
    assert generations(config_of(target=0.5), lambda generation: 0.9, Status.STOPPED) == 10


@pytest.mark.parametrize(("patience", "expected"), [(1, 4), (2, 5), (9, 10)])
def test_patience_counts_generations_without_progress(patience: int, expected: int) -> None:
    """Fitness rises in the first three generations."""
    assert generations(config_of(patience=patience), lambda generation: min(generation, 2) / 10) == expected


def test_given_losses_do_not_use_up_patience() -> None:
    config = config_of(patience=1, start=tuple(f"x*{number}*y" for number in range(2, 30)))
    assert generations(config, lambda generation: min(generation, 2) / 10) == 4


def test_a_steady_state_search_counts_candidates() -> None:
    search, told = SteadyStateSearch(config_of(patience=2), 0, 100), 0
    while not search.done:
        search.tell(outcomes(search.ask(), 0.5))
        told += 1
    assert told == 1 + 2 * POPULATION


def test_the_target_of_an_error_is_reached_from_above() -> None:
    objective = Objective(lambda trial: 1.0, classes=3, direction=Direction.MINIMIZE)
    config = compose(objective, overrides={"genetic": {"target": 0.3, "population": 4}, "phases": [PhaseKind.GENETIC]})
    for error, ends in ((0.4, False), (0.3, True)):
        search = next(phases(config, lambda expressions: [str(e) for e in expressions], [])).search
        search.tell(outcomes(search.ask(), -error))  # what a search is told of an error
        assert search.done is ends


def test_a_study_that_reaches_its_target_is_confirmed_and_goes_on_as_recorded(tmp_path: Path) -> None:
    options: Any = {"generations": 5, "population": 8, "steps": 60, "target": 0.5, "name": "run"}
    found = discover("digits", storage=tmp_path / "glo.db", **options)
    kinds = [record.phase for record in found.history]
    assert kinds[0] is PhaseKind.GENETIC
    assert kinds.count(PhaseKind.GENETIC) < 5
    assert kinds[-1] is PhaseKind.CONFIRMATION
    assert found.config.planned is None
    assert load_study("run", tmp_path / "glo.db").resume().history_digest() == found.history_digest()


@pytest.mark.parametrize("options", [{"patience": 0}, {"target": float("nan")}, {"target": float("inf")}])
def test_no_target_and_no_patience(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        compose(load_task("digits"), overrides={"genetic": options})
