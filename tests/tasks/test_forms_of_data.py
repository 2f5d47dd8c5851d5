"""Inputs in tuples and dictionaries, labels that are names or begin at 1, and outputs of several dimensions."""

from __future__ import annotations

import logging
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris
from torch import Tensor, nn
from torch.utils.data import Dataset

from glo.errors import ConfigError, TaskError
from glo.expr import parse
from glo.records import Training, TrainingConfig
from glo.tasks import Task, fresh_model, with_label_noise
from glo.training import train_population, train_single

GENERATOR = torch.Generator().manual_seed(0)
NUMBERS = torch.randn(40, 3, generator=GENERATOR)
IDS = torch.randint(0, 10, (40, 5), generator=GENERATOR)
LABELS = (NUMBERS[:, 0] > 0).long() + (NUMBERS[:, 1] > 0.5).long()
NAMES = np.array(["cat", "dog", "eel"])[LABELS]


class Two(nn.Module):
    """A model of numbers and of the ids of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(10, 4), nn.Linear(7, 3)

    def forward(self, numbers: Tensor, ids: Tensor) -> Tensor:
        return self.head(torch.cat([numbers, self.embedding(ids).mean(1)], 1))


class Named(Two):
    """Returns more than the logits, as models of transformers do."""

    def forward(self, numbers: Tensor, ids: Tensor) -> Any:
        return {"hidden": numbers, "logits": super().forward(numbers, ids)}


class Items(Dataset[Any]):
    """A dataset whose inputs are dictionaries."""

    def __len__(self) -> int:
        return len(LABELS)

    def __getitem__(self, index: int) -> Any:
        return {"numbers": NUMBERS[index], "ids": IDS[index]}, LABELS[index]


def trained(task: Task, loss: str = "x*log(y)") -> list[float]:
    """The scores of one training alone, and in a population."""
    config = TrainingConfig(steps=20, batch_size=10, learning_rates=(0.5,))
    training = Training(parse(loss), 0.5)
    together, _ = train_population(task, [training, training], config, seed=1)
    return [train_single(task, training, config, seed=1).validation, together.validation]


@pytest.mark.parametrize(
    ("data", "model", "output"),
    [
        (((NUMBERS, IDS), LABELS), Two, None),
        (({"ids": IDS.numpy(), "numbers": NUMBERS.numpy()}, LABELS.tolist()), Two, None),
        (Items(), Two, None),
        (Items(), Named, "logits"),
        (((NUMBERS, IDS), LABELS), Named, lambda outputs: outputs["logits"]),
    ],
    ids=["tuple", "dict", "Dataset of dicts", "output by key", "output by function"],
)
def test_several_inputs_are_handed_to_the_model(data: Any, model: Any, output: Any) -> None:
    task = Task("two", model, data, data, output=output)
    plain = Task("plain", Two, ((NUMBERS, IDS), LABELS), ((NUMBERS, IDS), LABELS))
    alone, together = trained(task)
    assert alone == together == trained(plain)[0]
    assert alone > 0.6
    assert pickle.loads(pickle.dumps(Task("named", Named, Items(), Items(), output="logits"))).output == "logits"  # noqa: S301


def test_a_model_s_several_outputs_need_a_choice() -> None:
    with pytest.raises(TaskError, match=r"returns a dict; .* output='logits'"):
        Task("two", Named, Items(), Items())
    with pytest.raises(TaskError, match=r"the model fails on inputs of shape .*'logit'"):
        Task("two", Named, Items(), Items(), output="logit")


def test_the_order_and_names_of_inputs_count_in_the_digest() -> None:
    forms = [((NUMBERS, IDS), LABELS), ({"numbers": NUMBERS, "ids": IDS}, LABELS)]
    digests = {Task("two", Two, data, data).digest() for data in forms}
    assert len(digests) == 2


def test_a_bunch_of_scikit_learn_is_data() -> None:
    iris: Any = load_iris()
    task = Task("iris", lambda: nn.Linear(4, 3), iris, (iris.data, iris.target))
    assert task.train.targets.tolist() == iris.target.tolist()


@pytest.mark.parametrize(
    "names", [NAMES, list(NAMES), NAMES.astype(object), pd.Series(NAMES), pd.Series(NAMES, dtype="category"), NAMES[:, None]]
)
def test_names_of_classes_are_encoded_the_same_in_all_splits(names: Any) -> None:
    test = (NUMBERS.flip(0), NAMES[::-1])
    task = Task("pets", lambda: nn.Linear(3, 3), (NUMBERS, names), (NUMBERS[:10], NAMES[:10]), test)
    assert task.class_names == ("cat", "dog", "eel")
    assert task.train.targets.tolist() == LABELS.tolist()
    assert task.split("test").targets.tolist() == LABELS.flip(0).tolist()
    assert replace(task, name="other").class_names == ("cat", "dog", "eel")


def test_a_name_that_train_does_not_have_is_refused() -> None:
    with pytest.raises(TaskError, match="validation has classes that train does not have: emu"):
        Task("pets", lambda: nn.Linear(3, 3), (NUMBERS, NAMES), (NUMBERS[:2], ["cat", "emu"]))


def test_classes_from_one_are_shifted_if_the_model_has_as_many_outputs() -> None:
    data = (NUMBERS, LABELS + 1)
    task = Task("shifted", lambda: nn.Linear(3, 3), data, data)
    assert (task.train.targets.tolist(), task.class_names) == (LABELS.tolist(), (1, 2, 3))
    wider = Task("not shifted", lambda: nn.Linear(3, 4), data, data)
    assert (wider.train.targets.tolist(), wider.class_names) == ((LABELS + 1).tolist(), None)


@pytest.mark.parametrize("pair", [(-1, 1), (1, 2), ("no", "yes")])
def test_the_two_labels_of_a_question_are_encoded(pair: tuple[Any, Any]) -> None:
    labels = [pair[int(label > 0)] for label in LABELS]
    task = Task("question", lambda: nn.Linear(3, 1), (NUMBERS, labels), (NUMBERS, labels), link="sigmoid")
    assert task.train.targets[:, 0].tolist() == (LABELS > 0).float().tolist()
    assert task.class_names == pair


def test_classes_that_cannot_be_learned_are_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="glo"):
        Task("unseen", lambda: nn.Linear(3, 3), (NUMBERS, LABELS.clamp_max(1)), (NUMBERS, LABELS))
        Task("single", lambda: nn.Linear(3, 3), (NUMBERS, LABELS), (NUMBERS[:3], [1, 1, 1]))
    assert "validation has classes that train does not have (2)" in caplog.text
    assert "all samples of validation have the same class" in caplog.text


class Pixels(nn.Module):
    """Outputs (N, 3, 4, 4) for images (N, 1, 4, 4)."""

    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, outputs, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images)


IMAGES = torch.randn(40, 1, 4, 4, generator=GENERATOR)
MASKS = (IMAGES[:, 0] > 0).long() + (IMAGES[:, 0] > 1).long()
HOLES = MASKS.masked_fill(torch.rand(40, 4, 4, generator=GENERATOR) < 0.2, 255)


def test_a_label_for_each_pixel(recwarn: pytest.WarningsRecorder) -> None:
    task = Task("masks", Pixels, (IMAGES, HOLES), (IMAGES, HOLES), ignore_index=255)
    alone, together = trained(task)
    assert alone == pytest.approx(together, abs=1e-6)
    assert alone > 0.7
    assert task.classes == 3


def test_a_metric_of_the_user_s_gets_what_the_model_returns() -> None:
    seen: list[tuple[Any, Any]] = []

    def metric(predictions: Tensor, targets: Tensor) -> float:
        seen.append((tuple(predictions.shape), tuple(targets.shape)))
        return float((predictions.argmax(1) == targets).float().mean())

    Task("masks", Pixels, (IMAGES, HOLES), (IMAGES, HOLES), ignore_index=255, metric=metric)
    assert set(seen) == {((40, 3, 4, 4), (40, 4, 4))}


def test_one_yes_no_question_for_each_pixel() -> None:
    masks = (IMAGES[:, 0] > 0).float()
    for targets in (masks, masks[:, None]):
        task = Task("mask", lambda: Pixels(1), (IMAGES, targets), (IMAGES, targets), link="sigmoid")
        assert tuple(task.train.targets.shape) == (40, 1, 4, 4)
        alone, together = trained(task, "x*log(y) + (1 - x)*log(1 - y)")
        assert alone == pytest.approx(together, abs=1e-6)
        assert alone > 0.7


def test_targets_of_other_places_than_the_outputs_are_refused() -> None:
    with pytest.raises(TaskError, match=r"outputs have shape \(2, 3, 4, 4\).*need \(2, 3, 4, 3\)"):
        Task("masks", Pixels, (IMAGES, MASKS[:, :, :3]), (IMAGES, MASKS[:, :, :3]))


class Changing(nn.Module):
    """Has an output less in training."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs)[:, : 3 if self.training else 4]


