"""Bring the data of a task into the form that its model takes and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from glo.errors import TaskError
from glo.records import Link
from glo.tasks.factory import fresh_model, run
from glo.tasks.reading import Raw, SplitLike, as_split, read_raw
from glo.tasks.split import Split
from glo.tasks.stream import Stream, streamed
from glo.tasks.targets import Names, encoded, from_one, read_class_weight

if TYPE_CHECKING:
    from glo.tasks.definition import Task

Data = Split | Stream


def read_splits(
    given: Mapping[str, SplitLike | Stream],
    where: str,
    link: Link,
    ignore_index: int | None,
    class_names: Names | None = None,
) -> tuple[dict[str, Data], Names | None]:
    """The splits of a task, and the names of its classes if its labels are names.

    Raises:
        TaskError: if the data is malformed; the message says how.
    """
    streams: dict[str, Data] = {}
    raw: dict[str, Raw] = {}
    for name, data in given.items():
        if (stream := streamed(data, f"{where}: {name}", link, ignore_index)) is not None:
            streams[name] = stream
        else:
            raw[name] = read_raw(cast("SplitLike", data), f"{where}: {name}")
    targets = {name: each.targets for name, each in raw.items()}
    fresh = {name: each for name, each in targets.items() if not isinstance(given[name], Split)}  # a split is encoded
    found, names = encoded(fresh, where, link, class_names)
    if streams and names is not None and class_names is None:
        raise TaskError(f"{where}: {', '.join(streams)} is read batch by batch, so no label is encoded: give class indices")
    targets |= found
    splits: dict[str, Data] = {}
    for name, each_raw in raw.items():
        shared = each_raw.shared and targets[name] is each_raw.targets
        full = Raw(each_raw.inputs, targets[name], each_raw.weights, shared)
        splits[name] = as_split(full, f"{where}: {name}", link, ignore_index)
    return {**splits, **streams}, names


def fit_to_model(task: Task) -> None:
    """Make inputs float32 unless the model takes whole numbers, and give targets the form of the model's outputs.

    A model that fails is reported later, by `check_task`.
    """
    splits = task.splits
    named = isinstance(task.train.head.inputs, tuple | dict)
    whole = all(split.is_whole for split in splits.values())
    if (not whole and not named) or (whole and _outputs(task) is None):
        _set(task, {name: split.with_float_inputs() for name, split in splits.items()})
    outputs = _outputs(task)
    if outputs is None or outputs.dim() < 2:
        return
    task.__dict__["outputs"] = outputs.shape[1]
    if task.link is Link.SOFTMAX:
        _set(task, {name: _fitted_classes(split, outputs) for name, split in task.splits.items()})
        resident = {name: split for name, split in task.splits.items() if isinstance(split, Split)}
        if len(resident) == len(splits) and (shifted := from_one(resident, outputs.shape[1], task.ignore_index)) is not None:
            _set(task, shifted)
            task.__dict__["class_names"] = task.class_names or tuple(range(1, outputs.shape[1] + 1))
    elif outputs.shape[1] == 1:
        _set(task, {name: _fitted_mask(split, outputs) for name, split in task.splits.items()})
    _check_names(task, outputs.shape[1])


def _fitted_classes(split: Data, outputs: Tensor) -> Data:
    """The split with class indices (N, d1, ...) for outputs (N, C, d1, ...), also if they look like labels (N, C)."""
    if outputs.dim() != split.first.targets.dim() + 1:
        return split
    if isinstance(split, Stream):
        return replace(split, by_index=True)
    whole = split.targets.is_floating_point() and bool((split.targets == split.targets.round()).all())
    return Split(split.inputs, split.targets.long(), split.weights) if whole else split


def _fitted_mask(split: Data, outputs: Tensor) -> Data:
    """The split with a mask (N, 1, H, W) in place of (N, H, W)."""
    if isinstance(split, Stream) or outputs.dim() != split.targets.dim() + 1:
        return split
    return Split(split.inputs, split.targets.unsqueeze(1), split.weights)


def _check_names(task: Task, outputs: int) -> None:
    needed = 2 if task.link is Link.SIGMOID and outputs == 1 else outputs
    if task.class_names is not None and len(task.class_names) > needed:
        raise TaskError(f"task '{task.name}': there are {len(task.class_names)} class names for {needed} classes")


def _set(task: Task, splits: Mapping[str, Data]) -> None:
    task.__dict__.update(splits)


def _outputs(task: Task) -> Tensor | None:
    """The outputs of the model for two samples; None if it fails."""
    if isinstance(task.model, nn.Module) or not callable(task.model):
        return None
    try:
        return run(task, fresh_model(task, seed=0).eval(), task.train.head.inputs)
    except TaskError:  # also of the factory
        return None


def class_weight_of(task: Task, given: Any) -> tuple[float, ...]:
    """A factor for each class; see `read_class_weight`."""
    where = f"task '{task.name}'"
    if isinstance(task.train, Stream) and isinstance(given, str) and given == "balanced":
        raise TaskError(f"{where}: class_weight='balanced' would read all of train, which is streamed: give numbers")
    targets = task.train.first.targets if isinstance(task.train, Stream) else task.train.targets
    if task.ignore_index is not None and not targets.is_floating_point():
        targets = targets[targets != task.ignore_index]
    if task.link is Link.SIGMOID and task.classes == 1 and task.soft:
        raise TaskError(f"{where}: class_weight of a yes-no question needs labels 0 and 1")
    classes = targets.shape[1] if targets.is_floating_point() else task.outputs
    return tuple(read_class_weight(given, targets, classes, where, task.link, task.class_names or ()))
