"""Trainings that are begun whenever there is room, and end in any order: what a steady-state search needs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from glo.execution.children import Children, Died, Overdue, in_words
from glo.training.steps import Result, Training


class Flow(Protocol):
    """Trains for several candidates at a time.  A candidate has a number, and some trainings."""

    @property
    def slots(self) -> int:
        """How many candidates are worth having under way now; it may change."""
        ...

    def begin(self, number: int, trainings: Sequence[Training], seeds: Sequence[int]) -> None:
        """Begin with a candidate; never waits, however many are under way.

        Args:
            seeds: one for each training.
        """
        ...

    def next(self) -> tuple[int, list[Result]]:
        """Wait for whichever candidate ends first: its number, and the results of its trainings in order."""
        ...

    def close(self) -> None:
        """Give up what is under way."""
        ...


Train = Callable[[Sequence[Training], Sequence[int]], list[Result]]


class InTurn:
    """One candidate after the other, in this process."""

    slots = 1

    def __init__(self, train: Train) -> None:
        self._train = train
        self._waiting: deque[tuple[int, Sequence[Training], Sequence[int]]] = deque()

    def begin(self, number: int, trainings: Sequence[Training], seeds: Sequence[int]) -> None:
        self._waiting.append((number, trainings, seeds))

    def next(self) -> tuple[int, list[Result]]:
        number, trainings, seeds = self._waiting.popleft()
        return number, self._train(trainings, seeds)

    def close(self) -> None:
        self._waiting.clear()


class InChildren:
    """Each candidate in a forked child with one thread; one whose process dies has results in words.

    Args:
        train: what a child does.
        slots: how many children at once.
    """

    def __init__(self, train: Train, slots: int) -> None:
        self.slots = slots
        self._train = train
        self._waiting: deque[tuple[int, Sequence[Training], Sequence[int]]] = deque()
        self._sizes: dict[int, int] = {}  # trainings of each candidate that is in a child
        self._children = Children()

    def begin(self, number: int, trainings: Sequence[Training], seeds: Sequence[int]) -> None:
        self._waiting.append((number, trainings, seeds))
        self._start()

    def next(self) -> tuple[int, list[Result]]:
        number, found = self._children.next()
        size = self._sizes.pop(number)
        self._start()
        return number, [in_words(found)] * size if isinstance(found, (Died, Overdue)) else found

    def close(self) -> None:
        self._waiting.clear()
        self._children.kill()

    def _start(self) -> None:
        while self._waiting and len(self._children) < self.slots:
            number, trainings, seeds = self._waiting.popleft()
            self._sizes[number] = len(trainings)
            self._children.start(number, partial(self._train, trainings, seeds))
