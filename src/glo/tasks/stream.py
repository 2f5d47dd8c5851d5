"""The data of a task that is read batch by batch: it does not fit into memory, or is other in each epoch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from glo.errors import RAISED, GloError, TaskError, UserCodeError
from glo.records import Link
from glo.tasks.arrays import read_numbers
from glo.tasks.content import describe, tensor_bytes
from glo.tasks.inputs import tensors_of
from glo.tasks.randomness import random_state_restored, seed_everything
from glo.tasks.reading import Raw, as_split, read_item, read_raw
from glo.tasks.split import Split

logger = logging.getLogger("glo")
RESIDENT_BYTES = 2 * 2**30  # a larger data set is read batch by batch
EVALUATED_BYTES = 64 * 2**20  # of a batch in an evaluation
FIRST = 64  # samples that stand for all where all would have to be read
TRIED = 8  # items of a Dataset that count in its identity


@dataclass(frozen=True, eq=False)
class Stream:
    """One part of a task's data, of which a batch is in memory at a time.

    A network is then trained alone, one for each core or GPU.  The identity of the task (`Task.digest`) has the code of the
    source and a few of its samples; glo does not see a change elsewhere in the data, which `Task(version=...)` says.

    Attributes:
        source: a `Dataset` with a length, whose batches are those of a split in memory; or a function that makes a
            `DataLoader`, anew for each epoch, whose batches are (inputs, targets) or (inputs, targets, weights).
        where: what the data is, for messages.
        link: decides which targets are valid.
        ignore_index: the class index of what does not count.
        by_index: whether targets are class indices; None to find out in each batch.
        floats: whether whole numbers become float32, since the model does not take them.
    """

    source: Dataset[Any] | Callable[[], Iterable[Any]]
    where: str
    link: Link
    ignore_index: int | None = None
    by_index: bool | None = None
    floats: bool = False

    def __len__(self) -> int:
        return len(self.source) if isinstance(self.source, Sized) else len(self.targets)

    @property
    def has_length(self) -> bool:
        """Whether its batches are drawn by glo, from a `Dataset`."""
        return isinstance(self.source, Dataset)

    @property
    def is_whole(self) -> bool:
        """Whether all inputs are whole numbers."""
        return self.first.is_whole

    def with_float_inputs(self) -> Stream:
        """The same data with float32 inputs."""
        return replace(self, floats=True)

    @property
    def inputs(self) -> Any:
        """There are none in memory.

        Raises:
            TaskError: always.
        """
        raise TaskError(f"{self.where} is read batch by batch, so not all of its inputs are in memory: see .parts(size)")

    @property
    def head(self) -> Split:
        """The first two samples, on which a model is tried."""
        return self.first[:2]

    @cached_property
    def first(self) -> Split:
        """The first samples."""
        for part in self.parts(FIRST):
            return part[:FIRST]
        raise self._empty()

    @cached_property
    def targets(self) -> Tensor:
        """All targets; the data is read once for them."""
        return torch.cat([part.targets for part in self.parts(FIRST)])

    def parts(self, size: int) -> Iterator[Split]:
        """All samples in order, some at a time; what is drawn at random is the same each time."""
        with random_state_restored():
            seed_everything(0)
            if isinstance(self.source, Dataset):
                yield from self._read(DataLoader(self.source, batch_size=min(size, self._fitting), generator=_own()))
            else:
                yield from self._read(self._loader())

    @cached_property
    def _fitting(self) -> int:
        """How many items of a `Dataset` are evaluated at once."""
        return max(1, EVALUATED_BYTES // _bytes_of(read_item(cast("Dataset[Any]", self.source), 0, self.where)))

    def batches(self, order: Iterator[Tensor], steps: int) -> Iterator[Split]:
        """The batches of a training.

        Args:
            order: the indices of each step's batch; for a `Dataset`.
            steps: how many batches; a function's `DataLoader` is made anew until there were so many.

        Raises:
            TaskError: if a function makes a `DataLoader` without a batch.
        """
        if isinstance(self.source, Dataset):
            indices = (batch.tolist() for batch in order)
            yield from self._read(DataLoader(self.source, batch_sampler=cast("Any", indices), generator=_own()))
            return
        done = 0
        while done < steps:
            before = done
            for batch in self._read(self._loader()):
                yield batch
                done += 1
                if done == steps:
                    return
            if done == before:
                raise self._empty()

    def identity(self) -> list[str]:
        """What counts of the data in the digest of its task."""
        samples: list[Split] = [self.first]
        length = str(len(self.source)) if isinstance(self.source, Sized) else ""
        if isinstance(self.source, Dataset) and isinstance(self.source, Sized):
            count = len(self.source)
            with random_state_restored():
                seed_everything(0)
                chosen = [count * place // TRIED for place in range(TRIED)]
                samples += self._read([self._item(index) for index in chosen])
        content: list[str] = [_loader_settings(self.source)]
        for part in samples:
            names = list(part.inputs) if isinstance(part.inputs, dict) else []
            weights = [] if part.weights is None else [part.weights]
            content += names + [tensor_bytes(each).hex() for each in (*tensors_of(part.inputs), part.targets, *weights)]
        return [describe([type(self.source), self.source]), length, *content]

    def _item(self, index: int) -> Any:
        return torch.utils.data.default_collate([read_item(cast("Dataset[Any]", self.source), index, self.where)])

    def _loader(self) -> Iterable[Any]:
        make = cast("Callable[[], Iterable[Any]]", self.source)
        try:
            loader = make()
        except RAISED as error:
            raise UserCodeError.of(error, f"{self.where}: the function fails") from error
        if isinstance(generator := getattr(loader, "generator", None), torch.Generator):
            # Its state would go on from one training to the next, or be the same in each epoch.
            generator.manual_seed(int(torch.randint(2**62, ())))
        if not isinstance(loader, Iterable):
            raise TaskError(f"{self.where}: the function must make a DataLoader, not a {type(loader).__name__}")
        return loader

    def _read(self, batches: Iterable[Any]) -> Iterator[Split]:
        try:
            for batch in batches:
                part = as_split(self._raw(batch), self.where, self.link, self.ignore_index, self.by_index, whole=False)
                yield part.with_float_inputs() if self.floats else part
        except GloError:
            raise
        except RAISED as error:
            raise UserCodeError.of(error, f"{self.where}: reading a batch fails") from error

    def _raw(self, batch: Any) -> Raw:
        if isinstance(batch, list) and len(batch) in (2, 3):  # as PyTorch collates pairs
            batch = tuple(batch)
        if not isinstance(batch, tuple) or len(batch) not in (2, 3):
            hint = "; give the DataLoader a collate_fn that makes a pair" if isinstance(batch, Mapping) else ""
            raise TaskError(
                f"{self.where}: a batch must be (inputs, targets) or (inputs, targets, weights), not a "
                f"{type(batch).__name__}{hint}"
            )
        inputs = tuple(batch[0]) if isinstance(batch[0], list) else batch[0]
        raw = read_raw((inputs, *batch[1:]), self.where)
        if not isinstance(raw.targets, Tensor):
            raw = Raw(raw.inputs, read_numbers(raw.targets, f"{self.where} targets"), raw.weights, raw.shared)
        return raw

    def _empty(self) -> TaskError:
        if isinstance(self.source, Dataset):
            return TaskError(f"{self.where} has 0 inputs and 0 targets")
        return TaskError(
            f"{self.where}: the DataLoader has no batch: the function must make a new one, with a batch, at each call"
        )


def streamed(data: object, where: str, link: Link, ignore_index: int | None) -> Stream | None:
    """A stream for data that is not to be read into memory, else None; the reason is logged.

    Raises:
        TaskError: if the data cannot be read.
    """
    if isinstance(data, Stream):
        return data
    if isinstance(data, Dataset):
        if isinstance(data, IterableDataset) or not isinstance(data, Sized) or len(data) == 0:
            return None
        size = len(data) * _bytes_of(read_item(data, 0, where))
        if size <= RESIDENT_BYTES:
            return None
        logger.info("%s is read batch by batch: its %d items take about %.1f GB", where, len(data), size / 1e9)
        return Stream(data, where, link, ignore_index)
    if callable(data):
        logger.info("%s is read batch by batch: it is given by a function that makes a DataLoader", where)
        return Stream(cast("Callable[[], Iterable[Any]]", data), where, link, ignore_index)
    return None


def _loader_settings(source: object) -> str:
    """The settings of a `DataLoader` that a function makes, as far as a result depends on them."""
    if isinstance(source, Dataset):
        return ""
    made = source() if callable(source) else source
    kinds = [type(getattr(made, name, None)).__name__ for name in ("sampler", "batch_sampler")]
    return str([getattr(made, name, None) for name in ("batch_size", "drop_last")] + kinds)


def _own() -> torch.Generator:
    """A generator for a `DataLoader`, which else draws a number from the global one, that of dropout."""
    return torch.Generator().manual_seed(0)


def _bytes_of(item: object) -> int:
    """The bytes of an item of a data set in memory, as far as they are in tensors and arrays."""
    if isinstance(item, tuple | list):
        return sum(map(_bytes_of, item))
    if isinstance(item, Mapping):
        return sum(map(_bytes_of, item.values()))
    return 4 * int(getattr(item, "nelement", lambda: getattr(item, "size", 1))())