def test_outputs_of_another_shape_in_training_are_refused() -> None:
    with pytest.raises(TaskError, match=r"\(2, 3\) in training and \(2, 4\) in evaluation"):
        Task("changing", Changing, (NUMBERS, LABELS), (NUMBERS, LABELS))


def test_ignore_index_is_for_class_indices() -> None:
    with pytest.raises(TaskError, match="ignore_index is for class indices"):
        Task("mask", lambda: nn.Linear(3, 1), (NUMBERS, LABELS > 0), (NUMBERS, LABELS > 0), link="sigmoid", ignore_index=-1)
    with pytest.raises(TaskError, match="no target but -100, the ignore_index"):
        Task("none", lambda: nn.Linear(3, 3), (NUMBERS, LABELS * 0 - 100), (NUMBERS, LABELS), ignore_index=-100)
    with pytest.raises(TaskError, match="at least 0, not -100; if those do not count, give ignore_index=-100"):
        Task("none", lambda: nn.Linear(3, 3), (NUMBERS, LABELS * 0 - 100), (NUMBERS, LABELS))


def test_an_ignored_class_is_not_moved_onto_another() -> None:
    """Classes 1 to 3 with 0 for what does not count: a model with 3 outputs has no place for them."""
    labels = torch.where(NUMBERS[:, 2] > 0.5, 0, LABELS + 1)
    with pytest.raises(TaskError, match=r"ignore_index=0 is one of them: give the model 4 outputs, or subtract 1"):
        Task("void", lambda: nn.Linear(3, 3), (NUMBERS, labels), (NUMBERS, labels), ignore_index=0)
    task = Task("void", lambda: nn.Linear(3, 3), (NUMBERS, labels - 1), (NUMBERS, labels - 1), ignore_index=-1)
    assert int((task.validation.targets == -1).sum()) == int((labels == 0).sum())


