"""Comparisons: each loss at its own best rate, by validation; all by the same fresh seeds, on test.

The choice is tested with made-up scores, where every case can be had, and with trainings, against `train_single` by hand.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from torch import Tensor, nn

from glo.catalog import NAMED, cross_entropy, mse, smoothed_cross_entropy
from glo.compare.protocol import (
    EXTENSIONS,
    LADDER,
    SMOOTHINGS,
    Contender,
    Family,
    Protocol,
    baselines,
    choose,
    compare,
    measure,
    rows,
)
from glo.compare.statistics import Sample, difference_interval, hedges_g, holm, welch
from glo.errors import ConfigError
from glo.execution import Trainer
from glo.expr import Expr, parse
from glo.loss import ExpressionLoss
from glo.records import TrainingConfig, derive_seed
from glo.tasks import Task
from glo.training import Training, TrainingResult, train_single
from search.frequencies import FALSE_ALARM
from small import CLASSES, certainty, points

NAN_LOSS = parse("x*y*log(0 - 1)")
BRIEF = TrainingConfig(steps=12, batch_size=30)


def task_of(**changes: Any) -> Task:
    options: dict[str, Any] = {"test": points(2), "metric": certainty, "model": lambda: nn.Linear(4, CLASSES)}
    return Task("points", train=points(0), validation=points(1), **{**options, **changes})


def scaled(expression: Expr, factor: float) -> Expr:
    return parse(f"{factor!r}*({expression})")


class Scripted(Trainer):
    """A score for each training and number of the seed, in place of training; remembers what it was asked."""

    def __init__(self, score: Callable[[Training, int], float | str]) -> None:
        self._score = score
        self.seeds: list[int] = []
        self.rounds: list[set[Training]] = []
        self.on_test: set[bool] = set()

    def train(
        self,
        trainings: Sequence[Training],
        seed: int | Sequence[int],
        test: bool = False,
        on_done: Callable[[int], None] = lambda done: None,
    ) -> list[TrainingResult | str]:
        assert not isinstance(seed, int)
        self.seeds += [new for new in dict.fromkeys(seed) if new not in self.seeds]
        if self.seeds[0] in seed:
            self.rounds.append({training for training, s in zip(trainings, seed, strict=True) if s == self.seeds[0]})
        self.on_test.add(test)
        scores = [self._score(training, self.seeds.index(s)) for training, s in zip(trainings, seed, strict=True)]
        on_done(len(scores))
        return [score if isinstance(score, str) else TrainingResult(score, test=score if test else None) for score in scores]

    @property
    def asked(self) -> set[Training]:
        return set().union(*self.rounds)

    def rates(self, expression: Expr) -> list[float]:
        return sorted(training.learning_rate for training in self.asked if training.expression == expression)


class Recording(Trainer):
    """Trains, and remembers the seeds and whether it was asked for the test metric."""

    def __init__(self, task: Task, config: TrainingConfig) -> None:
        super().__init__(task, config)
        self.calls: list[tuple[int, bool]] = []

    def train(
        self,
        trainings: Sequence[Training],
        seed: int | Sequence[int],
        test: bool = False,
        on_done: Callable[[int], None] = lambda done: None,
    ) -> list[TrainingResult | str]:
        assert not isinstance(seed, int)
        self.calls += [(new, test) for new in dict.fromkeys(seed)]
        return super().train(trainings, seed, test, on_done)


def single(expression: Expr) -> Mapping[str, Family]:
    return {"loss": {"": expression}}


def peak_at(best: float) -> Callable[[Training, int], float]:
    """A score that falls off on both sides of a learning rate."""
    return lambda training, _: 1 / (1 + abs(math.log(training.learning_rate / best)))


# Protocol


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeats": 1}, "1 repeat has no spread.*at least 2 --repeats"),
        ({"repeats": 0}, "at least 2 --repeats"),
        ({"tuning_seeds": 0}, "at least 1 tuning seed"),
        ({"ladder": (0.1, 0.0)}, "learning rates are positive numbers, e.g. 0.01,0.1,1, not 0.1, 0"),
        ({"ladder": (-0.1,)}, "learning rates are positive numbers, e.g. 0.01,0.1,1, not -0.1"),
        ({"ladder": (0.1, float("nan"))}, "learning rates are positive numbers, e.g. 0.01,0.1,1, not 0.1, nan"),
        ({"ladder": (float("inf"), 0.1)}, "learning rates are positive numbers, e.g. 0.01,0.1,1, not inf, 0.1"),
        ({"ladder": ()}, "learning rates are positive numbers"),
    ],
)
def test_a_protocol_without_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Protocol(**options)


def test_the_ladder_is_sorted_and_each_rate_is_there_once() -> None:
    assert Protocol((1.0, 0.1, 1.0, 0.3, 0.1)).ladder == (0.1, 0.3, 1.0)
    assert Protocol().ladder == LADDER == tuple(sorted(LADDER))


def test_one_rate_alone_is_fixed() -> None:
    assert Protocol((0.1,)).fixed
    assert Protocol((0.1, 0.1)).fixed
    assert not Protocol((0.1, 0.2)).fixed


# Choice


def test_the_best_rate_and_variant_are_chosen_together() -> None:
    """Each variant at its own best rate: the better variant is the worse one at the other's rate."""
    a, b = parse("x*y"), parse("x*log(y)")
    scores = {
        (a, 0.1): 0.5, (a, 0.2): 0.8, (a, 0.4): 0.6, (a, 0.8): 0.1,
        (b, 0.1): 0.1, (b, 0.2): 0.3, (b, 0.4): 0.9, (b, 0.8): 0.2,
    }  # fmt: skip
    trainer = Scripted(lambda training, _: scores[training.expression, training.learning_rate])
    chosen = choose(trainer, {"family": {"a": a, "b": b}, "alone": {"": a}}, Protocol((0.1, 0.2, 0.4, 0.8), tuning_seeds=2))
    assert chosen == {
        "family": Contender(b, "b", 0.4, pytest.approx(0.9), at_edge=False),  # pyright: ignore[reportArgumentType]
        "alone": Contender(a, "", 0.2, pytest.approx(0.8), at_edge=False),  # pyright: ignore[reportArgumentType]
    }
    assert trainer.asked == {Training(expression, rate) for expression, rate in scores}


