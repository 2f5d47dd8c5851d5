"""Bring the data of a task into the form that its model takes and returns."""

from __future__ import annotations

from collections.abc import Mapping
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
    given: Mapping[str, SplitLike | Stream], where: str, link: Link, ignore_index: int | None
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
    targets, names = {name: each.targets for name, each in raw.items()}, None
    if "train" in raw:
        targets, names = encoded(targets, where, link)
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
    resident = {name: split for name, split in splits.items() if isinstance(split, Split)}
    if not all(split.is_whole for split in splits.values()):
        named = isinstance(task.train.head.inputs, tuple | dict)
        if not named:
            _set(task, {name: split.with_float_inputs() for name, split in resident.items()})
    elif _outputs(task) is None:
        _set(task, {name: split.with_float_inputs() for name, split in resident.items()})
    outputs = _outputs(task)
    task.__dict__["_width"] = 1 if outputs is None or outputs.dim() < 2 else outputs.shape[1]
    if outputs is None or outputs.dim() < 2:
        return
    resident = {name: split for name, split in task.splits.items() if isinstance(split, Split)}
    if len(resident) < len(splits):
        return
    if task.link is Link.SOFTMAX:
        if (shifted := from_one(resident, outputs.shape[1], task.ignore_index)) is not None:
            _set(task, shifted)
            task.__dict__["class_names"] = task.class_names or tuple(range(1, outputs.shape[1] + 1))
        return
    for name, split in resident.items():
        if outputs.shape[1] == 1 and outputs.dim() == split.targets.dim() + 1:  # a mask (N, H, W) for outputs (N, 1, H, W)
            _set(task, {name: Split(split.inputs, split.targets.unsqueeze(1), split.weights)})


def _set(task: Task, splits: Mapping[str, Split]) -> None:
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
    if isinstance(task.train, Stream) and given == "balanced":
        raise TaskError(f"{where}: class_weight='balanced' would read all of train, which is streamed: give numbers")
    targets = task.train.first.targets if isinstance(task.train, Stream) else task.train.targets
    if task.ignore_index is not None and not targets.is_floating_point():
        targets = targets[targets != task.ignore_index]
    if task.link is Link.SIGMOID and task.classes == 1 and task.soft:
        raise TaskError(f"{where}: class_weight of a yes-no question needs labels 0 and 1")
    return tuple(read_class_weight(given, targets, task.classes, where, task.link, task.class_names or ()))
