"""Label noise and less data: exactly the requested amount, at random, and only in the training split."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from glo.errors import TaskError
from glo.tasks import Data, Task, with_label_noise, with_long_tail, with_train_fraction
from search.frequencies import assert_drawn_from

FRACTIONS = st.floats(0, 1, exclude_max=True)
SEEDS = st.integers(0, 2**32)
SPLITS = ("train", "validation", "test")


def inputs_of(samples: int) -> Tensor:
    """Inputs that are all different."""
    return torch.arange(float(samples))[:, None]


def task_of(name: str, outputs: int, *parts: tuple[Tensor, Tensor], link: str = "softmax") -> Task:
    train, validation, test = parts
    return Task(name, lambda: nn.Linear(1, outputs), train, validation, test, link=link)


def classification(samples: int = 40, classes: int = 4) -> Task:
    """Labels that are class indices."""
    parts = ((inputs_of(n), torch.arange(n) % classes) for n in (samples, classes + 1, classes + 2))
    return task_of("classes", classes, *parts)


def soft(samples: int = 40, classes: int = 4) -> Task:
    """Labels that are probabilities (N, C), all different."""
    generator = torch.Generator().manual_seed(0)
    parts = ((inputs_of(n), torch.rand(n, classes, generator=generator).softmax(1)) for n in (samples, 5, 6))
    return task_of("probabilities", classes, *parts)


def yes_no(samples: int = 40, outputs: int = 2) -> Task:
    """Labels 0 and 1, and one between them."""
    generator = torch.Generator().manual_seed(0)
    parts = [(inputs_of(n), torch.randint(0, 2, (n, outputs), generator=generator).float()) for n in (samples, 5, 6)]
    parts[0][1][3] = 0.25
    return task_of("yes-no", outputs, *parts, link="sigmoid")


def regression() -> Task:
    return task_of("values", 1, *((inputs_of(8), inputs_of(8)) for _ in SPLITS), link="identity")


TASKS = {"classes": classification, "probabilities": soft, "yes-no": yes_no}


def train(task: Task) -> Data:
    return task.split("train")


def changed(before: Task, after: Task) -> Tensor:
    """A mask of the rows whose labels differ."""
    different = train(before).targets != train(after).targets
    return different if different.dim() == 1 else different.any(1)


@given(samples=st.integers(6, 60), classes=st.integers(2, 6), fraction=FRACTIONS, seed=SEEDS)
def test_exactly_the_fraction_of_the_labels_is_wrong(samples: int, classes: int, fraction: float, seed: int) -> None:
    task = classification(samples, classes)
    noisy = with_label_noise(task, fraction, seed)
    assert abs(changed(task, noisy).sum().item() - fraction * samples) <= 0.5
    targets = train(noisy).targets
    assert targets.dtype == torch.int64
    assert 0 <= targets.min() <= targets.max() < classes
    assert torch.equal(train(noisy).inputs, train(task).inputs)


def test_a_wrong_label_is_each_other_class_equally_often() -> None:
    """4,500 wrong labels of 6,000; each of the 4 * 3 pairs of classes is equally likely; false alarm 1e-4."""
    task = classification(6000)
    noisy = with_label_noise(task, 0.75, seed=1)
    wrong = changed(task, noisy)
    before, after = train(task).targets[wrong].tolist(), train(noisy).targets[wrong].tolist()
    counts = Counter(zip(before, after, strict=True))
    pairs = {(a, b): 1 / 12 for a in range(4) for b in range(4) if a != b}
    assert_drawn_from(counts, pairs)


def test_each_label_is_equally_likely_to_be_wrong() -> None:
    """Wrong labels in 10 parts of the data, and of 8 samples over 500 seeds; false alarm 1e-4 each."""
    task = classification(5000)
    parts = torch.arange(5000)[changed(task, with_label_noise(task, 0.2, seed=2))] // 500
    assert_drawn_from(Counter(parts.tolist()), dict.fromkeys(range(10), 0.1))
    small = classification(8)
    places = Counter(
        place for n in range(500) for place in changed(small, with_label_noise(small, 0.125, n)).nonzero()[:, 0].tolist()
    )
    assert_drawn_from(places, dict.fromkeys(range(8), 1 / 8))


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.9])
def test_a_wrong_yes_no_label_is_flipped(outputs: int, fraction: float) -> None:
    task = yes_no(outputs=outputs)
    noisy = with_label_noise(task, fraction, seed=3)
    wrong = changed(task, noisy)
    assert wrong.sum() == round(fraction * 40)
    torch.testing.assert_close(train(noisy).targets[wrong], 1 - train(task).targets[wrong])
    assert 0 <= train(noisy).targets.min() <= train(noisy).targets.max() <= 1


@given(samples=st.integers(6, 40), classes=st.integers(2, 5), fraction=FRACTIONS, seed=SEEDS)
def test_wrong_probabilities_are_rotated(samples: int, classes: int, fraction: float, seed: int) -> None:
    """Each wrong row has the same numbers, rotated by 1 to C - 1 places."""
    task = soft(samples, classes)
    noisy = with_label_noise(task, fraction, seed)
    wrong = changed(task, noisy)
    assert abs(wrong.sum().item() - fraction * samples) <= 0.5
    torch.testing.assert_close(train(noisy).targets.sum(1), torch.ones(samples))
    for before, after in zip(train(task).targets[wrong], train(noisy).targets[wrong], strict=True):
        assert any(torch.equal(before.roll(shift), after) for shift in range(1, classes))
        assert before.argmax() != after.argmax()


def test_each_rotation_of_probabilities_is_equally_likely() -> None:
    """3,000 rows by 1, 2 or 3 places; false alarm 1e-4."""
    task = soft(3000)
    noisy = with_label_noise(task, 0.999, seed=4)
    wrong = changed(task, noisy)
    shifts = (train(noisy).targets[wrong].argmax(1) - train(task).targets[wrong].argmax(1)) % 4
    assert_drawn_from(Counter(shifts.tolist()), dict.fromkeys(range(1, 4), 1 / 3))


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("variant", [with_label_noise, with_train_fraction])
def test_nothing_else_is_changed(name: str, variant: type) -> None:
    """The original task, the other splits and the other attributes stay as they are."""
    task = TASKS[name]()
    before = {split: (task.split(split).inputs.clone(), task.split(split).targets.clone()) for split in SPLITS}
    other = variant(task, 0.5, seed=5)
    for split, (inputs, targets) in before.items():
        assert torch.equal(task.split(split).inputs, inputs)
        assert torch.equal(task.split(split).targets, targets)
        if split != "train":
            assert torch.equal(other.split(split).inputs, inputs)
            assert torch.equal(other.split(split).targets, targets)
    assert (other.name, other.link, other.metric, other.training, other.model) == (
        task.name, task.link, task.metric, task.training, task.model,
    )  # fmt: skip
    assert other.digest() != task.digest()


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("variant", [with_label_noise, with_train_fraction])
def test_the_seed_decides(name: str, variant: type) -> None:
    task = TASKS[name]()
    state = torch.get_rng_state()
    first, again, other = (variant(task, 0.5, seed) for seed in (6, 6, 7))
    assert first.digest() == again.digest() != other.digest()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", TASKS)
def test_no_noise_and_all_data_give_the_same_task(name: str) -> None:
    task = TASKS[name]()
    assert with_label_noise(task, 0.0).digest() == task.digest()
    assert with_train_fraction(task, 1.0).digest() == task.digest()


@given(samples=st.integers(12, 60), classes=st.integers(2, 6), fraction=st.floats(0.5, 1), seed=SEEDS)
def test_the_kept_samples_are_some_of_the_original_pairs(samples: int, classes: int, fraction: float, seed: int) -> None:
    """The requested number, no sample twice, each with its own label."""
    task = classification(samples, classes)
    kept = train(with_train_fraction(task, fraction, seed))
    assert abs(len(kept) - fraction * samples) <= 0.5
    names = kept.inputs[:, 0].int()
    assert len(set(names.tolist())) == len(kept)
    assert torch.equal(kept.targets, names.long() % classes)
    assert torch.equal(kept.inputs, train(task).inputs[names])


def test_each_sample_is_equally_likely_to_be_kept() -> None:
    """How often each of 8 samples is among the 4 that are kept, over 500 seeds; false alarm below 1e-4."""
    task = classification(8)
    kept = Counter(int(x) for seed in range(500) for x in train(with_train_fraction(task, 0.5, seed)).inputs[:, 0].tolist())
    assert_drawn_from(kept, dict.fromkeys(range(8), 1 / 8))


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.5, float("nan")])
def test_noise_outside_its_range_is_refused(fraction: float) -> None:
    with pytest.raises(TaskError, match="label noise is a fraction from 0 to below 1, not"):
        with_label_noise(classification(), fraction)


@pytest.mark.parametrize("fraction", [-0.1, 0.0, 1.01, float("nan")])
def test_a_training_fraction_outside_its_range_is_refused(fraction: float) -> None:
    with pytest.raises(TaskError, match="above 0 and at most 1, not"):
        with_train_fraction(classification(), fraction)


@given(classes=st.integers(2, 6), ratio=st.floats(1, 50), seed=SEEDS)
def test_a_long_tail_falls_in_equal_proportions(classes: int, ratio: float, seed: int) -> None:
    task = classification(40 * classes, classes)
    kept = train(with_long_tail(task, ratio, seed))
    counts = kept.targets.bincount(minlength=classes).tolist()
    assert counts == [max(1, round(40 * ratio ** (-each / (classes - 1)))) for each in range(classes)]
    names = kept.inputs[:, 0].int()
    assert len(set(names.tolist())) == len(kept)
    assert torch.equal(kept.targets, names.long() % classes)


def test_a_long_tail_changes_only_the_training_split() -> None:
    task = classification()
    tailed, again, other = (with_long_tail(task, 4.0, seed) for seed in (6, 6, 7))
    assert tailed.digest() == again.digest() != other.digest()
    for split in ("validation", "test"):
        assert torch.equal(tailed.split(split).inputs, task.split(split).inputs)
    assert with_long_tail(task, 1.0).digest() == task.digest()


@pytest.mark.parametrize("ratio", [0.5, 0.0, -1.0, float("nan")])
def test_a_ratio_below_1_is_refused(ratio: float) -> None:
    with pytest.raises(TaskError, match="at least 1, not"):
        with_long_tail(classification(), ratio)


def test_a_long_tail_needs_class_indices() -> None:
    with pytest.raises(TaskError, match="a long tail is for classification"):
        with_long_tail(regression(), 10)
    with pytest.raises(TaskError, match="a long tail needs class indices"):
        with_long_tail(soft(40), 10)


def test_fewer_samples_than_classes_are_refused() -> None:
    assert len(train(with_train_fraction(classification(), 0.1))) == 4
    with pytest.raises(TaskError, match=r"0\.07 of 40 training samples are 3: fewer than the 4 classes"):
        with_train_fraction(classification(), 0.07)


def test_a_regression_is_refused() -> None:
    with pytest.raises(TaskError, match="label noise is for classification; task 'values' is a regression"):
        with_label_noise(regression(), 0.1)
    with pytest.raises(TaskError, match="training data is for classification; task 'values' is a regression"):
        with_train_fraction(regression(), 0.5)