def test_the_mean_over_tuning_seeds_decides() -> None:
    """Not the median, the maximum, the first or the last seed."""
    scores = {0.1: (0.1, 0.1, 0.1), 0.2: (0.6, 0.6, 0.6), 0.4: (0.9, 0.0, 0.8), 0.8: (0.1, 0.1, 0.1)}
    trainer = Scripted(lambda training, number: scores[training.learning_rate][number])
    (chosen,) = choose(trainer, single(mse), Protocol((0.1, 0.2, 0.4, 0.8), tuning_seeds=3)).values()
    assert chosen.learning_rate == 0.2
    assert chosen.validation == pytest.approx(0.6)
    assert len(trainer.seeds) == 3


def test_of_equals_the_first_variant_at_its_lowest_rate() -> None:
    a, b = parse("x*y"), parse("x*log(y)")
    trainer = Scripted(lambda training, _: 0.5 if training.learning_rate in (0.2, 0.4) else 0.1)
    (chosen,) = choose(trainer, {"family": {"b": b, "a": a}}, Protocol((0.1, 0.2, 0.4, 0.8))).values()
    assert (chosen.variant, chosen.learning_rate, chosen.at_edge) == ("b", 0.2, False)


@pytest.mark.parametrize(
    ("best", "rates", "chosen_rate"),
    [
        (0.3, [0.1, 0.3, 0.9], 0.3),
        (0.1, [0.0333, 0.1, 0.3, 0.9], 0.1),
        (0.011, [0.0037, 0.0111, 0.0333, 0.1, 0.3, 0.9], 0.0111),
        (0.9, [0.1, 0.3, 0.9, 2.7], 0.9),
        (8.0, [0.1, 0.3, 0.9, 2.7, 8.1, 24.3], 8.1),
    ],
)
def test_a_best_rate_at_an_end_extends_the_ladder(best: float, rates: list[float], chosen_rate: float) -> None:
    """Step by step, until one rate beyond the best is known to be worse; both ways."""
    trainer = Scripted(peak_at(best))
    (chosen,) = choose(trainer, single(mse), Protocol((0.1, 0.3, 0.9), tuning_seeds=2)).values()
    assert trainer.rates(mse) == pytest.approx(rates, rel=0.01)
    assert chosen.learning_rate == pytest.approx(chosen_rate, rel=0.01)
    assert not chosen.at_edge
    assert len(trainer.seeds) == 2  # what is tried later is tried with the same seeds


