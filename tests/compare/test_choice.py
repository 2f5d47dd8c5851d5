"""The choice of a learning rate and a variant for each loss, by validation.

It is tested with made-up scores, which reach every case, and with trainings, against `train_single` by hand.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.scripted import BRIEF, CRASHED, Recording, Scripted, config_of, task_of
from glo.catalog import mse, smoothed_cross_entropy
from glo.compare.failures import Failures
from glo.compare.families import Family
from glo.compare.protocol import EXTENSIONS, choose
from glo.compare.rows import Contender
from glo.expr import Expr, parse
from glo.records import Failure, Training, derive_seed
from glo.training import train_single
from small import points


def single(expression: Expr) -> Mapping[str, Family]:
    return {"loss": {"": expression}}


def peak_at(best: float) -> Callable[[Training, int], float]:
    """A score that falls off on both sides of a learning rate."""
    return lambda training, _: 1 / (1 + abs(math.log(training.learning_rate / best)))


def test_the_best_rate_and_variant_are_chosen_together() -> None:
    """Each variant at its own best rate: the better variant is the worse one at the other's rate."""
    a, b = parse("x*y"), parse("x*log(y)")
    scores = {
        (a, 0.1): 0.5, (a, 0.2): 0.8, (a, 0.4): 0.6, (a, 0.8): 0.1,
        (b, 0.1): 0.1, (b, 0.2): 0.3, (b, 0.4): 0.9, (b, 0.8): 0.2,
    }  # fmt: skip
    scripted = Scripted(lambda training, _: scores[training.expression, training.learning_rate])
    chosen = scripted.choose({"family": {"a": a, "b": b}, "alone": {"": a}}, config_of(0.1, 0.2, 0.4, 0.8, tuning_seeds=2))
    none, few = Failures(trainings=16), Failures(trainings=8)
    assert chosen == {
        "family": Contender(b, "b", 0.4, pytest.approx(0.9), failures=none),  # pyright: ignore[reportArgumentType]
        "alone": Contender(a, "", 0.2, pytest.approx(0.8), failures=few),  # pyright: ignore[reportArgumentType]
    }
    assert scripted.asked == {Training(expression, rate) for expression, rate in scores}


def test_the_mean_over_tuning_seeds_decides() -> None:
    """Not the median, the maximum, the first or the last seed."""
    scores = {0.1: (0.1, 0.1, 0.1), 0.2: (0.6, 0.6, 0.6), 0.4: (0.9, 0.0, 0.8), 0.8: (0.1, 0.1, 0.1)}
    scripted = Scripted(lambda training, number: scores[training.learning_rate][number])
    (chosen,) = scripted.choose(single(mse), config_of(0.1, 0.2, 0.4, 0.8, tuning_seeds=3)).values()
    assert chosen.learning_rate == 0.2
    assert chosen.validation == pytest.approx(0.6)
    assert len(scripted.seeds) == 3


def test_of_equals_the_first_variant_at_its_lowest_rate() -> None:
    a, b = parse("x*y"), parse("x*log(y)")
    scripted = Scripted(lambda training, _: 0.5 if training.learning_rate in (0.2, 0.4) else 0.1)
    (chosen,) = scripted.choose({"family": {"b": b, "a": a}}, config_of(0.1, 0.2, 0.4, 0.8)).values()
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
    scripted = Scripted(peak_at(best))
    (chosen,) = scripted.choose(single(mse), config_of(0.1, 0.3, 0.9, tuning_seeds=2)).values()
    assert scripted.rates(mse) == pytest.approx(rates, rel=0.01)
    assert chosen.learning_rate == pytest.approx(chosen_rate, rel=0.01)
    assert not chosen.at_edge
    assert len(scripted.seeds) == 2  # what is tried later is tried with the same seeds


