"""Checkpoints: a training is given up if it is at chance, or behind a share of what earlier candidates had at a rung."""

from __future__ import annotations

import pytest
from torch import nn

from glo.errors import ConfigError
from glo.expr import parse
from glo.records import Direction, Training, TrainingConfig
from glo.tasks import Task
from glo.training import train_single
from glo.training.checkpoints import FEWEST, Checkpoint, checkpoints
from glo.training.measurement import Measurement
from glo.training.population import train_population
from small import CLASSES, certainty, points

RUNGS = ((0.1, 0.1), (0.5, 0.5))
LOSSES = ("x*log(y)", "x*y", "x*sqrt(y)", "log(y) - x/y", "-1*x*log(y)")


def task_of(metric: object = "accuracy") -> Task:
    return Task("points", lambda: nn.Linear(4, CLASSES), points(0), points(1), points(2), metric=metric)  # pyright: ignore[reportArgumentType]


def config_of(**options: object) -> TrainingConfig:
    return TrainingConfig.model_validate({"steps": 20, "batch_size": 20, "rungs": RUNGS, **options})


def test_a_rung_has_a_bound_as_soon_as_enough_candidates_have_been_there() -> None:
    scores = [0.1 * number for number in range(FEWEST)]
    few, enough = (checkpoints(task_of(), config_of(), {10: scores[:count]}) for count in (FEWEST - 1, FEWEST))
    assert set(few) == set(enough) == {2, 10}
    assert (few[2].bound, few[10].bound, enough[2].bound) == (None, None, None)
    assert enough[10].bound == pytest.approx(0.35)


@pytest.mark.parametrize(("direction", "worse", "better"), [(Direction.MAXIMIZE, 0.3, 0.5), (Direction.MINIMIZE, 0.5, 0.3)])
def test_a_score_behind_the_bound_is_given_up_and_one_at_it_goes_on(
    direction: Direction, worse: float, better: float
) -> None:
    check = Checkpoint(0.3, direction, bound=0.4, share=0.5)
    assert check.reason(worse) == "after 30% of the steps, among the worst 50% of earlier candidates"
    assert check.reason(0.4) is None
    assert check.reason(better) is None


def test_a_rung_and_early_stopping_at_the_same_step_are_one_measurement() -> None:
    (first, _) = checkpoints(task_of(), config_of(early_stop=0.1), {2: [0.9] * FEWEST}).values()
    assert (first.recorded, first.chance, first.bound) == (True, task_of().chance(), 0.9)
    assert first.reason(0.2) == "at chance after 10% of the steps"
    assert first.reason(0.89) == "after 10% of the steps, among the worst 10% of earlier candidates"


@pytest.mark.parametrize("metric", ["accuracy", certainty])
def test_one_network_and_a_population_give_up_the_same(metric: object) -> None:
    task, config = task_of(metric), config_of(early_stop=0.1)
    trainings = [Training(parse(text), rate) for text in LOSSES for rate in (0.01, 1.0)]
    free = [train_single(task, training, config, 0) for training in trainings]
    at_half = sorted(result.curve[-1][1] for result in free if len(result.curve) == len(RUNGS))
    earlier = {10: [at_half[len(at_half) // 2]] * FEWEST}
    alone = [train_single(task, training, config, 0, earlier=earlier) for training in trainings]
    together = train_population(task, trainings, config, 0, earlier=earlier)
    assert len({result.stopped for result in alone}) == 2, "too small to tell them apart"
    for found, expected, unbounded in zip(together, alone, free, strict=True):
        assert (found.stopped, found.diverged, found.reason) == (expected.stopped, expected.diverged, expected.reason)
        assert found.validation == pytest.approx(expected.validation, abs=1e-5)
        assert [step for step, _ in found.curve] == [step for step, _ in expected.curve]
        if not expected.stopped:
            assert expected == unbounded  # what goes on is not changed by being measured against others


def test_the_whole_training_has_no_checkpoint() -> None:
    assert checkpoints(task_of(), config_of(early_stop=0.1).whole, {2: [1.0] * FEWEST}) == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rungs": [[0.5, 0.1], [0.1, 0.1]]}, "the fractions rise"),
        ({"rungs": [[0.1, 0.1], [0.1, 0.2]]}, "the fractions rise"),
        ({"rungs": [[1.0, 0.1]]}, "rungs"),
        ({"rungs": [[0.1, 0.0]]}, "rungs"),
    ],
)
def test_rungs_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    from glo.records import validated

    with pytest.raises(ConfigError, match=message):
        validated(TrainingConfig, {"rungs": RUNGS, **options})


def test_a_network_that_diverges_sets_no_bound_for_others() -> None:
    """Its score counts as 0, which would be the best of errors."""
    inputs, labels = points(0)
    data = (inputs, labels.float().reshape(-1, 1))
    task = Task("values", lambda: nn.Linear(4, 1), data, data, metric="rmse", link="identity")
    trainings = [Training(parse("-square(x - y)"), rate) for rate in (0.01, 1e30)]
    alone = [train_single(task, training, config_of(), 0) for training in trainings]
    for healthy, diverged in (alone, train_population(task, trainings, config_of(), 0)):
        assert (healthy.diverged, len(healthy.curve)) == (False, 2)
        assert diverged.diverged
        assert diverged.curve == ()


def test_a_metric_without_a_value_at_a_rung_may_have_one_in_the_end() -> None:
    check = Checkpoint(0.1, Direction.MAXIMIZE, recorded=True, bound=0.5)
    assert check.why_given_up(Measurement(0.0, diverged=True, reason="the metric is nan")) is None
    assert check.why_given_up(Measurement(0.0, diverged=True)) == "diverged"
    assert check.why_given_up(Measurement(0.4, diverged=False)) is not None