@pytest.mark.parametrize(("best", "direction"), [(1e-30, -1), (1e30, 1)])
def test_the_extension_ends_and_is_told(best: float, direction: int) -> None:
    trainer = Scripted(peak_at(best))
    (chosen,) = choose(trainer, single(mse), Protocol((0.5, 1.0), tuning_seeds=1)).values()
    end = 0.5 if direction < 0 else 1.0
    assert chosen.at_edge
    assert chosen.learning_rate == pytest.approx(end * 2.0 ** (direction * EXTENSIONS), rel=0.01)
    assert len(trainer.rates(mse)) == 2 + EXTENSIONS


def test_a_single_rate_is_never_extended() -> None:
    trainer = Scripted(peak_at(1.0))
    (chosen,) = choose(trainer, single(mse), Protocol((0.1,))).values()
    assert (chosen.learning_rate, chosen.at_edge) == (0.1, False)
    assert trainer.rates(mse) == [0.1]


def test_only_the_best_variant_of_a_family_at_its_edge_is_extended() -> None:
    low, high, inner = parse("x*y"), parse("x*log(y)"), parse("x*sqrt(y)")
    best = {low: 0.02, high: 50.0, inner: 0.3}
    height = {low: 0.5, high: 1.0, inner: 1.0}
    trainer = Scripted(lambda training, n: height[training.expression] * peak_at(best[training.expression])(training, n))
    chosen = choose(trainer, {"edge": {"low": low, "high": high}, "inner": {"": inner}}, Protocol((0.1, 0.3, 0.9)))
    assert trainer.rates(low) == [0.1, 0.3, 0.9]
    assert trainer.rates(inner) == [0.1, 0.3, 0.9]
    assert len(trainer.rates(high)) > 5
    assert chosen["edge"].variant == "high"
    assert chosen["edge"].learning_rate == pytest.approx(50, rel=0.8)
    assert chosen["inner"].learning_rate == 0.3


@given(
    seed=st.integers(0, 10**6),
    ladder=st.lists(st.sampled_from([0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64]), min_size=1, max_size=5),
    variants=st.integers(1, 3),
    tuning_seeds=st.integers(1, 3),
    levels=st.sampled_from([2, 5, 1000]),
)
def test_what_is_chosen_is_the_best_of_all_that_was_tried(
    seed: int, ladder: list[float], variants: int, tuning_seeds: int, levels: int
) -> None:
    """For random scores, with many ties where there are few levels; and beyond it on both sides it was tried, or is told."""
    family = {str(number): parse(f"x*y + {number}*y") for number in range(variants)}

    def score(training: Training, number: int) -> float:
        return derive_seed(seed, str(training.expression), f"{training.learning_rate:g}", number) % levels / levels

    trainer = Scripted(score)
    protocol = Protocol(tuple(ladder), tuning_seeds=tuning_seeds)
    (chosen,) = choose(trainer, {"family": family}, protocol).values()
    means = {t: statistics.mean(score(t, n) for n in range(tuning_seeds)) for t in trainer.asked}
    assert {Training(loss, rate) for loss in family.values() for rate in ladder} <= trainer.asked
    assert chosen.expression == family[chosen.variant]
    assert means[Training(chosen.expression, chosen.learning_rate)] == pytest.approx(max(means.values()))
    assert chosen.validation == pytest.approx(max(means.values()))
    rates = trainer.rates(chosen.expression)
    at_end = len(protocol.ladder) > 1 and chosen.learning_rate in (rates[0], rates[-1])
    assert chosen.at_edge == at_end
    assert not at_end or len(trainer.asked) == len(family) * len(protocol.ladder) + EXTENSIONS


