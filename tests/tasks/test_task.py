"""Task: the data and options that it accepts, its messages for misuse, and its metrics against scikit-learn."""

from __future__ import annotations

import dataclasses
import pickle
import random
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from glo.errors import TaskError
from glo.records import Link
from glo.tasks import METRICS, Split, Task, TaskSource, identity
from glo.tasks.content import tensor_bytes

INPUTS = torch.arange(24.0).reshape(8, 3)
LABELS = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
MISSING = torch.tensor([0, 1, 2, -1, 0, 1, 2, 3])


def task(**changes: Any) -> Task:
    """A valid task of 4 classes, with some arguments changed."""
    options: dict[str, Any] = {"model": lambda: nn.Linear(3, 4), "train": (INPUTS, LABELS), "validation": (INPUTS, LABELS)}
    return Task("mine", **{**options, **changes})


def values(*shape: int) -> Tensor:
    return torch.linspace(0, 1, int(np.prod(shape))).reshape(shape)


NAN = INPUTS.clone()
NAN[3, 1] = float("nan")


def narrow() -> nn.Module:
    return nn.Linear(3, 2)


def images() -> nn.Module:
    return nn.Conv2d(1, 4, 3)


def wide() -> nn.Module:
    return nn.Linear(3, 4)


def not_a_module() -> str:
    return "Linear"


class Endless(IterableDataset):
    """A dataset without a length."""

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        while True:
            yield INPUTS[0], 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": (INPUTS, LABELS[:-1])}, "train has 8 inputs and 7 targets"),
        ({"validation": (INPUTS[:5], LABELS)}, "validation has 5 inputs and 8 targets"),
        ({"test": (INPUTS[:0], LABELS[:0])}, "test has 0 inputs and 0 targets"),
        ({"train": (NAN, LABELS)}, "train has inputs that are NaN or infinite"),
        ({"test": (INPUTS / 0, LABELS)}, "test has inputs that are NaN or infinite"),
        ({"link": "probit"}, "link must be one of softmax, sigmoid, identity, not 'probit'"),
        ({"metric": "accurracy"}, "metric must be a function or one of accuracy.*not 'accurracy'"),
        ({"model": images}, r"the model fails on inputs of shape \(2, 3\)"),
        ({"model": narrow}, r"outputs have shape \(2, 2\).*need \(2, 4\)"),
        ({"model": not_a_module}, "must return a torch.nn.Module, not str"),
        ({"train": (INPUTS, MISSING)}, "train needs class indices.*at least 0"),
        ({"train": (INPUTS, LABELS.reshape(8, 1))}, r"train needs class indices of shape \(N\)"),
        ({"train": (INPUTS, 2 * values(8, 4))}, r"train has labels outside \[0, 1\]"),
        ({"train": (INPUTS, -values(8, 4))}, r"train has labels outside \[0, 1\]"),
        ({"link": "sigmoid", "train": (INPUTS, LABELS)}, r"labels outside \[0, 1\]"),
        ({"link": "identity", "train": (INPUTS, values(8) / 0)}, "finite targets"),
        ({"link": "identity", "train": (INPUTS, values(8, 2, 2))}, r"outputs have shape \(2, 4\).*need \(2, 2, 2\)"),
        ({"train": INPUTS}, r"train must be \(inputs, targets\), .* or a Dataset.*not Tensor"),
        ({"validation": (INPUTS, LABELS, LABELS)}, "validation has sample weights, which no metric reads"),
        ({"train": Endless()}, "or a Dataset with a length, not Endless"),
    ],
)
def test_misuse_is_refused_with_a_clear_message(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message) as caught:
        task(**changes)
    assert "task 'mine'" in str(caught.value)


def test_a_missing_test_split_is_reported_when_it_is_needed() -> None:
    with pytest.raises(TaskError, match="'mine' has no test split"):
        task().split("test")


class Pairs(Dataset):
    """A minimal dataset: pairs of an array and a number."""

    def __len__(self) -> int:
        return len(INPUTS)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return INPUTS[index].numpy(), int(LABELS[index])


