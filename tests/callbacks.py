"""Callbacks that the tests of studies use."""

from __future__ import annotations

from glo.store import GenerationRecord
from glo.study import Callback, Study


class Following(Callback):
    """Notes each generation, and whether it was replayed."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bool]] = []

    def on_replay(self, study: Study, generation: GenerationRecord) -> None:
        self.seen.append((generation.generation, True))

    def on_generation(self, study: Study, generation: GenerationRecord) -> None:
        self.seen.append((generation.generation, False))

    @property
    def replayed(self) -> list[bool]:
        return [replayed for _, replayed in self.seen]


class Interrupting(Callback):
    """Raises after some generations, as Ctrl-C does.

    Args:
        after: how many generations are recorded then.
        error: what it raises.
    """

    def __init__(self, after: int, error: type[BaseException] = KeyboardInterrupt) -> None:
        self._after, self._error = after, error

    def on_generation(self, study: Study, generation: GenerationRecord) -> None:
        if generation.generation + 1 == self._after:
            raise self._error
