"""Comparisons: what is tuned, what is measured, and on which seeds."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from glo.experiments.comparison import Contender, measure, seeds_for, tune
from glo.expr import parse
from glo.losses import cross_entropy
from glo.records import TrainingConfig
from glo.tasks import Task
from glo.training import Training, train_single

TRAINING = TrainingConfig(steps=60, batch_size=40)


@pytest.fixture(scope="module")
def points() -> Task:
    """Three classes of points, told apart by a linear network; the test split is harder than the validation split."""
    rng = np.random.default_rng(0)
    labels = np.arange(360) % 3
    spread = np.where(np.arange(360) < 240, 1.0, 3.0)[:, None]
    inputs = (spread * rng.normal(size=(360, 4)) + 3 * np.eye(4)[labels]).astype(np.float32)
    train, validation, test = ((inputs[a:b], labels[a:b]) for a, b in ((0, 120), (120, 240), (240, 360)))
    return Task("points", lambda: nn.Linear(4, 3), train, validation, test)


def test_better_learning_rate_is_chosen(points: Task) -> None:
    best = tune(points, {"": cross_entropy}, TRAINING, [1, 2], ladder=(1e-6, 0.3, 1e-5))
    assert best.learning_rate == 0.3
    assert best.validation > 0.8


def test_better_variant_is_chosen(points: Task) -> None:
    variants = {"upside down": parse("-x*log(y)"), "good": cross_entropy, "slow": parse("x*log(y)*0.00001")}
    best = tune(points, variants, TRAINING, [1, 2], ladder=(0.1, 0.3))
    assert (best.variant, best.expression) == ("good", cross_entropy)


def test_choice_is_by_the_mean_over_the_seeds(points: Task) -> None:
    seeds = [5, 6, 7]
    rates = (0.003, 0.01, 0.03)
    config = TRAINING.model_copy(update={"steps": 5})
    best = tune(points, {"": cross_entropy}, config, seeds, ladder=rates)
    means = [
        np.mean([train_single(points, Training(cross_entropy, rate), config, seed).validation for seed in seeds])
        for rate in rates
    ]
    assert best.learning_rate == rates[int(np.argmax(means))]
    assert best.validation == pytest.approx(max(means), abs=0.02)


def test_measured_is_the_test_split_once_for_each_seed(points: Task) -> None:
    contenders = [Contender(cross_entropy, "", 0.3, 0.0), Contender(parse("-x*log(y)"), "", 0.3, 0.0)]
    calls: list[None] = []
    seeds = [11, 12, 13]
    samples = measure(points, contenders, TRAINING, seeds, on_seed=lambda: calls.append(None))
    assert [sample.n for sample in samples] == [3, 3]
    assert len(calls) == 3
    assert samples[0].mean > samples[1].mean
    alone = [train_single(points, Training(cross_entropy, 0.3), TRAINING, seed, test=True) for seed in seeds]
    assert samples[0].values == pytest.approx([result.test for result in alone], abs=0.02)
    # It would be otherwise, had it been measured on validation.
    assert abs(samples[0].mean - float(np.mean([result.validation for result in alone]))) > 0.05


def test_seeds_never_meet() -> None:
    tuning = {seed for run in range(20) for seed in seeds_for(run, "tuning", 50)}
    test = {seed for run in range(20) for seed in seeds_for(run, "test", 50)}
    assert len(tuning) == len(test) == 1000
    assert not tuning & test
    assert seeds_for(3, "test", 5) == seeds_for(3, "test", 9)[:5]
