"""The expected time of what is left of a search, from what was measured; no training."""

from __future__ import annotations

import math
from typing import Any

import pytest

from glo.errors import ConfigError
from glo.records import Outcome, PhaseKind, Stage, StageCount, Status, new_counts
from glo.store import GenerationRecord
from glo.study import StudyConfig
from glo.study.pace import Engine, Pace, confirmation_seconds, generation_seconds, pace_of, seconds_left
from glo.study.timeouts import how_time_ended, seconds_of

ALONE, TWO = Engine(1, together=False), Engine(2, together=False)
GPU = Engine(1, together=True)
GENETIC, CONFIRMATION = PhaseKind.GENETIC, PhaseKind.CONFIRMATION


def config_of(**options: Any) -> StudyConfig:
    values: dict[str, Any] = {
        "task": {"name": "points"},
        "generations": 10,
        "genetic": {"population": 10},
        "confirmation": {"candidates": 12},
        "training": {"learning_rates": [0.1]},
    }
    return StudyConfig.model_validate({**values, **options})


def record(number: int, seconds: float, trained: int = 10, kind: PhaseKind = GENETIC, asked: int = 10) -> GenerationRecord:
    """A generation in which so many candidates were trained, each to the end."""
    outcomes = [Outcome("x*y", str(n), Status.TRAINED, Stage.TRAINING, fitness=0.5) for n in range(asked)]
    counts = new_counts()
    counts[Stage.EARLY_STOP].add(StageCount(trained))
    return GenerationRecord(number, kind, "", outcomes, counts, seconds)


def test_one_by_one_the_confirmation_costs_its_trainings() -> None:
    """12 candidates on 2 seeds, 6 on 2 further ones, 3 on 4: 48 trainings of a second."""
    assert confirmation_seconds(config_of(), [record(0, 10.0)], ALONE) == 48
    ladder = config_of(training={"learning_rates": [0.1, 0.2]})
    assert confirmation_seconds(ladder, [record(0, 10.0)], ALONE) == 24
    repeated = config_of(confirmation={"candidates": 12, "seeds": 1})
    assert confirmation_seconds(repeated, [record(0, 10.0)], ALONE) == 12  # the later rounds have no further seed


def test_no_round_is_faster_than_one_training() -> None:
    """On a hundred workers, where a generation takes as long as one training."""
    assert confirmation_seconds(config_of(), [record(0, 10.0)], Engine(100, together=False)) == 30


def test_a_population_takes_a_time_between_its_share_and_the_whole() -> None:
    pace = Pace(GPU, training=1.0, together=100.0)
    assert 12 < pace.round_seconds(12, 1) < 100
    assert pace.round_seconds(24, 2) == 2 * pace.round_seconds(12, 1)
    assert pace.round_seconds(1000, 1) == 100
    assert Pace(Engine(2, together=True), 0.5, 100.0).round_seconds(24, 2) == pace.round_seconds(12, 1)
    assert Pace(GPU, 1.0, 1.0, largest=False).round_seconds(16, 1) == 4  # of single candidates
    assert pace.round_seconds(0, 0) == 0


def test_a_round_shows_what_the_next_one_costs() -> None:
    config = config_of()
    history = [record(0, 10.0), record(1, 48.0, 24, CONFIRMATION)]
    assert confirmation_seconds(config, history, ALONE) == 2 * 24
    known = [record(0, 10.0), record(1, 0.1, 0, CONFIRMATION)]  # nothing was trained
    assert confirmation_seconds(config, known, ALONE) == 24
    done = [record(0, 10.0), *(record(n, 1.0, 12, CONFIRMATION) for n in (1, 2, 3))]
    assert confirmation_seconds(config, done, ALONE) == 0


def test_the_last_generations_count() -> None:
    history = [record(0, 1000.0), record(1, 10.0), record(2, 20.0), record(3, 30.0)]
    pace = pace_of(config_of(), history, ALONE)
    assert pace is not None
    assert pace.training == 2
    assert generation_seconds(history, GENETIC) == 30
    assert generation_seconds(history, PhaseKind.COEFFICIENTS) == 0


