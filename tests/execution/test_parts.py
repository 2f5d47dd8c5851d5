"""How a batch is split into parts: each of one seed, large enough to be worth a process, and as many as slots are free."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from glo.execution import Batch
from glo.execution.parts import SMALLEST_PART, Part, parts_of, split
from glo.expr import parse
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Task
from small import CLASSES, points

seeds_of = st.lists(st.integers(0, 4), min_size=1, max_size=60)
slots = st.integers(1, 20)


@given(seeds_of, slots, st.booleans())
def test_each_position_is_in_one_part(seeds: list[int], slots: int, together: bool) -> None:
    parts = split(seeds, together, slots)
    assert sorted(position for part in parts for position in part) == list(range(len(seeds)))
    assert all(part == sorted(part) and part for part in parts)


@given(seeds_of, slots, st.booleans())
def test_a_part_has_one_seed(seeds: list[int], slots: int, together: bool) -> None:
    assert all(len({seeds[position] for position in part}) == 1 for part in split(seeds, together, slots))


@given(seeds_of, slots)
def test_a_part_is_small_only_if_its_seed_has_few_trainings(seeds: list[int], slots: int) -> None:
    trainings = Counter(seeds)
    for part in split(seeds, True, slots):
        assert len(part) >= min(SMALLEST_PART, trainings[seeds[part[0]]])


@given(seeds_of, slots)
def test_parts_of_a_seed_are_of_about_equal_size(seeds: list[int], slots: int) -> None:
    sizes: dict[int, list[int]] = {}
    for part in split(seeds, True, slots):
        sizes.setdefault(seeds[part[0]], []).append(len(part))
    assert all(max(each) - min(each) <= 1 for each in sizes.values())


@given(st.integers(1, 5), st.integers(1, 20))
def test_large_batches_keep_all_slots_busy(groups: int, slots: int) -> None:
    """The number of parts is the smallest multiple of the slots that the seeds can share equally."""
    seeds = [seed for seed in range(groups) for _ in range(SMALLEST_PART * slots)]
    assert len(split(seeds, True, slots)) == math.lcm(groups, slots)


@given(seeds_of, slots)
def test_networks_that_are_trained_one_by_one_have_a_part_each(seeds: list[int], slots: int) -> None:
    parts = split(seeds, False, slots)
    assert [len(part) for part in parts] == [1] * len(seeds)
    first = {seed: seeds.index(seed) for seed in seeds}
    order = [position for (position,) in parts]
    assert order == sorted(order, key=lambda position: (first[seeds[position]], position))


@given(seeds_of)
def test_with_one_slot_a_part_is_all_of_a_seed(seeds: list[int]) -> None:
    assert len(split(seeds, True, 1)) == len(set(seeds))


def test_neighbours_are_in_different_parts() -> None:
    """They are one loss at several learning rates, and stop early together."""
    assert split([0] * 8, True, 2) == [[0, 3, 4, 7], [1, 2, 5, 6]]
    assert split([0] * 12, True, 3) == [[0, 5, 7, 9], [1, 3, 8, 10], [2, 4, 6, 11]]


@pytest.mark.parametrize("rates", [2, 3, 6])
@pytest.mark.parametrize("slots", [2, 3, 4])
def test_no_part_has_most_of_the_trainings_at_one_rate(rates: int, slots: int) -> None:
    """At the highest rate most losses are given up early, and then the core of such a part would be idle."""
    trainings = 12 * rates * slots
    for part in split([0] * trainings, True, slots):
        of_rates = Counter(position % rates for position in part)
        assert max(of_rates.values()) - min(of_rates[rate] for rate in range(rates)) <= 2


@pytest.mark.parametrize(("trainings", "sizes"), [(1, [1]), (4, [4]), (7, [7]), (8, [4, 4]), (9, [5, 4]), (80, [40, 40])])
def test_sizes_for_two_slots(trainings: int, sizes: list[int]) -> None:
    assert [len(part) for part in split([0] * trainings, True, 2)] == sizes


def batch_of(seeds: Sequence[int], *layers: nn.Module) -> Batch:
    """A training of its own rate for each seed; the layers come before the model's last one."""
    task = Task("points", lambda: nn.Sequential(*copy.deepcopy(layers), nn.Linear(4, CLASSES)), points(0), points(1))
    trainings = [Training(parse("x*log(y)"), 0.1 * (1 + number)) for number in range(len(seeds))]
    return Batch(task, TrainingConfig(steps=2), trainings, seeds)


def test_a_part_has_the_trainings_and_the_seed_of_its_positions() -> None:
    batch = batch_of([7, 8, 7, 8, 7])
    parts = parts_of("key", batch, "cpu", slots=1)
    assert parts == [Part("key", batch, (0, 2, 4), True), Part("key", batch, (1, 3), True)]
    assert [part.seed for part in parts] == [7, 8]
    assert parts[1].trainings == [batch.trainings[1], batch.trainings[3]]
    results = [TrainingResult(0.1), TrainingResult(0.2)]
    assert parts[1].by_position(results) == {1: results[0], 3: results[1]}
    assert parts[0].one_by_one() == [Part("key", batch, (position,), True) for position in (0, 2, 4)]


def test_a_convolutional_network_on_a_cpu_is_a_part_of_its_own() -> None:
    layers = [nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 2, 1), nn.Flatten(), nn.Linear(8, 4)]
    batch = batch_of([0] * 8, *layers)
    assert [part.positions for part in parts_of("key", batch, "cpu", slots=2)] == [(position,) for position in range(8)]
    assert [len(part.positions) for part in parts_of("key", batch, "cuda", slots=2)] == [4, 4]
