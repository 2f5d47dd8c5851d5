"""The verdict: which loss to use, by the errors of the seeds and of the test set; and how rare a false "better" is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from glo.catalog import mse
from glo.compare.rows import ComparisonRow, Contender, rows_of
from glo.compare.statistics import Sample, gain
from glo.compare.verdict import Finding, Verdict, verdict_of, worthwhile
from glo.records import Direction
from glo.training.jackknife import groups_of

SEEDS, SAMPLES = 10, 400


def sample_of(mean: float, spread: float = 0.005, number: int = 0, n: int = SEEDS) -> Sample:
    """Values with exactly this mean and standard deviation."""
    noise = np.random.default_rng(number).standard_normal(n)
    noise = (noise - noise.mean()) / noise.std(ddof=1) if n > 1 else noise * 0
    return Sample(tuple((mean + spread * noise).tolist()))


def rows_with(samples: Mapping[str, Sample], validation: Mapping[str, float] | None = None) -> list[ComparisonRow]:
    contenders = {
        name: Contender(mse, "q=0.7" if name == "gce" else "", 0.4, (validation or {}).get(name, 0.5), scale=2.0)
        for name in samples
    }
    return rows_of(contenders, list(samples.values()))


def verdict_on(means: Mapping[str, float], spread: float = 0.005, **options: Any) -> Verdict:
    samples = {name: sample_of(mean, spread, number) for number, (name, mean) in enumerate(means.items())}
    return verdict_of(rows_with(samples, **options), "accuracy")


def test_better_than_everything() -> None:
    found = verdict_on({"discovered": 0.95, "cross_entropy": 0.90, "gce": 0.93, "mae": 0.80})
    assert found.finding is Finding.BETTER
    assert found.use == "discovered"
    assert found.text.startswith("Use the discovered loss: it is better than everything on the shelf.")
    assert "0.9500; the best of them, gce q=0.7, has 0.9300 (+0.0200" in found.text
    assert (found.scale, found.learning_rate, found.seeds) == (2.0, 0.4, SEEDS)


def test_a_better_loss_is_as_sure_as_the_least_sure_of_its_gains() -> None:
    samples = {"discovered": sample_of(0.95), "cross_entropy": sample_of(0.93, number=1), "gce": sample_of(0.85, 0.1, 2)}
    found = verdict_of(rows_with(samples), "accuracy")
    assert found.finding is Finding.BETTER
    assert found.gains["gce"].p_value > found.gains["cross_entropy"].p_value
    assert "the best of them, cross_entropy, has 0.9300" in found.text
    assert "The least sure is the gain over gce q=0.7: +0.1000" in found.text


def test_better_than_the_only_one() -> None:
    found = verdict_on({"discovered": 0.95, "cross_entropy": 0.90})
    assert found.text.startswith("Use the discovered loss: it is better than cross_entropy.")


def test_a_known_loss_that_is_as_good_is_the_one_to_use() -> None:
    """Of several, the one that validation prefers, not the one that happens to be best on test."""
    means = {"discovered": 0.95, "cross_entropy": 0.90, "gce": 0.949, "sce": 0.951}
    found = verdict_on(means, validation={"gce": 0.7, "sce": 0.6})
    assert (found.finding, found.use, found.variant) == (Finding.SHELF, "gce", "q=0.7")
    assert "better than cross_entropy" in found.text
    assert "but not shown to be better than gce q=0.7" in found.text


def test_a_known_loss_that_fails_with_some_seeds_is_not_as_good() -> None:
    """Its mean is far behind, but its spread is so large that the seeds do not show it."""
    samples = {"discovered": sample_of(0.94), "cross_entropy": sample_of(0.90, number=1), "gce": sample_of(0.80, 0.3, 2)}
    found = verdict_of(rows_with(samples, validation={"gce": 0.99}), "accuracy")
    assert found.gains["gce"].p_value > 0.05
    assert (found.finding, found.use) == (Finding.AHEAD, "discovered")
    assert "ahead of everything on the shelf, which the seeds do not show for gce q=0.7 (+0.1400" in found.text
    assert found.to_dict()["finding"] == "ahead"
    samples["sce"] = sample_of(0.939, number=3)  # one that is as good is still the one to use
    found = verdict_of(rows_with(samples, validation={"gce": 0.99}), "accuracy")
    assert (found.finding, found.use) == (Finding.SHELF, "sce")


def test_a_known_loss_that_is_better_than_the_standard_one_is_used_though_nothing_was_discovered() -> None:
    found = verdict_on({"discovered": 0.90, "cross_entropy": 0.90, "gce": 0.95})
    assert (found.finding, found.use) == (Finding.SHELF, "gce")
    assert found.text.startswith("Use gce q=0.7: it is better than cross_entropy")


@pytest.mark.parametrize("discovered", [0.89, 0.9, 0.9001])
def test_no_gain(discovered: float) -> None:
    found = verdict_on({"discovered": discovered, "cross_entropy": 0.90, "gce": 0.85})
    assert (found.finding, found.use) == (Finding.NO_GAIN, "cross_entropy")
    assert found.text.startswith("No gain: use cross_entropy.")


def test_not_enough_seeds_and_how_many_would_tell() -> None:
    found = verdict_on({"discovered": 0.92, "cross_entropy": 0.90}, spread=0.03)
    assert (found.finding, found.use) == (Finding.UNDECIDED, "cross_entropy")
    needed = int(found.text.partition("About ")[2].split()[0])
    assert needed > SEEDS
    a, b = (sample_of(mean, 0.03, number, n=needed + 2) for number, mean in enumerate((0.92, 0.90)))
    assert gain(a, b).p_value < 0.05


def test_lower_is_better() -> None:
    rows = rows_with({"discovered": sample_of(0.40), "mse": sample_of(0.50, number=1), "huber": sample_of(0.45, number=2)})
    assert verdict_of(rows, "rmse", Direction.MINIMIZE).finding is Finding.BETTER
    assert verdict_of(rows, "r2", Direction.MAXIMIZE).finding is not Finding.BETTER
    assert worthwhile(rows[1], Direction.MINIMIZE) == pytest.approx(0.05)


def test_it_is_json_and_readable() -> None:
    found = verdict_on({"discovered": 0.95, "cross_entropy": 0.90, "gce": 0.93})
    again = json.loads(json.dumps(found.to_dict()))
    assert again["finding"] == "better"
    assert again["gains"]["gce"]["difference"] == pytest.approx(0.02)
    assert again["level"] == 0.05
    assert str(found).startswith(found.text)


def test_nothing_to_compare() -> None:
    assert verdict_of(rows_with({"discovered": sample_of(0.9)}), "accuracy").finding is Finding.NOTHING


def test_a_metric_that_is_1_on_validation_ranks_nothing() -> None:
    found = verdict_on({"discovered": 0.95, "cross_entropy": 0.94}, validation={"discovered": 1.0, "cross_entropy": 1.0})
    assert any(
        "The validation accuracy is 1 for discovered, cross_entropy: it ranks nothing" in note for note in found.notes
    )


def test_without_parts_of_the_test_set_the_error_of_the_test_set_is_said_to_be_missing() -> None:
    found = verdict_on({"discovered": 0.95, "cross_entropy": 0.94})
    assert found.test_samples is None
    assert any("error of the test set is not included" in note for note in found.notes)


def sample_of_values(values: NDArray[np.float64]) -> Sample:
    """What is known of trainings whose metric is the mean of these values, shape (seeds, samples)."""
    of_sample, group = values.mean(0), groups_of(values.shape[1]).numpy()
    left_out = np.array([of_sample[group != each].mean() for each in range(group.max() + 1)])
    return Sample(tuple(values.mean(1).tolist()), left_out=left_out, test_samples=len(of_sample))


def decided(rates: NDArray[np.float64], seeds: int, generator: np.random.Generator) -> Sample:
    """Trainings that decide each sample right with these probabilities."""
    return sample_of_values((generator.random((seeds, len(rates))) < rates).astype(float))


def test_one_sample_of_a_small_test_set_is_no_evidence() -> None:
    """As on wine: one of 48 samples is decided right by all trainings with one loss, and by none with the other."""
    both = np.r_[np.ones(46), 0.0]
    a, b = (sample_of_values(np.tile(np.r_[both, rate], (SEEDS, 1))) for rate in (1.0, 0.0))
    found = gain(a, b)
    assert found.p_seeds == 0.0  # without any spread over the seeds
    assert found.test_error == pytest.approx(1 / 48, rel=0.03)
    assert found.p_value > 0.3
    verdict = verdict_of(rows_with({"discovered": a, "cross_entropy": b}), "accuracy")
    assert verdict.finding is Finding.NO_GAIN
    assert any("the test set of 48 samples is too small to show it" in note for note in verdict.notes)


@pytest.mark.parametrize(("samples", "within"), [(100, 0.06), (2000, 0.3)])
def test_the_error_of_the_test_set_is_that_of_mcnemars_test(samples: int, within: float) -> None:
    """With one training each, the statistic is (b - c)/sqrt(b + c), up to the correction for the mean.

    In a large test set samples are left out in groups, which estimates the error to about 11 %.
    """
    generator = np.random.default_rng(0)
    a, b = (generator.random(samples) < rate for rate in (0.8, 0.6))
    first, second = (sample_of_values(np.tile(each.astype(float), (2, 1))) for each in (a, b))
    found = gain(first, second)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    assert found.test_error is not None
    assert found.difference / found.test_error == pytest.approx((only_a - only_b) / np.sqrt(only_a + only_b), rel=within)


def simulated(losses: int, generator: np.random.Generator, better: float = 0.0) -> list[Sample]:
    """Losses of the same accuracy, each with samples of its own that it finds hard, on one small test set.

    Args:
        better: by how much the first is better.
    """
    hard = generator.beta(6, 1, SAMPLES)
    found: list[Sample] = []
    for number in range(losses):
        own = np.clip(hard + 0.2 * generator.standard_normal(SAMPLES) + (better if number == 0 else 0.0), 0, 1)
        luck = 0.01 * generator.standard_normal(SEEDS)
        right = generator.random((SEEDS, SAMPLES)) < np.clip(own + luck[:, None], 0, 1)
        found.append(sample_of_values(right.astype(float)))
    return found


def findings(losses: int, simulations: int, better: float = 0.0) -> list[Verdict]:
    generator = np.random.default_rng(losses)
    names = ["discovered", "cross_entropy", *(f"other{number}" for number in range(losses - 2))]
    samples: list[Sequence[Sample]] = [simulated(losses, generator, better) for _ in range(simulations)]
    return [verdict_of(rows_with(dict(zip(names, each, strict=True))), "accuracy") for each in samples]


@pytest.mark.parametrize("losses", [2, 5])
def test_a_false_better_is_rare(losses: int) -> None:
    """All losses are equal by construction, 200 times: at most 5 % (the seeds alone would say it more often)."""
    found = findings(losses, 200)
    false = sum(verdict.finding is Finding.BETTER for verdict in found)
    assert false <= 0.05 * 200
    if losses == 2:
        by_seeds = sum(v.gains["cross_entropy"].p_seeds < 0.05 and v.gains["cross_entropy"].difference > 0 for v in found)
        assert by_seeds > 0.05 * 200, "the simulation has no error of the test set"


def test_a_loss_that_is_better_is_found() -> None:
    found = findings(5, 50, better=0.08)
    assert sum(verdict.finding is Finding.BETTER for verdict in found) > 40


def test_p_values_of_equal_losses_are_not_too_small() -> None:
    generator = np.random.default_rng(7)
    pairs = [simulated(2, generator) for _ in range(300)]
    p_values = [gain(a, b).p_value for a, b in pairs]
    assert stats.binomtest(sum(p < 0.05 for p in p_values), 300, 0.05, alternative="greater").pvalue > 0.001