def test_trainings_that_were_given_up_count_as_far_as_they_came() -> None:
    given_up = Outcome("x*y", "0", Status.STOPPED, Stage.EARLY_STOP, fitness=0.5, reports=((10, 0.5), (30, 0.5)))
    stopped = GenerationRecord(0, GENETIC, "", [given_up] * 10, record(0, 10.0).funnel, 10.0)
    training = {"learning_rates": [0.1], "steps": 100, "rungs": [[0.1, 0.1], [0.3, 0.5]]}
    assert confirmation_seconds(config_of(training=training), [stopped], ALONE) == pytest.approx(48 / 0.3)
    objective = config_of(task={"name": "mine", "objective": True}, training=training)
    assert confirmation_seconds(objective, [stopped], ALONE) == 48


def test_arrivals_overlap() -> None:
    config = config_of(genetic={"population": 10, "steady_state": True}, trials=100)
    arrivals = [record(0, 1000.0, 1, asked=1), *(record(n, 2.0, 1, asked=1) for n in range(1, 20))]
    assert confirmation_seconds(config, arrivals, TWO) == 96
    assert seconds_left(config, arrivals, TWO) == 80 * 2 + 96
    assert seconds_left(config, arrivals[:1], TWO) is None


def test_the_time_that_is_left() -> None:
    config = config_of()
    assert seconds_left(config, [], ALONE) is None
    assert seconds_left(config, [record(0, 10.0)], ALONE) == 9 * 10 + 48
    assert seconds_left(config, [record(0, 10.0), record(1, 24.0, 24, CONFIRMATION)], ALONE) == 24
    assert seconds_left(config_of(trials=15), [record(0, 10.0)], ALONE) == 5 + 48
    longer = [record(n, 10.0) for n in range(20)]  # more candidates than planned
    assert seconds_left(config, longer, ALONE) == 48
    assert seconds_left(config, [record(0, 0.0, 0)], ALONE) == 0
    assert seconds_left(config, [record(0, 10.0, kind=PhaseKind.ENUMERATION)], ALONE) is None


def test_the_time_that_is_left_of_tuning() -> None:
    """Its confirmation has 3 candidates on 5 seeds: 3 iterations of 5 candidates."""
    config = config_of(phases=["coefficients"], coefficients={"expression": "x*log(y)", "iterations": 15})
    history = [record(n, 2.0, 5, PhaseKind.COEFFICIENTS, 5) for n in range(5)]
    assert seconds_left(config, history, ALONE) == (10 + 3) * 2
    assert seconds_left(config, history * 4, ALONE) == 3 * 2


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([], "the timeout of 9s has ended study 'run' before anything was trained to its end"),
        ([record(0, 1.0)], "after 10 candidates, without time to confirm the best, so chance flatters their fitness"),
        ([record(0, 1.0), record(1, 1.0, 9, CONFIRMATION)], "with time for 1 of 3 rounds of the confirmation"),
        ([record(0, 1.0), *[record(1, 1.0, 9, CONFIRMATION)] * 3], "after 10 candidates, and the best are confirmed"),
        ([record(0, 1.0), record(1, 1.0, 9, PhaseKind.COEFFICIENTS)], "has ended study 'run': to go on, glo resume run"),
    ],
)
def test_what_is_said_when_time_has_ended_a_study(history: list[GenerationRecord], message: str) -> None:
    said = how_time_ended("run", config_of(), history, "9s")
    assert message in said
    assert said.endswith("to go on, glo resume run")
    assert "confirm" not in how_time_ended("run", config_of(confirmation={"candidates": 0}), history, "9s")


@pytest.mark.parametrize(("length", "seconds"), [("90", 90), (1e-9, 1e-9), ("1.5m", 90), ("2h", 7200), (7, 7)])
def test_lengths_of_time(length: Any, seconds: float) -> None:
    assert seconds_of(length) == seconds


@pytest.mark.parametrize("length", [0, "0", -1, "-5", "soon", "1w", math.inf, math.nan, "", "1..5s"])
def test_no_lengths_of_time(length: Any) -> None:
    with pytest.raises(ConfigError, match="a timeout is a number of seconds above 0, or 90s, 30m, 2h, 1d, not"):
        seconds_of(length)