@pytest.mark.parametrize(
    "data",
    [
        (INPUTS, LABELS),
        (INPUTS.numpy(), LABELS.numpy()),
        (INPUTS.tolist(), LABELS.tolist()),
        (INPUTS.double(), LABELS.to(torch.uint8)),
        TensorDataset(INPUTS, LABELS),
        Pairs(),
    ],
    ids=["tensors", "arrays", "lists", "other types", "TensorDataset", "Dataset"],
)
def test_every_form_of_data_gives_the_same_split(data: Any) -> None:
    split = task(train=data).split("train")
    assert (split.inputs.dtype, split.targets.dtype) == (torch.float32, torch.int64)
    assert torch.equal(split.inputs, INPUTS)
    assert torch.equal(split.targets, LABELS)
    assert task(train=data).digest() == task().digest()


def test_classes_and_soft_labels() -> None:
    assert task().classes == 4
    assert not task().soft
    one_hot = nn.functional.one_hot(LABELS, 4).float()
    assert not task(train=(INPUTS, one_hot), validation=(INPUTS, one_hot)).soft
    smoothed = task(train=(INPUTS, 0.9 * one_hot + 0.025), validation=(INPUTS, one_hot))
    assert smoothed.soft
    assert smoothed.classes == 4


def test_targets_of_one_output_become_a_column() -> None:
    data = (INPUTS, values(8))
    flat = lambda: nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))  # noqa: E731
    regression = task(link="identity", model=flat, train=data, validation=data)
    assert regression.split("train").targets.shape == (8, 1)
    assert regression.metric == "r2"


@pytest.mark.parametrize("link", [Link.SOFTMAX, "softmax"])
def test_link_and_metric_are_settled_by_the_constructor(link: Link | str) -> None:
    made = task(link=link)
    assert made.link is Link.SOFTMAX
    assert made.metric == "accuracy"
    assert isinstance(made.train, Split)
    assert made.test is None


def test_arguments_may_be_positional() -> None:
    training = {"steps": 5}
    made = Task(
        "mine", narrow, (INPUTS, LABELS % 2), (INPUTS, LABELS % 2), None, "f1_macro", "softmax", training, "words", "2"
    )
    assert (made.name, made.model, made.metric, made.link) == ("mine", narrow, "f1_macro", Link.SOFTMAX)
    assert (made.training, made.description, made.version) == ({"steps": 5}, "words", "2")
    training["steps"] = 6
    assert made.training == {"steps": 5}


@pytest.mark.parametrize("name", ["name", "train", "link", "metric", "source", "unknown"])
def test_a_task_is_immutable(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(task(), name, None)


def test_a_task_is_known_by_identity() -> None:
    one, other = task(), task()
    assert len({one, other, one}) == 2
    assert one != other
    assert weakref.ref(one)() is one


def test_a_task_made_from_another_has_no_source() -> None:
    source = TaskSource("mine", {}, None)
    original = task()
    loaded = original.loaded_from(source)
    assert (original.source, loaded.source) == (None, source)
    assert loaded.train is original.train
    assert dataclasses.replace(loaded, train=(INPUTS + 1, LABELS)).source is None


def test_a_pickled_task_is_the_same_and_computes_its_own_digest() -> None:
    original = task(model=wide, test=(INPUTS, LABELS)).loaded_from(TaskSource("mine", {"a": 1}, None))
    before = pickle.dumps(original)
    digest = original.digest()
    assert isinstance(original.train, Split)
    original.train.to("meta")
    assert pickle.dumps(original) == before
    copy = pickle.loads(before)  # noqa: S301 - written two lines above
    assert copy.digest() == digest
    assert (copy.link, copy.metric, copy.source) == (original.link, original.metric, original.source)
    assert torch.equal(copy.split("test").inputs, INPUTS)


def test_chance_is_the_same_for_one_hot_labels() -> None:
    one_hot = nn.functional.one_hot(LABELS, 4).float()
    soft = task(train=(INPUTS, one_hot), validation=(INPUTS, one_hot))
    assert soft.chance() == pytest.approx(task().chance())


@pytest.mark.parametrize(
    "changes",
    [
        {"train": (INPUTS + 1, LABELS)},
        {"train": (INPUTS, LABELS.flip(0))},
        {"validation": (INPUTS, LABELS.flip(0))},
        {"test": (INPUTS, LABELS)},
        {"metric": "f1_macro"},
        {"version": "2"},
        {"model": lambda: nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 4))},
        {"model": lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1))},
    ],
)
def test_digest_changes_with_data_model_metric_and_version(changes: dict[str, Any]) -> None:
    assert task(**changes).digest() != task().digest()


def test_digest_does_not_change_with_the_name_or_random_weights() -> None:
    assert dataclasses.replace(task(), name="another", description="other words").digest() == task().digest()


