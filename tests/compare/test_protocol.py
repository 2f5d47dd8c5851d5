"""Comparisons: each loss at its own best rate, by validation; all with the same fresh seeds, on test."""

from __future__ import annotations

import itertools
import json

import pytest
from scipy.stats import binomtest
from torch import Tensor, nn

from compare.scripted import BRIEF, NAN_LOSS, Recording, Scripted, compared, config_of, scaled, some, task_of
from glo.catalog import NAMED, cross_entropy, mse
from glo.compare.procedures import run_all
from glo.compare.protocol import compare, measure
from glo.compare.rows import Contender
from glo.compare.statistics import welch
from glo.execution import InlineExecutor
from glo.records import Training, TrainingConfig
from glo.training import train_single
from search.frequencies import FALSE_ALARM
from small import CLASSES, certainty


def test_measured_by_hand_on_test() -> None:
    task, config = task_of(), config_of(0.3, repeats=3, seed=5)
    contenders = [Contender(cross_entropy, "", 0.3, 0.0), Contender(mse, "", 1.0, 0.0)]
    executor = Recording()
    samples = executor.run(measure(task, BRIEF, contenders, config))
    assert [on_test for _, on_test in executor.calls] == [True] * 3
    for contender, sample in zip(contenders, samples, strict=True):
        training = Training(contender.expression, contender.learning_rate)
        expected = [train_single(task, training, BRIEF, seed, test=True) for seed, _ in executor.calls]
        assert sample.values == pytest.approx([result.test for result in expected], abs=1e-5)
        assert sample.values != pytest.approx([result.validation for result in expected], abs=1e-3)
        assert len(set(sample.values)) == 3


@pytest.mark.parametrize("seed", [0, 1])
def test_test_seeds_are_fresh(seed: int) -> None:
    config = config_of(0.1, 0.2, tuning_seeds=20, repeats=20, seed=seed)
    tuning, test, others = (Scripted(lambda training, _: training.learning_rate) for _ in range(3))
    tuning.choose({"loss": {"": mse}}, config)
    contender = [Contender(mse, "", 0.1, 0.0)]
    test.run(measure(task_of(), BRIEF, contender, config))
    others.run(measure(task_of(), BRIEF, contender, config.model_copy(update={"seed": seed + 1})))
    assert (len(set(tuning.seeds)), len(set(test.seeds)), len(set(others.seeds))) == (20, 20, 20)
    assert not set(tuning.seeds) & set(test.seeds)
    assert not set(others.seeds) & (set(test.seeds) | set(tuning.seeds))
    assert (tuning.on_test, test.on_test) == ({False}, {True})


def test_all_losses_are_measured_with_the_same_seeds() -> None:
    """One loss under two names has the same values, seed by seed, and no difference to itself."""
    families = {"one": {"": cross_entropy}, "between": {"": mse}, "other": {"": cross_entropy}}
    table = compared(task_of(), families, config_of(0.1, 0.5, 2.5, 12.5, tuning_seeds=1, repeats=4))
    assert table["one"].values == table["other"].values
    assert table["one"].values != table["between"].values
    assert len(set(table["one"].values)) == 4
    assert (table["other"].difference, table["other"].p_value, table["other"].hedges_g) == (0.0, 1.0, 0.0)


# The heart of honesty: the scale of a loss is not its merit.


@pytest.mark.parametrize("factor", [2, 16, 0.25])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "baikal"])
def test_a_rescaled_copy_of_a_loss_is_no_better(loss: str, factor: float) -> None:
    """On a ladder of powers of 2, a loss times 2^k finds its best rate k rungs lower, and is the same from there on."""
    families = {"loss": {"": NAMED[loss]}, "copy": {"": scaled(NAMED[loss], factor)}}
    config = config_of(*(2.0**power for power in range(-12, 9)), tuning_seeds=1, repeats=3)
    table = compared(task_of(), families, config)
    assert not table["loss"].at_edge
    assert not table["copy"].at_edge
    assert table["copy"].learning_rate == table["loss"].learning_rate / factor
    assert table["copy"].values == table["loss"].values
    assert len(set(table["copy"].values)) == 3
    assert (table["copy"].difference, table["copy"].p_value) == (0.0, 1.0)


def test_at_a_fixed_rate_a_rescaled_copy_looks_better() -> None:
    """It is the same loss, and the difference is significant: why a fixed rate must be told."""
    families = {"loss": {"": cross_entropy}, "copy": {"": scaled(cross_entropy, 16)}}
    config = config_of(0.02, tuning_seeds=1, repeats=5)
    assert config.confounded
    table = compared(task_of(), families, config)
    assert table["copy"].learning_rate == table["loss"].learning_rate == 0.02
    assert some(table["copy"].difference) > 0.1
    assert some(table["copy"].p_value) < 0.01


