"""The forms in which users have data: each is read as it is meant, or refused with one line that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from glo.errors import TaskError
from glo.records import Link
from glo.tasks import Split, Task, with_label_noise
from glo.tasks.reading import read_split

INPUTS = np.arange(24, dtype=np.float32).reshape(8, 3)
LABELS = np.array([0, 1, 2, 3, 0, 1, 2, 3])
ONE_HOT = np.eye(4, dtype=np.float32)[LABELS]
SHUFFLED = [5, 2, 7, 0, 1, 3, 6, 4]  # an index that is not the position


def task(train: Any) -> Task:
    return Task("mine", lambda: nn.Linear(3, 4), train, (INPUTS, LABELS))


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


class Items(Dataset):
    """A dataset with these items."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


class Broken(Items):
    def __getitem__(self, index: int) -> Any:
        return {"inputs": self.items[index]}["input"]


class Stream(IterableDataset):
    """An iterable dataset may have a length; it still has no items by index."""

    def __len__(self) -> int:
        return 8

    def __iter__(self) -> Iterator[Any]:
        yield from zip(INPUTS, LABELS, strict=True)


FORMS: dict[str, Any] = {
    "negative stride": (INPUTS[::-1].copy()[::-1], LABELS),
    "Fortran order": (np.asfortranarray(INPUTS), LABELS),
    "big-endian": (INPUTS.astype(">f4"), LABELS.astype(">i8")),
    "longdouble": (INPUTS.astype(np.longdouble), LABELS),
    "half": (INPUTS.astype(np.float16), LABELS.astype(np.int8)),
    "uint16": (INPUTS.astype(np.uint16), LABELS.astype(np.uint16)),
    "uint32": (INPUTS.astype(np.uint32), LABELS.astype(np.uint32)),
    "uint64": (INPUTS.astype(np.uint64), LABELS.astype(np.uint64)),
    "uint64 tensors": (torch.tensor(INPUTS).to(torch.uint64), torch.tensor(LABELS).to(torch.uint64)),
    "bfloat16": (torch.tensor(INPUTS).bfloat16(), torch.tensor(LABELS).to(torch.uint8)),
    "read-only": (read_only(INPUTS), read_only(LABELS)),
    "objects": (INPUTS.astype(object), LABELS.astype(object)),
    "no masked values": (np.ma.MaskedArray(INPUTS), np.ma.MaskedArray(LABELS)),
    "requires_grad": (torch.tensor(INPUTS, requires_grad=True), torch.tensor(LABELS)),
    "transposed tensor": (torch.tensor(INPUTS.T.copy()).T, torch.tensor(LABELS)),
    "list of arrays": (list(INPUTS), list(LABELS)),
    "list of tensors": (list(torch.tensor(INPUTS)), list(torch.tensor(LABELS))),
    "list of tensors with a gradient": ([torch.tensor(row, requires_grad=True) for row in INPUTS], LABELS),
    "DataFrame and Series": (pd.DataFrame(INPUTS, index=SHUFFLED), pd.Series(LABELS, index=SHUFFLED)),
    "DataFrame of several types": (
        pd.DataFrame({"a": INPUTS[:, 0], "b": INPUTS[:, 1].astype(int), "c": pd.array(INPUTS[:, 2].astype(int), "Int64")}),
        pd.Series(LABELS, dtype="Int64"),
    ),
    "whole numbers in floating point": (INPUTS, LABELS.astype(float)),
    "Dataset": Items(list(zip(INPUTS, LABELS.tolist(), strict=True))),
    "Dataset of lists": Items([[row.tolist(), label] for row, label in zip(INPUTS, LABELS, strict=True)]),
    "TensorDataset": TensorDataset(torch.tensor(INPUTS), torch.tensor(LABELS)),
    "Subset": Subset(TensorDataset(torch.tensor(INPUTS[::-1].copy()), torch.tensor(LABELS[::-1].copy())), range(7, -1, -1)),
    "Split": Split(torch.tensor(INPUTS), torch.tensor(LABELS)),
}


@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS)
def test_data_is_read_as_it_is_meant(data: Any) -> None:
    split = task(data).split("train")
    assert (split.inputs.dtype, split.targets.dtype) == (torch.float32, torch.int64)
    np.testing.assert_array_equal(split.inputs, INPUTS)
    np.testing.assert_array_equal(split.targets, LABELS)
    assert split.inputs.is_contiguous()
    assert not split.inputs.requires_grad


