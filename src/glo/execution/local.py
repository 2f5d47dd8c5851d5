"""Which way to train: together where that is faster, else one by one."""

from __future__ import annotations

import logging
import math
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import nn

from glo.errors import ConfigError, ModelError
from glo.execution.children import Died, Overdue, can_fork, import_before_forking, in_processes, in_words, spare_processes
from glo.execution.protocol import Flow, InChildren, InTurn
from glo.records import TrainingConfig
from glo.tasks import Task
from glo.training.memory import budget
from glo.training.population import check_stackable, train_population
from glo.training.single import train_single
from glo.training.steps import Result, Training, fresh_model

logger = logging.getLogger("glo")
FAILURES = (
    RuntimeError,
    ValueError,
    ArithmeticError,
    IndexError,
    TypeError,
)  # what PyTorch and a model raise, out of memory included
SMALLEST_PART = 4  # fewer networks take hardly less time together (docs/decisions/0011-processes.md)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Trains(Protocol):
    """Whatever trains networks of one task: in this process, in others, or elsewhere."""

    def train(
        self,
        trainings: Sequence[Training],
        seed: int | Sequence[int],
        test: bool = False,
        on_done: Callable[[int], None] = lambda done: None,
    ) -> list[Result]:
        """A result for each training, in order, or in words why there is none.

        Args:
            trainings: what to train.
            seed: of all of them, or one for each.
            test: whether to measure on the test split too.
            on_done: called with the number of trainings that are done.

        Raises:
            TaskError: if `test` is asked of a task without a test split.
        """
        ...


class TrainsInParts(Trains, Protocol):
    """One that tells what is done while the rest is still being trained; whoever inherits from it has `train` from that."""

    def train(
        self,
        trainings: Sequence[Training],
        seed: int | Sequence[int],
        test: bool = False,
        on_done: Callable[[int], None] = lambda done: None,
    ) -> list[Result]:
        """As `Trains.train`."""
        return collect(self.parts(trainings, each_seed(seed, trainings), test), len(trainings), on_done)

    def parts(
        self, trainings: Sequence[Training], seeds: Sequence[int], test: bool = False
    ) -> Iterator[Mapping[int, Result]]:
        """As `train`, as it is done: results by position, of one or several that ended together."""
        ...


class TrainsInFlow(TrainsInParts, Protocol):
    """One that may also be given more before the rest is done."""

    def flow(self, slots: int | None = None) -> Flow:
        """Trains what is begun, until it is closed.

        Args:
            slots: how many candidates at once; by default as many as keep all that trains busy.

        Raises:
            ConfigError: for more slots than can be.
        """
        ...


class MakeTrainer(Protocol):
    """Where networks are trained is settled by what makes a trainer for a task and a way of training."""

    @property
    def device(self) -> str:
        """On which its trainers train, wherever that is: "cpu" or "cuda"."""
        ...

    @property
    def abreast(self) -> bool:
        """Whether several of its trainers may be at work at once, each from a thread: they share what trains elsewhere."""
        ...

    def __call__(self, task: Task, config: TrainingConfig, /) -> TrainsInFlow: ...


def collect(
    parts: Iterator[Mapping[int, Result]], total: int, on_done: Callable[[int], None] = lambda done: None
) -> list[Result]:
    """All results in order, whatever the order in which they are done."""
    results: dict[int, Result] = {}
    for done in parts:
        results |= done
        on_done(len(results))
    return [results[position] for position in range(total)]


def each_seed(seed: int | Sequence[int], trainings: Sequence[Training]) -> list[int]:
    """A seed for each training, from one for all or one for each."""
    return [seed] * len(trainings) if isinstance(seed, int) else list(seed)