def test_a_crash_counts_as_zero_in_the_choice() -> None:
    """In one seed it spoils the mean; in all of them the loss is worth 0, and nothing is raised."""
    scores: dict[float, tuple[float | str, float | str]] = {
        0.1: (0.2, 0.2), 0.2: (0.5, 0.5), 0.4: (0.9, "out of memory"), 0.8: ("out", "out"),
    }  # fmt: skip
    trainer = Scripted(lambda training, number: scores[training.learning_rate][number])
    (chosen,) = choose(trainer, single(mse), Protocol((0.1, 0.2, 0.4, 0.8), tuning_seeds=2)).values()
    assert (chosen.learning_rate, chosen.validation) == (0.2, pytest.approx(0.5))
    (chosen,) = choose(Scripted(lambda training, number: "out"), single(mse), Protocol((0.1, 0.2))).values()
    assert chosen.validation == 0.0


def test_choice_by_hand() -> None:
    """Every variant at every rate over every tuning seed, trained one by one."""
    task, protocol = task_of(test=None), Protocol((0.03, 0.3, 3.0, 30.0), tuning_seeds=2, seed=5)
    families = {"smoothing": {"0.6": smoothed_cross_entropy(0.6, 3), "0.1": smoothed_cross_entropy(0.1, 3)}, **single(mse)}
    trainer = Recording(task, BRIEF)
    chosen = choose(trainer, families, protocol)
    seeds = sorted({seed for seed, _ in trainer.calls})
    assert len(seeds) == 2
    for name, family in families.items():
        means = {
            (variant, rate): statistics.mean(
                train_single(task, Training(family[variant], rate), BRIEF, seed).validation for seed in seeds
            )
            for variant, rate in itertools.product(family, protocol.ladder)
        }
        best = max(means, key=lambda key: means[key])
        assert 0.03 < best[1] < 30  # so that the ladder is not extended
        assert (chosen[name].variant, chosen[name].learning_rate) == best
        assert chosen[name].validation == pytest.approx(means[best], abs=1e-5)
    assert (chosen["smoothing"].variant, chosen["smoothing"].expression) == ("0.1", families["smoothing"]["0.1"])


def test_the_choice_never_looks_at_the_test_split() -> None:
    families = {"smoothing": {"0.1": smoothed_cross_entropy(0.1, 3), "0.6": smoothed_cross_entropy(0.6, 3)}}
    protocol = Protocol((0.1, 1.0), tuning_seeds=1)
    chosen = []
    for test in (None, points(2), points(9)):
        trainer = Recording(task_of(test=test), BRIEF)
        chosen.append(choose(trainer, families, protocol))
        assert {on_test for _, on_test in trainer.calls} == {False}
    assert chosen[0] == chosen[1] == chosen[2]


# Measurement


def test_measured_by_hand_on_test() -> None:
    task, protocol = task_of(), Protocol((0.3,), repeats=3, seed=5)
    contenders = [Contender(cross_entropy, "", 0.3, 0.0), Contender(mse, "", 1.0, 0.0)]
    trainer = Recording(task, BRIEF)
    samples = measure(trainer, contenders, protocol)
    assert [on_test for _, on_test in trainer.calls] == [True] * 3
    for contender, sample in zip(contenders, samples, strict=True):
        training = Training(contender.expression, contender.learning_rate)
        expected = [train_single(task, training, BRIEF, seed, test=True) for seed, _ in trainer.calls]
        assert sample.values == pytest.approx([result.test for result in expected], abs=1e-5)
        assert sample.values != pytest.approx([result.validation for result in expected], abs=1e-3)
        assert len(set(sample.values)) == 3


@pytest.mark.parametrize("seed", [0, 1])
def test_test_seeds_are_fresh(seed: int) -> None:
    protocol = Protocol((0.1, 0.2), tuning_seeds=20, repeats=20, seed=seed)
    tuning, test, others = (Scripted(peak_at(0.1)) for _ in range(3))
    choose(tuning, single(mse), protocol)
    measure(test, [Contender(mse, "", 0.1, 0.0)], protocol)
    measure(others, [Contender(mse, "", 0.1, 0.0)], dataclasses.replace(protocol, seed=seed + 1))
    assert (len(set(tuning.seeds)), len(set(test.seeds)), len(set(others.seeds))) == (20, 20, 20)
    assert not set(tuning.seeds) & set(test.seeds)
    assert not set(others.seeds) & (set(test.seeds) | set(tuning.seeds))
    assert (tuning.on_test, test.on_test) == ({False}, {True})