def test_yes_no_labels_may_be_bool() -> None:
    labels = LABELS > 1
    assert read_split((INPUTS > 7, labels), "train", Link.SOFTMAX).targets.tolist() == labels.astype(int).tolist()
    assert read_split((INPUTS, labels), "train", Link.SIGMOID).targets.tolist() == labels.astype(float)[:, None].tolist()


@pytest.mark.parametrize("kind", [np.float64, np.int64, np.uint8, bool])
def test_one_hot_labels_of_any_type_are_probabilities(kind: type) -> None:
    targets = read_split((INPUTS, ONE_HOT.astype(kind)), "train", Link.SOFTMAX).targets
    assert targets.dtype == torch.float32
    np.testing.assert_array_equal(targets, ONE_HOT)


def test_large_values_of_a_regression_are_kept() -> None:
    """A uint64 does not become a negative int64."""
    values = np.array([2**63 + 2**40, 1, 2, 3, 4, 5, 6, 7], np.uint64)
    assert read_split((INPUTS, values), "train", Link.IDENTITY).targets[0, 0] == float(2**63 + 2**40)


REFUSED: dict[str, tuple[Any, str]] = {
    "names in train alone": ((INPUTS, np.array(list("abcdabcd"))), "validation has numbers as targets, .* names"),
    "names and numbers": ((INPUTS, ["a", 1, "b", "c"] * 2), "targets are strings, but some are int"),
    "a missing name": ((INPUTS, pd.Series(["a", None, "b", "c"] * 2)), "targets are strings, but some are (float|NoneType)"),
    "inputs are strings": ((INPUTS.astype(str), LABELS), "train inputs are strings: encode"),
    "missing value": ((pd.DataFrame(INPUTS).where(INPUTS > 0, None), LABELS), "column 0 has 1 missing values: fill them"),
    "pandas NA": ((INPUTS, pd.array([None, 1, 2, 3, 0, 1, 2, 3], "Int64")), "train needs finite targets: some are NaN"),
    "complex": ((INPUTS * 1j, LABELS), "inputs are complex"),
    "complex tensor": ((torch.tensor(INPUTS) * 1j, LABELS), "inputs are complex"),
    "dates": ((np.arange(8).astype("M8[D]"), LABELS), "inputs are dates"),
    "scipy.sparse": ((scipy.sparse.csr_matrix(INPUTS), LABELS), r"inputs are sparse: give \.toarray\(\)"),
    "torch sparse": ((torch.tensor(INPUTS).to_sparse(), LABELS), r"inputs are sparse: give \.to_dense\(\)"),
    "meta": ((torch.empty(8, 3, device="meta"), LABELS), "inputs are on the device 'meta'"),
    "masked": ((np.ma.masked_greater(INPUTS, 5), LABELS), r"inputs have masked values: fill them with \.filled"),
    "0-d input": ((np.float32(1), LABELS), "train is a single number"),
    "0-d target": ((INPUTS, torch.tensor(1)), "train is a single number"),
    "None": ((INPUTS, None), "targets must be an array of numbers, not NoneType"),
    "generator": ((iter(INPUTS), LABELS), "inputs must be an array of numbers, not .*iterator"),
    "dict of nothing": (({}, LABELS), "train has no inputs"),
    "dict of strings": (({"x": INPUTS, "city": ["a"] * 8}, LABELS), r"inputs\['city'\] are strings: encode"),
    "strings in a column": ((pd.DataFrame({"x": range(8), "city": ["a"] * 8}), LABELS), "column 'city' has strings: encode"),
    "ragged list": (([[1.0], [1.0, 2.0]] * 4, LABELS), "inputs have rows of unequal length: pad or cut"),
    "ragged tensors": (([torch.ones(2), torch.ones(3)], LABELS), r"inputs have shape \(2,\) in item 0 and \(3,\) in item 1"),
    "huge integers": ((INPUTS, [2**70] * 8), "targets contain integers above"),
    "NaN class": ((INPUTS, np.where(LABELS > 2, np.nan, LABELS)), "train needs finite targets: some are NaN"),
    "fractions as classes": ((INPUTS, LABELS / 3), r"not whole numbers: .*probabilities of shape \(N, C\)"),
    "negative float class": ((INPUTS, LABELS - 1.0), "class indices .*at least 0, not -1"),
    "column of classes": ((INPUTS, LABELS[:, None].astype(float)), r"class indices of shape \(N\).*not .*\(8, 1\)"),
    "several labels": ((INPUTS, np.ones((8, 4), int)), "several labels, use link='sigmoid'"),
    "sum off": ((INPUTS, ONE_HOT * np.linspace(1, 0.99, 8)[:, None]), "do not sum to 1: those of sample 7 sum to 0.99"),
    "IterableDataset": (Stream(), "or a Dataset with a length, not Stream"),
    "DataLoader": (DataLoader(Items([(INPUTS[0], 0)])), r"not DataLoader; give its \.dataset"),
    "empty Dataset": (Items([]), "train has 0 inputs and 0 targets"),
    "Dataset of dicts": (Items([{"x": INPUTS[0], "y": 0}] * 8), r"items \(input, target\), but item 0 is a dict of 2"),
    "Dataset of quadruples": (Items([(INPUTS[0], 0, 1.0, 2)] * 8), r"items \(input, target\), but item 0 is a tuple of 4"),
    "weights in some items": (Items([(INPUTS[0], 0, 1.0), (INPUTS[0], 1)]), "weights in 1 of 2 items"),
    "one class": ((INPUTS, LABELS * 0), "all samples of train have the same class: there is nothing to learn"),
    "too few weights": ((INPUTS, LABELS, [1.0] * 7), r"weights of shape \(7,\) for 8 samples: give one for each"),
    "negative weights": ((INPUTS, LABELS, [-1.0] + [1.0] * 7), "weights that are finite and at least 0"),
    "Dataset of numbers": (Items([1.0] * 8), "but item 0 is a float"),
    "Dataset of images": (Items([(Image.new("L", (2, 2)), 0)] * 8), r"images as items: .*ToTensor\(\)"),
    "Dataset of strings": (Items([(INPUTS[0], "cat")] * 8), "validation has numbers as targets, .* names"),
    "ragged Dataset": (Items([(INPUTS[0], 0), (INPUTS[0, :2], 0)]), r"\(3,\) in item 0 and \(2,\) in item 1"),
    "ragged targets": (Items([(INPUTS[0], [0, 1]), (INPUTS[0], [0])]), r"targets have shape \(2,\) in item 0 and \(1,\)"),
    "broken Dataset": (Broken([1]), "train cannot be read: item 0 raises KeyError: 'input'"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_with_one_line(data: Any, message: str) -> None:
    with pytest.raises(TaskError, match=f"^task 'mine': .*{message}") as caught:
        task(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", [np.array, torch.tensor, pd.DataFrame], ids=["array", "tensor", "DataFrame"])
def test_the_task_does_not_change_with_the_caller_s_array(form: Callable[[Any], Any]) -> None:
    inputs, labels = form(INPUTS), LABELS.copy()
    made = task((inputs, labels))
    before = made.train.inputs.clone()
    inputs *= 0
    labels *= 0
    assert torch.equal(made.train.inputs, before)
    assert made.train.targets.tolist() == LABELS.tolist()


def test_the_task_does_not_change_with_the_tensors_of_a_dataset() -> None:
    inputs = torch.tensor(INPUTS)
    made = task(TensorDataset(inputs, torch.tensor(LABELS)))
    inputs *= 0
    np.testing.assert_array_equal(made.train.inputs, INPUTS)


def test_variants_of_a_task_share_their_data() -> None:
    original = task((INPUTS, LABELS))
    noisy = with_label_noise(original, 0.5)
    assert noisy.train.inputs.data_ptr() == original.train.inputs.data_ptr()
    assert noisy.validation.inputs.data_ptr() == original.validation.inputs.data_ptr()


class Constant(nn.Module):
    """A model for inputs of any shape."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(4))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.logits.expand(len(inputs), 4)


KINDS = st.one_of(arrays.scalar_dtypes(), arrays.unicode_string_dtypes(max_len=2), arrays.byte_string_dtypes(max_len=2))
ARRAYS = arrays.arrays(KINDS, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
VALUES = st.recursive(st.one_of(st.none(), st.floats(), st.integers(), st.text(max_size=2), ARRAYS), st.lists, max_leaves=5)
EXTRA = st.sampled_from([data for data in FORMS.values() if isinstance(data, tuple)]).flatmap(st.sampled_from)


@settings(max_examples=200)
@given(inputs=st.one_of(VALUES, EXTRA), targets=st.one_of(VALUES, EXTRA), link=st.sampled_from(Link), paired=st.booleans())
def test_any_data_is_a_task_or_refused(inputs: Any, targets: Any, link: Link, paired: bool) -> None:
    data = Items([(inputs, targets)] * 3) if paired else (inputs, targets)
    try:
        made = Task("mine", Constant, data, data, link=link)
    except TaskError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
        return
    assert made.train.inputs.dtype in (torch.float32, torch.int64)  # the model takes whole numbers as they are
    assert bool(torch.isfinite(made.train.inputs).all())
    assert len(made.train.targets) == len(made.train.inputs) > 0