def test_class_names_are_the_order_of_the_classes() -> None:
    names = ("eel", "cat", "dog")
    data = (NUMBERS, NAMES)
    task = Task("pets", lambda: nn.Linear(3, 3), data, data, class_names=names, class_weight={"eel": 5.0})
    assert [names[target] for target in task.train.targets] == NAMES.tolist()
    assert task.class_weight == (5.0, 1.0, 1.0)
    with pytest.raises(TaskError, match="train has classes that train does not have: eel; the classes are cat, dog"):
        Task("pets", lambda: nn.Linear(3, 3), data, data, class_names=names[1:])
    with pytest.raises(TaskError, match="there are 4 class names for 3 classes"):
        Task("pets", lambda: nn.Linear(3, 3), data, data, class_names=(*names, "emu"))
    options: dict[str, Any] = {"class_names": 3}
    with pytest.raises(TaskError, match="class_names is a list of the classes, not 3"):
        Task("pets", lambda: nn.Linear(3, 3), data, data, **options)


def test_a_replaced_split_is_encoded_as_the_others() -> None:
    shifted = Task("shifted", lambda: nn.Linear(3, 3), (NUMBERS, LABELS + 1), (NUMBERS, LABELS + 1))
    low = LABELS < 2
    again = replace(shifted, train=(NUMBERS[low], LABELS[low] + 1))
    assert again.train.targets.tolist() == LABELS[low].tolist()
    pets = Task("pets", lambda: nn.Linear(3, 3), (NUMBERS, NAMES), (NUMBERS, NAMES))
    assert replace(pets, validation=(NUMBERS, NAMES)).validation.targets.tolist() == LABELS.tolist()
    with pytest.raises(TaskError, match="train has classes that train does not have: ant"):
        replace(pets, train=(NUMBERS, ["ant"] * 40))
    signs = (NUMBERS, [1 if one else -1 for one in low])
    question = Task("q", lambda: nn.Linear(3, 1), signs, signs, link="sigmoid")
    assert question.class_names == (-1.0, 1.0)


def test_label_noise_leaves_what_is_ignored() -> None:
    labels = LABELS.masked_fill(NUMBERS[:, 2] > 0, 255)
    task = Task("holes", lambda: nn.Linear(3, 3), (NUMBERS, labels), (NUMBERS, LABELS), ignore_index=255)
    noisy = with_label_noise(task, 0.5)
    assert ((noisy.train.targets == 255) == (labels == 255)).all()
    assert int((noisy.train.targets != labels).sum()) == round(0.5 * int((labels != 255).sum()))


def test_chance_counts_decisions_and_not_images() -> None:
    task = Task("masks", Pixels, (IMAGES, HOLES), (IMAGES, HOLES), ignore_index=255)
    counted = HOLES[HOLES != 255]
    share = counted.bincount().max().item() / len(counted)
    assert task.chance() == pytest.approx(share + 3 * (share * (1 - share) / len(counted)) ** 0.5)


def test_tags_that_look_like_labels_of_each_class() -> None:
    """One positive token in each text, and tags in floating point."""
    tags = nn.functional.one_hot(torch.arange(40) % 5, 5)
    tagger = lambda: nn.Sequential(nn.Linear(3, 10), nn.Unflatten(1, (2, 5)))  # noqa: E731
    task = Task("tags", tagger, (NUMBERS, tags), (NUMBERS, tags))
    assert (task.train.targets.dtype, tuple(task.train.targets.shape)) == (torch.int64, (40, 5))
    of_floats = Task("tags", tagger, (NUMBERS, (tags + 1 - tags).float() * tags.float()), (NUMBERS, tags))
    assert of_floats.train.targets.dtype == torch.int64


def test_label_smoothing_is_not_for_regression() -> None:
    task = Task("line", lambda: nn.Linear(3, 1), (NUMBERS, NUMBERS[:, 0]), (NUMBERS, NUMBERS[:, 0]), link="identity")
    with pytest.raises(ConfigError, match="label_smoothing is for probabilities"):
        train_single(
            task,
            Training(parse("-square(x - y)"), 0.1),
            TrainingConfig(steps=2, label_smoothing=0.1),
            seed=0,
        )
    assert fresh_model(task, 0) is not None