def test_all_losses_are_measured_with_the_same_seeds() -> None:
    """One loss under two names has the same values, seed by seed, and no difference to itself."""
    families = {"one": {"": cross_entropy}, "between": {"": mse}, "other": {"": cross_entropy}}
    table = compare(task_of(), families, BRIEF, Protocol((0.1, 0.5, 2.5, 12.5), tuning_seeds=1, repeats=4))
    assert table["one"]["values"] == table["other"]["values"]
    assert table["one"]["values"] != table["between"]["values"]
    assert len(set(table["one"]["values"])) == 4
    assert (table["other"]["difference"], table["other"]["p_value"], table["other"]["hedges_g"]) == (0.0, 1.0, 0.0)


# The heart of honesty: the scale of a loss is not its merit.


@pytest.mark.parametrize("factor", [2, 16, 0.25])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "baikal"])
def test_a_rescaled_copy_of_a_loss_is_no_better(loss: str, factor: float) -> None:
    """On a ladder of powers of 2, a loss times 2^k finds its best rate k rungs lower, and is the same from there on."""
    families = {"loss": {"": NAMED[loss]}, "copy": {"": scaled(NAMED[loss], factor)}}
    protocol = Protocol(tuple(2.0**power for power in range(-12, 9)), tuning_seeds=1, repeats=3)
    table = compare(task_of(), families, BRIEF, protocol)
    assert not table["loss"]["at_edge"]
    assert not table["copy"]["at_edge"]
    assert table["copy"]["learning_rate"] == table["loss"]["learning_rate"] / factor
    assert table["copy"]["values"] == table["loss"]["values"]
    assert len(set(table["copy"]["values"])) == 3
    assert (table["copy"]["difference"], table["copy"]["p_value"]) == (0.0, 1.0)


def test_at_a_fixed_rate_a_rescaled_copy_looks_better() -> None:
    """It is the same loss, and the difference is significant: why a fixed rate must be told."""
    families = {"loss": {"": cross_entropy}, "copy": {"": scaled(cross_entropy, 16)}}
    protocol = Protocol((0.02,), tuning_seeds=1, repeats=5)
    assert protocol.fixed
    table = compare(task_of(), families, BRIEF, protocol)
    assert table["copy"]["learning_rate"] == table["loss"]["learning_rate"] == 0.02
    assert table["copy"]["difference"] > 0.1
    assert table["copy"]["p_value"] < 0.01


def test_a_coarse_ladder_leaves_little_of_the_difference() -> None:
    """A copy by a factor between the rungs is off its best rate by less than a rung; at a fixed rate by all of it."""
    families = {"loss": {"": cross_entropy}, "copy": {"": scaled(cross_entropy, 5)}}
    ladder = tuple(0.01 * 3.0**power for power in range(9))
    fair = compare(task_of(), families, BRIEF, Protocol(ladder, tuning_seeds=2, repeats=3))["copy"]["difference"]
    fixed = compare(task_of(), families, BRIEF, Protocol((0.05,), tuning_seeds=1, repeats=3))["copy"]["difference"]
    assert abs(fair) < 0.03
    assert fixed > 0.15


def test_early_stopping_is_taken_out() -> None:
    """A loss that starts slowly is not given up."""
    task, slow, protocol = task_of(metric="accuracy"), Training(cross_entropy, 1e-4), Protocol((1e-4,), 1, 2)
    hasty = BRIEF.model_copy(update={"early_stop": 0.1})
    assert train_single(task, slow, hasty, seed=0).stopped
    families = {"slow": {"": cross_entropy}, "other": {"": mse}}
    table = compare(task, families, hasty, protocol)
    assert table == compare(task, families, BRIEF, protocol)
    assert min(table["slow"]["values"]) > 0


def test_a_loss_that_diverges_is_worth_nothing() -> None:
    families = {"good": {"": cross_entropy}, "nan": {"": NAN_LOSS}}
    table = compare(task_of(), families, BRIEF, Protocol((0.1, 0.2), tuning_seeds=1, repeats=2))
    assert table["nan"]["values"] == [0.0, 0.0]
    assert table["nan"]["validation"] == 0.0
    assert table["nan"]["difference"] == -table["good"]["mean"] < -0.3
    json.dumps(table, allow_nan=False)


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
    table = compare(task_of(model=Breaks), families, BRIEF, Protocol((0.1, 0.2), tuning_seeds=1, repeats=2))
    assert [row["values"] for row in table.values()] == [[0.0, 0.0], [0.0, 0.0]]
    assert (table["other"]["difference"], table["other"]["p_value"], table["other"]["hedges_g"]) == (0.0, 1.0, None)
    json.dumps(table, allow_nan=False)