def split_parts(seeds: Sequence[int], together: bool, slots: int) -> list[list[int]]:
    """Positions that are trained together: of one seed, and of a size that keeps all slots busy.

    Args:
        seeds: one for each training.
        together: whether networks are trained together at all.
        slots: how many parts can be trained at once.
    """
    groups = [[p for p, other in enumerate(seeds) if other == seed] for seed in dict.fromkeys(seeds)]
    if not together:
        return [[position] for group in groups for position in group]
    pieces = slots // math.gcd(slots, len(groups)) if groups else 1
    return [part for group in groups for part in _split(group, min(pieces, -(-len(group) // SMALLEST_PART)))]


class Trainer(TrainsInFlow):
    """Trains networks of one task, in the way that suits its model and the device.

    On a CPU the work is spread over processes of one thread each: parts of a population, or single networks.  What a
    network becomes does not depend on what it is trained beside (docs/decisions/0011-processes.md).

    Args:
        task: model and data.
        config: how; the ladder of learning rates is not used, each training has its own.
        device: where.
        processes: how many at once; by default as many as PyTorch may use threads (`torch.set_num_threads`).
    """

    def __init__(
        self, task: Task, config: TrainingConfig, device: torch.device | str = "cpu", processes: int | None = None
    ) -> None:
        self._task, self._device = task, device
        self._processes = spare_processes(device) if processes is None else processes
        share = budget(config, device) // self._processes // 2**20
        self._config = config.model_copy(update={"memory_mb": max(1, share)})
        self._together = worth_stacking(task, device)
        if self._processes > 1 and not self._together:
            import_before_forking()

    def parts(
        self, trainings: Sequence[Training], seeds: Sequence[int], test: bool = False
    ) -> Iterator[Mapping[int, Result]]:
        """Results by position, as they are done; see `TrainsInParts.parts`."""
        if test or self._config.curve_on == "test":
            self._task.split("test")  # misuse is an error, not a failed training

        def train_part(part: Sequence[int]) -> list[Result]:
            return self._train_part([trainings[i] for i in part], seeds[part[0]], test)

        for part, found in self._spread(train_part, split_parts(seeds, self._together, self._processes_now())):
            yield dict(zip(part, found, strict=True))

    def flow(self, slots: int | None = None) -> Flow:
        """Trains what is begun, each candidate in a process of its own; see `TrainsInFlow.flow`."""
        at_once = self._processes if slots is None else slots
        if at_once == 1:
            return InTurn(self.train)
        if at_once < 1:
            raise ConfigError(f"slots are 1 or more, not {at_once}")
        if not can_fork(self._device):
            raise ConfigError("several slots need a CPU under Linux, without a GPU in sight: use --slots 1")
        import_before_forking()
        return InChildren(self.train, at_once)

    def _spread(
        self, work: Callable[[list[int]], list[Result]], parts: list[list[int]]
    ) -> Iterator[tuple[list[int], list[Result]]]:
        """Each part with its results, as they are done; a part whose process died is tried again, one by one."""
        processes = self._processes_now()
        if processes == 1:
            yield from ((part, work(part)) for part in parts)
            return
        for number, found in in_processes(work, parts, processes):
            part = parts[number]
            if not isinstance(found, (Died, Overdue)):
                yield part, found
            elif len(part) == 1:
                yield part, [in_words(found)]
            else:
                yield from self._spread(work, [[position] for position in part])

    def _processes_now(self) -> int:
        """One in a child of the process that this was made in: it has a core to itself, and no children of its own."""
        return 1 if multiprocessing.current_process().daemon else self._processes

    def _train_part(self, trainings: Sequence[Training], seed: int, test: bool) -> list[Result]:
        if self._together and len(trainings) > 1:
            try:
                return list(train_population(self._task, trainings, self._config, seed, self._device, test))
            except FAILURES as error:
                logger.warning("training together failed, now one by one: %s", _first_line(error))
        return [self._one(training, seed, test) for training in trainings]

    def _one(self, training: Training, seed: int, test: bool) -> Result:
        try:
            return train_single(self._task, training, self._config, seed, self._device, test)
        except FAILURES as error:
            return _first_line(error)


def _split(positions: list[int], pieces: int) -> list[list[int]]:
    """In pieces of about equal size, neighbours apart: they are one loss at several rates, and stop early together."""
    return [positions[start::pieces] for start in range(pieces)]


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def worth_stacking(task: Task, device: torch.device | str) -> bool:
    """Whether to train networks together: the model can be stacked, and is not a convolutional network on a CPU.

    A convolution already fills a CPU by itself; stacked, it becomes a grouped convolution, which is slower there.
    """
    model = fresh_model(task, seed=0)
    if torch.device(device).type == "cpu" and any(isinstance(module, CONVOLUTIONS) for module in model.modules()):
        return False
    try:
        check_stackable(task, model)
    except ModelError as error:
        logger.warning("%s", error)
        return False
    return True