def test_the_data_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Tensor] = []

    def counted(tensor: Tensor) -> memoryview:
        hashed.append(tensor)
        return tensor_bytes(tensor)

    monkeypatch.setattr(identity, "tensor_bytes", counted)
    made = task(test=(INPUTS, LABELS))
    assert not hashed
    assert len({made.digest() for _ in range(3)}) == 1
    assert len(hashed) == 6  # inputs and targets of three splits


def draws_from_everything() -> nn.Module:
    """A model that is initialised from every global generator."""
    random.random()  # noqa: S311
    np.random.random()  # noqa: NPY002
    return nn.Linear(3, 4)


def test_a_task_leaves_global_random_state_alone() -> None:
    def states() -> list[Any]:
        return [torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())]  # noqa: NPY002

    before = states()
    made = task(model=draws_from_everything)
    assert states() == before
    made.digest()
    assert states() == before


def test_a_custom_metric_gets_predictions() -> None:
    seen: list[Tensor] = []

    def metric(predictions: Tensor, targets: Tensor) -> float:
        seen.append(predictions)
        return 0.25

    predictions = torch.full((8, 4), 0.25)
    assert task(metric=metric).score(predictions, LABELS) == 0.25
    assert torch.equal(seen[-1], predictions)


def predictions_and_labels() -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Predictions (N, 4) without ties, and labels in which some classes may be missing."""
    samples = st.integers(2, 12)
    return samples.flatmap(
        lambda n: st.tuples(
            st.permutations(range(4 * n)).map(lambda order: np.array(order, np.float32).reshape(n, 4) / (4 * n)),
            st.lists(st.integers(0, 3), min_size=n, max_size=n).map(np.array),
        )
    )


REFERENCES: dict[str, Callable[..., Any]] = {
    "accuracy": sklearn.metrics.accuracy_score,
    "balanced_accuracy": sklearn.metrics.balanced_accuracy_score,
    "f1_macro": lambda true, decided: sklearn.metrics.f1_score(true, decided, average="macro"),
}


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
@pytest.mark.parametrize("name", REFERENCES)
@settings(max_examples=60)
@given(case=predictions_and_labels())
def test_metrics_of_classes_agree_with_scikit_learn(name: str, case: tuple[np.ndarray, np.ndarray]) -> None:
    predictions, labels = case
    found = METRICS[name](torch.from_numpy(predictions), torch.from_numpy(labels))
    assert float(found) == pytest.approx(REFERENCES[name](labels, predictions.argmax(1)), abs=1e-6)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("seed", range(3))
def test_metrics_of_yes_no_labels_agree_with_scikit_learn(name: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    predictions, labels = generator.random((30, 1), np.float32), generator.integers(0, 2, (30, 1))
    found = METRICS[name](torch.from_numpy(predictions), torch.from_numpy(labels).float())
    assert float(found) == pytest.approx(REFERENCES[name](labels[:, 0], (predictions > 0.5)[:, 0]), abs=1e-6)


@pytest.mark.parametrize("outputs", [1, 3])
def test_r2_agrees_with_scikit_learn(outputs: int) -> None:
    """Outputs are weighted by their variance."""
    generator = np.random.default_rng(0)
    true = generator.normal(size=(50, outputs)) * np.arange(1, outputs + 1)
    found = float(METRICS["r2"](torch.from_numpy(true + generator.normal(size=true.shape)), torch.from_numpy(true)))
    generator = np.random.default_rng(0)
    true = generator.normal(size=(50, outputs)) * np.arange(1, outputs + 1)
    expected = sklearn.metrics.r2_score(true, true + generator.normal(size=true.shape), multioutput="variance_weighted")
    assert found == pytest.approx(expected)
    assert float(METRICS["r2"](torch.from_numpy(true), torch.from_numpy(true))) == 1.0


def test_soft_labels_are_scored_by_their_likeliest_class() -> None:
    generator = torch.Generator().manual_seed(0)
    predictions, soft = (torch.rand(8, 4, generator=generator).softmax(1) for _ in range(2))
    expected = sklearn.metrics.accuracy_score(soft.argmax(1), predictions.argmax(1))
    assert task().score(predictions, soft) == pytest.approx(expected)


def test_a_split_is_copied_to_a_device_once() -> None:
    split = Split(torch.randn(4, 2), torch.arange(4))
    assert split.to("cpu") is split
    there = split.to("meta")
    assert there.inputs.device.type == there.targets.device.type == "meta"
    assert split.to("meta") is there