def test_one_loss_that_crashes_disturbs_no_other() -> None:
    def fragile(predictions: Tensor, targets: Tensor) -> Tensor:
        if predictions.max() > 0.9999 and predictions.std(0).max() > 0:  # not the constants that chance is judged by
            raise ValueError("too sure of itself")
        return certainty(predictions, targets)

    families = {"good": {"": cross_entropy}, "too sure": {"": scaled(cross_entropy, 4096)}}
    protocol = Protocol((0.1,), tuning_seeds=1, repeats=2)
    table = compare(task_of(metric=fragile), families, BRIEF, protocol)
    assert table["too sure"]["values"] == [0.0, 0.0]
    assert table["good"]["values"] == pytest.approx(compare(task_of(), families, BRIEF, protocol)["good"]["values"])


def test_progress_is_reported() -> None:
    calls: list[tuple[str, int, int]] = []
    protocol = Protocol((0.1, 0.3), tuning_seeds=2, repeats=3)
    compare(task_of(), {"a": {"": cross_entropy}, "b": {"": mse}}, BRIEF, protocol, report=lambda *c: calls.append(c))
    by_phase = {phase: [call[1:] for call in calls if call[0] == phase] for phase in dict.fromkeys(c[0] for c in calls)}
    assert list(by_phase) == ["choosing learning rates", "measuring on test"]
    for done in by_phase.values():
        numbers = [number for number, _ in done]
        assert numbers == sorted(set(numbers))
        assert all(number <= total for number, total in done)
        assert done[-1][0] == done[-1][1]
    assert by_phase["measuring on test"] == [(2, 6), (4, 6), (6, 6)]


# Rows

VALUES = {"base": (0.8, 0.82, 0.81, 0.79), "better": (0.9, 0.91, 0.88, 0.92), "alike": (0.81, 0.8, 0.83, 0.78)}


def table_of(values: Mapping[str, Sequence[float]]) -> dict[str, dict[str, Any]]:
    contenders = {name: Contender(parse("x*log(y)"), "v", 0.5, 0.7, at_edge=True) for name in values}
    return rows(contenders, [Sample(tuple(sample)) for sample in values.values()])


def test_rows_hold_the_difference_to_the_first() -> None:
    table = table_of(VALUES)
    assert list(table) == list(VALUES)
    base = VALUES["base"]
    for name in ("better", "alike"):
        row, values = table[name], VALUES[name]
        assert row["difference"] == pytest.approx(statistics.mean(values) - statistics.mean(base))
        assert tuple(row["interval"]) == difference_interval(values, base)
        assert row["p_value"] == welch(values, base)
        assert row["hedges_g"] == hedges_g(values, base)
    assert [table["better"]["p_holm"], table["alike"]["p_holm"]] == holm(
        [welch(VALUES[n], base) for n in ("better", "alike")]
    )
    assert (table["better"]["difference"] > 0, table["better"]["hedges_g"] > 0) == (True, True)
    assert table["better"]["interval"][0] > 0 > table["alike"]["interval"][0]
    for key in ("difference", "interval", "p_value", "p_holm", "hedges_g"):
        assert table["base"][key] is None


def test_rows_hold_what_was_chosen_and_measured() -> None:
    row = table_of(VALUES)["better"]
    assert (row["expression"], row["variant"], row["learning_rate"], row["at_edge"], row["validation"]) == (
        "x*log(y)", "v", 0.5, True, 0.7,
    )  # fmt: skip
    assert (row["n"], row["values"]) == (4, list(VALUES["better"]))
    assert (row["mean"], row["sd"]) == pytest.approx((statistics.mean(row["values"]), statistics.stdev(row["values"])))
    assert "log" in row["latex"]


def test_two_losses_need_no_correction() -> None:
    table = table_of({name: VALUES[name] for name in ("base", "better")})
    assert [row["p_holm"] for row in table.values()] == [None, None]
    assert table["better"]["p_value"] == welch(VALUES["better"], VALUES["base"])


