"""Read the forms in which users give the data of a task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from glo.errors import RAISED, TaskError
from glo.records import Link
from glo.tasks.arrays import (
    Numbers,
    check_shape,
    dtype_of,
    is_boolean,
    is_floating,
    read_labels,
    read_numbers,
    stack,
    to_tensor,
)
from glo.tasks.inputs import Inputs, tensors_of
from glo.tasks.split import Split
from glo.tasks.targets import read_targets

SplitLike = Split | tuple[Any, ...] | Mapping[str, Any] | Dataset[Any] | Callable[[], Iterable[Any]]
FORMS = "(inputs, targets), (inputs, targets, sample weights) or a Dataset with a length"


@dataclass(frozen=True)
class Raw:
    """The data of a split as it was given.

    Attributes:
        inputs: of the model, as tensors.
        targets: numbers, or an array of strings.
        weights: of the samples, or None.
        shared: whether the targets' memory is not the caller's any more, or a split's.
    """

    inputs: Inputs
    targets: Any
    weights: Numbers | None
    shared: bool


def read_raw(data: SplitLike, where: str) -> Raw:
    """The inputs, targets and weights of data in any accepted form.

    Args:
        data: a pair, a triple, a `Dataset` of such items, a Bunch of scikit-learn, or a split.
        where: what the data is, for messages.

    Raises:
        TaskError: if the data is malformed; the message says how.
    """
    if isinstance(data, Split):
        return Raw(data.inputs, data.targets, data.weights, shared=True)
    if isinstance(data, Mapping) and {"data", "target"} <= data.keys():  # a Bunch
        data = (data["data"], data["target"])
    if isinstance(data, tuple) and len(data) in (2, 3):
        weights = read_numbers(data[2], f"{where} weights") if len(data) == 3 and data[2] is not None else None
        return Raw(_read_inputs(data[0], where), read_labels(data[1], f"{where} targets"), weights, shared=False)
    if isinstance(data, Dataset) and isinstance(data, Sized) and not isinstance(data, IterableDataset):
        return _read_dataset(data, where)
    hint = ""
    if isinstance(data, DataLoader):
        hint = "; give its .dataset, or a function that makes the DataLoader, which is then read batch by batch"
    elif isinstance(data, IterableDataset):
        hint = "; give a function that makes a DataLoader of it, which is then read batch by batch"
    raise TaskError(f"{where} must be {FORMS}, not {type(data).__name__}{hint}")


def as_split(
    raw: Raw,
    where: str,
    link: Link,
    ignore_index: int | None = None,
    by_index: bool | None = None,
    whole: bool = True,
) -> Split:
    """Check data and bring it into the form of a `Split`.

    The result has its own memory, so that the caller may change an array afterwards; only a `Split` is shared.

    Args:
        raw: the data; its targets are numbers.
        where: what the data is, for messages.
        link: decides which targets are valid.
        ignore_index: the class index of samples, or pixels, that do not count.
        by_index, whole: as for `read_targets`.

    Raises:
        TaskError: if the data is malformed; the message says how.
    """
    lengths = {len(tensor) for tensor in tensors_of(raw.inputs) if tensor.dim()}
    if raw.targets.ndim == 0 or any(tensor.dim() == 0 for tensor in tensors_of(raw.inputs)):
        raise TaskError(f"{where} is a single number: give arrays with one row for each sample")
    if lengths != {len(raw.targets)} or len(raw.targets) == 0:
        raise TaskError(f"{where} has {' and '.join(map(str, sorted(lengths)))} inputs and {len(raw.targets)} targets")
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors_of(raw.inputs)):
        raise TaskError(f"{where} has inputs that are NaN or infinite")
    targets = read_targets(raw.targets, where, link, ignore_index, not raw.shared, by_index, whole)
    weights = None if raw.weights is None else _read_weights(raw.weights, len(targets), where, whole)
    return Split(raw.inputs, targets, weights)


def read_split(data: SplitLike, where: str, link: Link) -> Split:
    """`as_split` of `read_raw`, for one split by itself."""
    return as_split(read_raw(data, where), where, link)


def _read_inputs(value: Any, where: str) -> Inputs:
    """One tensor, or those of a tuple or dictionary; there, whole numbers and booleans stay what they are."""
    if isinstance(value, tuple):  # also a named one
        value = dict(enumerate(value))
        parts = _read_named(value, where)
        return tuple(parts.values())
    if isinstance(value, dict) or (isinstance(value, Mapping) and not hasattr(value, "dtypes")):
        return {str(name): tensor for name, tensor in _read_named(value, where).items()}
    numbers = read_numbers(value, f"{where} inputs")
    return to_tensor(numbers, dtype_of(numbers))


def _read_named(parts: Mapping[Any, Any], where: str) -> dict[Any, Tensor]:
    if not parts:
        raise TaskError(f"{where} has no inputs")
    found = {name: read_numbers(part, f"{where} inputs[{name!r}]") for name, part in parts.items()}
    return {name: to_tensor(numbers, _dtype_of_named(numbers)) for name, numbers in found.items()}


def _dtype_of_named(numbers: Numbers) -> torch.dtype:
    return torch.bool if is_boolean(numbers) else dtype_of(numbers)


def _read_weights(weights: Numbers, samples: int, where: str, whole: bool) -> Tensor:
    if tuple(weights.shape) != (samples,):
        raise TaskError(f"{where} has weights of shape {tuple(weights.shape)} for {samples} samples: give one for each")
    read = to_tensor(weights, torch.float32)
    if not bool((torch.isfinite(read) & (read >= 0)).all()) or (whole and not bool(read.any())):
        raise TaskError(f"{where} needs weights that are finite and at least 0, and not all of them 0")
    if whole and samples > 2 and torch.equal(read.sort().values, torch.arange(samples, dtype=torch.float32)):
        raise TaskError(f"{where} has the weights 0 to {samples - 1}: are these the indices of the samples?  Leave them out")
    return read


def _read_dataset(data: Dataset[Any], where: str) -> Raw:
    """The items of a dataset; an input is written to its place as soon as it is read."""
    samples = len(data)  # pyright: ignore[reportArgumentType] - it is Sized
    if samples == 0:
        raise TaskError(f"{where} has 0 inputs and 0 targets")
    places: dict[Any, Tensor] = {}
    targets, weights = list[Any](), list[Numbers]()
    form: type = Tensor
    for index in range(samples):
        item = read_item(data, index, where)
        named = _named(item[0])
        if index == 0:
            form = tuple if isinstance(item[0], tuple) else dict if isinstance(item[0], dict) else Tensor
        elif list(named) != list(places):
            raise TaskError(f"{where} inputs of item {index} are not of the form of item 0")
        for name, value in named.items():
            _put(value, places, name, index, samples, where, named=form in (tuple, dict))
        targets.append(read_labels(item[1], f"{where} targets of item {index}"))
        if len(item) == 3:
            weights.append(read_numbers(item[2], f"{where} weights of item {index}"))
    if len(weights) not in (0, samples):
        raise TaskError(f"{where} has weights in {len(weights)} of {samples} items: give them in all, or in none")
    inputs: Inputs = tuple(places.values()) if form is tuple else places if form is dict else places[None]
    named_weights = stack(weights, f"{where} weights") if weights else None
    return Raw(inputs, _joined(targets, f"{where} targets"), named_weights, shared=True)


def _named(value: Any) -> dict[Any, Any]:
    """The parts of an item's input by name or place; one tensor has the name None."""
    if isinstance(value, tuple):
        return dict(enumerate(value))
    return dict(value) if isinstance(value, dict) else {None: value}