@pytest.mark.parametrize(("best", "direction"), [(1e-30, -1), (1e30, 1)])
def test_the_extension_ends_and_is_told(best: float, direction: int) -> None:
    scripted = Scripted(peak_at(best))
    (chosen,) = scripted.choose(single(mse), config_of(0.5, 1.0, tuning_seeds=1)).values()
    end = 0.5 if direction < 0 else 1.0
    assert chosen.at_edge
    assert chosen.learning_rate == pytest.approx(end * 2.0 ** (direction * EXTENSIONS), rel=0.01)
    assert len(scripted.rates(mse)) == 2 + EXTENSIONS


def test_a_single_rate_is_never_extended() -> None:
    scripted = Scripted(peak_at(1.0))
    (chosen,) = scripted.choose(single(mse), config_of(0.1)).values()
    assert (chosen.learning_rate, chosen.at_edge) == (0.1, False)
    assert scripted.rates(mse) == [0.1]


def test_only_the_best_variant_of_a_family_at_its_edge_is_extended() -> None:
    low, high, inner = parse("x*y"), parse("x*log(y)"), parse("x*sqrt(y)")
    best = {low: 0.02, high: 50.0, inner: 0.3}
    height = {low: 0.5, high: 1.0, inner: 1.0}
    scripted = Scripted(lambda training, n: height[training.expression] * peak_at(best[training.expression])(training, n))
    chosen = scripted.choose({"edge": {"low": low, "high": high}, "inner": {"": inner}}, config_of(0.1, 0.3, 0.9))
    assert scripted.rates(low) == [0.1, 0.3, 0.9]
    assert scripted.rates(inner) == [0.1, 0.3, 0.9]
    assert len(scripted.rates(high)) > 5
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

    scripted = Scripted(score)
    config = config_of(*ladder, tuning_seeds=tuning_seeds)
    (chosen,) = scripted.choose({"family": family}, config).values()
    means = {t: statistics.mean(score(t, n) for n in range(tuning_seeds)) for t in scripted.asked}
    assert {Training(loss, rate) for loss in family.values() for rate in ladder} <= scripted.asked
    assert chosen.expression == family[chosen.variant]
    assert means[Training(chosen.expression, chosen.learning_rate)] == pytest.approx(max(means.values()))
    assert chosen.validation == pytest.approx(max(means.values()))
    rates = scripted.rates(chosen.expression)
    at_end = len(config.ladder) > 1 and chosen.learning_rate in (rates[0], rates[-1])
    assert chosen.at_edge == at_end
    assert not at_end or len(scripted.asked) == len(family) * len(config.ladder) + EXTENSIONS


def test_a_crash_counts_as_zero_in_the_choice() -> None:
    """In one seed it spoils the mean; in all of them the loss is worth 0, and nothing is raised."""
    scores: dict[float, tuple[float | Failure, float | Failure]] = {
        0.1: (0.2, 0.2), 0.2: (0.5, 0.5), 0.4: (0.9, CRASHED), 0.8: (CRASHED, CRASHED),
    }  # fmt: skip
    scripted = Scripted(lambda training, number: scores[training.learning_rate][number])
    (chosen,) = scripted.choose(single(mse), config_of(0.1, 0.2, 0.4, 0.8, tuning_seeds=2)).values()
    assert (chosen.learning_rate, chosen.validation) == (0.2, pytest.approx(0.5))
    (chosen,) = Scripted(lambda training, number: CRASHED).choose(single(mse), config_of(0.1, 0.2)).values()
    assert chosen.validation == 0.0