@given(st.data())
def test_rows_are_json(data: st.DataObject) -> None:
    """Without NaN or infinity, whatever was measured; samples without spread among them."""
    length = data.draw(st.integers(2, 5))
    accuracy = st.integers(0, 64).map(lambda hits: hits / 64)
    sample = st.lists(accuracy, min_size=length, max_size=length) | accuracy.map(lambda value: [value] * length)
    table = table_of({str(n): values for n, values in enumerate(data.draw(st.lists(sample, min_size=1, max_size=4)))})
    assert json.loads(json.dumps(table, allow_nan=False)) == table


# Baselines


def loss_of(expression: Expr, link: str, outputs: Tensor, targets: Tensor) -> float:
    return ExpressionLoss(expression, link=link)(outputs, targets).item()


def test_baselines_of_classification() -> None:
    """PyTorch's cross-entropy, without and with label smoothing."""
    found = baselines(task_of())
    outputs = torch.randn(20, CLASSES, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(20) % CLASSES
    assert list(found) == ["cross_entropy", "label_smoothing"]
    assert list(found["cross_entropy"]) == [""]
    assert list(found["label_smoothing"]) == [f"{s:g}" for s in SMOOTHINGS]
    expected = nn.CrossEntropyLoss()(outputs, targets).item()
    assert loss_of(found["cross_entropy"][""], "softmax", outputs, targets) == pytest.approx(expected, rel=1e-5)
    for name, expression in found["label_smoothing"].items():
        expected = nn.CrossEntropyLoss(label_smoothing=float(name))(outputs, targets).item()
        assert loss_of(expression, "softmax", outputs, targets) == pytest.approx(expected, rel=1e-5)


def test_baselines_of_yes_no_questions() -> None:
    labels = (torch.arange(60)[:, None] % torch.tensor([2, 3]) == 0).float()
    inputs = torch.randn(60, 4, generator=torch.Generator().manual_seed(1))
    task = Task("yes-no", lambda: nn.Linear(4, 2), (inputs, labels), (inputs, labels), link="sigmoid")
    found = baselines(task, (0.3,))
    outputs = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    bce = nn.BCEWithLogitsLoss(reduction="none")
    assert list(found) == ["binary_cross_entropy", "label_smoothing"]
    assert list(found["label_smoothing"]) == ["0.3"]
    for expression, targets in [
        (found["binary_cross_entropy"][""], labels),
        (found["label_smoothing"]["0.3"], 0.7 * labels + 0.15),
    ]:
        expected = bce(outputs, targets).sum(1).mean().item()
        assert loss_of(expression, "sigmoid", outputs, labels) == pytest.approx(expected, rel=1e-5)


def test_baseline_of_regression() -> None:
    inputs = torch.randn(60, 4, generator=torch.Generator().manual_seed(1))
    task = Task("values", lambda: nn.Linear(4, 1), (inputs, inputs[:, 0]), (inputs, inputs[:, 0]), link="identity")
    found = baselines(task)
    outputs, targets = inputs[:, 1:2], inputs[:, 2:3]
    assert list(found) == ["mse"]
    expected = nn.MSELoss()(outputs, targets).item()
    assert loss_of(found["mse"][""], "identity", outputs, targets) == pytest.approx(expected, rel=1e-5)


def test_no_false_difference_between_equals() -> None:
    """A loss against itself on other seeds, as two studies would: at most 5 % of 60 are significant; false alarm 1e-4.

    By Welch's test of five values each, of real trainings; seeds that two studies shared would not be independent.
    """
    trainer, pairs = Trainer(task_of(), TrainingConfig(steps=3, batch_size=30)), 60
    contender = [Contender(cross_entropy, "", 0.3, 0.0)]
    samples = [measure(trainer, contender, Protocol((0.3,), repeats=5, seed=seed))[0].values for seed in range(2 * pairs)]
    assert len(set(itertools.chain(*samples))) == 10 * pairs
    alarms = sum(welch(a, b) < 0.05 for a, b in zip(samples[::2], samples[1::2], strict=True))
    assert binomtest(alarms, pairs, 0.05, alternative="greater").pvalue > FALSE_ALARM