def _put(value: Any, places: dict[Any, Tensor], name: Any, index: int, samples: int, where: str, named: bool) -> None:
    """Write one part of an item's input to its place; that of item 0 makes the place."""
    what = f"{where} inputs" + (f"[{name!r}]" if named else "")
    part = read_numbers(value, f"{what} of item {index}")
    if index == 0:
        dtype = _dtype_of_named(part) if named else dtype_of(part)
        places[name] = torch.empty((samples, *part.shape), dtype=dtype)
    place = places[name]
    check_shape(part, place[0], index, what)
    if is_floating(part) and not place.is_floating_point():
        raise TaskError(f"{what} are whole numbers in item 0 and floating point in item {index}: give one type")
    place[index] = to_tensor(part, place.dtype, copy=False)


def read_item(data: Dataset[Any], index: int, where: str) -> tuple[Any, ...] | list[Any]:
    """One item of a dataset: (input, target), or with a weight.

    Raises:
        TaskError: if it cannot be read, or has another form.
    """
    try:
        item = data[index]
    except RAISED as error:
        raise TaskError(f"{where} cannot be read: item {index} raises {type(error).__name__}: {error}") from error
    if not isinstance(item, tuple | list) or len(item) not in (2, 3):
        kind = f"{type(item).__name__} of {len(item)}" if isinstance(item, Sized) else type(item).__name__
        raise TaskError(f"{where} must have items (input, target), but item {index} is a {kind}")
    if type(item[0]).__module__.startswith("PIL."):
        raise TaskError(f"{where} has images as items: give the dataset a transform that makes tensors, e.g. ToTensor()")
    return item


def _joined(targets: list[Any], what: str) -> Any:
    """The targets of all items: numbers in one tensor, or strings in one array."""
    if any(not isinstance(target, Tensor) and target.dtype.kind == "U" for target in targets):
        return read_labels([str(target) for target in targets], what)
    return stack(targets, what)