def test_choice_by_hand() -> None:
    """Every variant at every rate over every tuning seed, trained one by one."""
    task, config = task_of(test=None), config_of(0.03, 0.3, 3.0, 30.0, tuning_seeds=2, seed=5)
    families = {"smoothing": {"0.6": smoothed_cross_entropy(0.6, 3), "0.1": smoothed_cross_entropy(0.1, 3)}, **single(mse)}
    executor = Recording()
    chosen = executor.run(choose(task, BRIEF, families, config))
    seeds = sorted({seed for seed, _ in executor.calls})
    assert len(seeds) == 2
    for name, family in families.items():
        means = {
            (variant, rate): statistics.mean(
                train_single(task, Training(family[variant], rate), BRIEF, seed).validation for seed in seeds
            )
            for variant, rate in itertools.product(family, config.ladder)
        }
        best = max(means, key=lambda key: means[key])
        assert 0.03 < best[1] < 30  # so that the ladder is not extended
        assert (chosen[name].variant, chosen[name].learning_rate) == best
        assert chosen[name].validation == pytest.approx(means[best], abs=1e-5)
    assert (chosen["smoothing"].variant, chosen["smoothing"].expression) == ("0.1", families["smoothing"]["0.1"])


def test_the_choice_never_looks_at_the_test_split() -> None:
    families = {"smoothing": {"0.1": smoothed_cross_entropy(0.1, 3), "0.6": smoothed_cross_entropy(0.6, 3)}}
    config = config_of(0.1, 1.0, tuning_seeds=1)
    chosen = []
    for test in (None, points(2), points(9)):
        executor = Recording()
        chosen.append(executor.run(choose(task_of(test=test), BRIEF, families, config)))
        assert {on_test for _, on_test in executor.calls} == {False}
    assert chosen[0] == chosen[1] == chosen[2]


def fails_sometimes(training: Training, seed: int) -> float:
    """The lowest rate is safe; the others are better with the first two seeds, and fail with half of those after."""
    if training.learning_rate == 0.1:
        return 0.8
    return 0.9 if seed < 2 or seed % 2 else 0.1


def test_a_run_off_finds_out_which_rate_fails_with_some_seeds() -> None:
    families = single(parse("x*y"))
    lucky = Scripted(fails_sometimes).choose(families, config_of(0.1, 1.0, 10.0, tuning_seeds=2))["loss"]
    assert lucky.learning_rate != 0.1
    assert lucky.validation == pytest.approx(0.9)
    script = Scripted(fails_sometimes)
    sure = script.choose(families, config_of(0.1, 1.0, tuning_seeds=2, run_off=6))["loss"]
    assert len(script.seeds) == 8
    assert (sure.learning_rate, sure.validation) == (0.1, pytest.approx(0.8))
    assert sure.spread == pytest.approx(0.0)


def test_a_run_off_tries_three_of_each_family_again() -> None:
    asked: list[tuple[Training, int]] = []

    def score(training: Training, seed: int) -> float:
        asked.append((training, seed))
        return 0.5 - 0.01 * abs(training.learning_rate - 2.0)

    families = {"one": {"a": parse("x*y"), "b": parse("x*sqrt(y)")}, "two": {"": parse("x*log(y)")}}
    chosen = Scripted(score).choose(families, config_of(1.0, 2.0, 4.0, tuning_seeds=2, run_off=1))
    again = [training for training, seed in asked if seed == 2]
    assert len(again) == 6
    assert len([training for training in again if training.expression == parse("x*log(y)")]) == 3
    assert chosen["two"].learning_rate == 2.0
    alone = Scripted(score).choose(single(parse("x*y")), config_of(1.0, tuning_seeds=2, run_off=4))
    assert alone["loss"].learning_rate == 1.0


def test_the_ladder_goes_on_where_the_run_off_has_chosen_another_variant() -> None:
    """With two seeds the first variant is ahead; with all, the second is, whose best rate is beyond the ladder."""
    first, second = parse("x*y"), parse("x*sqrt(y)")

    def score(training: Training, seed: int) -> float:
        if training.expression == first:
            return 0.9 if training.learning_rate == 2.0 and seed < 2 else 0.1
        return 0.8 - 0.01 * abs(training.learning_rate - 8.0)

    families = {"one": {"a": first, "b": second}}
    chosen = Scripted(score).choose(families, config_of(1.0, 2.0, 4.0, tuning_seeds=2, run_off=6))["one"]
    assert (chosen.variant, chosen.learning_rate, chosen.at_edge) == ("b", 8.0, False)