def test_a_coarse_ladder_leaves_little_of_the_difference() -> None:
    """A copy by a factor between the rungs is off its best rate by less than a rung; at a fixed rate by all of it."""
    families = {"loss": {"": cross_entropy}, "copy": {"": scaled(cross_entropy, 5)}}
    ladder = tuple(0.01 * 3.0**power for power in range(9))
    fair = compared(task_of(), families, config_of(*ladder, tuning_seeds=2, repeats=3))["copy"].difference
    fixed = compared(task_of(), families, config_of(0.05, tuning_seeds=1, repeats=3))["copy"].difference
    assert abs(some(fair)) < 0.03
    assert some(fixed) > 0.15


def test_early_stopping_is_taken_out() -> None:
    """A loss that starts slowly is not given up."""
    task, slow = task_of(metric="accuracy"), Training(cross_entropy, 1e-4)
    config = config_of(1e-4, tuning_seeds=1, repeats=2)
    hasty = BRIEF.model_copy(update={"early_stop": 0.1})
    assert train_single(task, slow, hasty, seed=0).stopped
    families = {"slow": {"": cross_entropy}, "other": {"": mse}}
    table = compared(task, families, config, hasty)
    assert table == compared(task, families, config)
    assert min(table["slow"].values) > 0


def test_a_loss_that_diverges_is_worth_nothing() -> None:
    families = {"good": {"": cross_entropy}, "nan": {"": NAN_LOSS}}
    table = compared(task_of(), families, config_of(0.1, 0.2, tuning_seeds=1, repeats=2))
    assert table["nan"].values == (0.0, 0.0)
    assert table["nan"].validation == 0.0
    assert table["nan"].difference == -table["good"].mean < -0.3
    json.dumps([row.to_dict() for row in table.values()], allow_nan=False)


class Breaks(nn.Module):
    """Cannot be trained, only evaluated."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            raise RuntimeError("out of memory")
        return self.layer(inputs)


def test_training_that_crashes_is_worth_nothing() -> None:
    families = {"one": {"": cross_entropy}, "other": {"": mse}}
    table = compared(task_of(model=Breaks), families, config_of(0.1, 0.2, tuning_seeds=1, repeats=2))
    assert [row.values for row in table.values()] == [(0.0, 0.0), (0.0, 0.0)]
    assert (table["other"].difference, table["other"].p_value, table["other"].hedges_g) == (0.0, 1.0, None)
    json.dumps([row.to_dict() for row in table.values()], allow_nan=False)


def test_one_loss_that_crashes_disturbs_no_other() -> None:
    def fragile(predictions: Tensor, targets: Tensor) -> Tensor:
        if predictions.max() > 0.9999 and predictions.std(0).max() > 0:  # not the constants that chance is judged by
            raise ValueError("too sure of itself")
        return certainty(predictions, targets)

    families = {"good": {"": cross_entropy}, "too sure": {"": scaled(cross_entropy, 4096)}}
    config = config_of(0.1, tuning_seeds=1, repeats=2)
    table = compared(task_of(metric=fragile), families, config)
    assert table["too sure"].values == (0.0, 0.0)
    assert table["good"].values == pytest.approx(compared(task_of(), families, config)["good"].values)


def test_no_false_difference_between_equals() -> None:
    """A loss against itself on other seeds, as two studies would: at most 5 % of 60 are significant; false alarm 1e-4.

    By Welch's test of five values each, of real trainings; seeds that two studies shared would not be independent.
    """
    task, training, pairs = task_of(), TrainingConfig(steps=3, batch_size=30), 60
    contender = [Contender(cross_entropy, "", 0.3, 0.0)]
    configs = [config_of(0.3, repeats=5, seed=seed) for seed in range(2 * pairs)]
    measured = run_all(InlineExecutor(), [measure(task, training, contender, config) for config in configs])
    samples = [sample.values for (sample,) in measured]
    assert len(set(itertools.chain(*samples))) == 10 * pairs
    alarms = sum(welch(a, b) < 0.05 for a, b in zip(samples[::2], samples[1::2], strict=True))
    assert binomtest(alarms, pairs, 0.05, alternative="greater").pvalue > FALSE_ALARM


def test_progress_of_a_comparison() -> None:
    calls: list[tuple[str, int, int]] = []
    config = config_of(0.1, 0.3, tuning_seeds=2, repeats=3)
    families = {"a": {"": cross_entropy}, "b": {"": mse}}
    run_all(InlineExecutor(), [compare(task_of(), BRIEF, families, config)], lambda *call: calls.append(call))
    by_label = {label: [call[1:] for call in calls if call[0] == label] for label in dict.fromkeys(c[0] for c in calls)}
    assert list(by_label) == ["choosing learning rates", "measuring on test"]
    for done in by_label.values():
        numbers = [number for number, _ in done]
        assert numbers == sorted(set(numbers))
        assert all(number <= total for number, total in done)
        assert done[-1][0] == done[-1][1]
    assert by_label["measuring on test"] == [(2, 6), (4, 6), (6, 6)]
