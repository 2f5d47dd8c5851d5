"""Callbacks: follow a study while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glo.errors import ConfigError
from glo.records import Outcome
from glo.store import GenerationRecord

if TYPE_CHECKING:
    from glo.study.result import StudyResult
    from glo.study.study import Study


class Callback:
    """Every hook is named here and does nothing; override those that you need.

    A hook runs in the process and thread of the study, which waits for it.  To end a study early, call `study.stop()` in a
    hook.  An exception in a hook ends the study with that exception; what is recorded stays.  Each study that has begun ends
    with `on_end` or `on_exception`, unless its process is killed.

    Example:
        class Patience(glo.Callback):
            def on_generation(self, study, generation):
                if generation.generation >= 5 and study.best.fitness < 0.5:
                    study.stop()
    """

    def on_begin(self, study: Study) -> None:
        """The study is recorded, and its first phase begins, or goes on."""

    def on_replay(self, study: Study, generation: GenerationRecord) -> None:
        """A generation was read from the store: the study had been started before."""

    def on_outcome(self, study: Study, outcome: Outcome) -> None:
        """A candidate has an outcome; of a generation, in the order in which they end."""

    def on_generation(self, study: Study, generation: GenerationRecord) -> None:
        """A generation has ended and is recorded; in a steady-state search, an arrival: a generation of one."""

    def on_exception(self, study: Study, error: BaseException) -> None:
        """The study ends with an exception, such as a KeyboardInterrupt by Ctrl-C; it is raised when this returns."""

    def on_end(self, study: Study, result: StudyResult) -> None:
        """All phases have ended, or the study was stopped."""


def check_callbacks(callbacks: Sequence[Callback]) -> None:
    """Check that these are callbacks.

    Raises:
        ConfigError: if they are not; the message says what to give.
    """
    for callback in callbacks if isinstance(callbacks, Sequence) else [callbacks]:
        if not isinstance(callback, Callback):
            shown = f"the class {callback.__name__}" if isinstance(callback, type) else type(callback).__name__
            raise ConfigError(f"a callback is an instance of a subclass of glo.Callback, not {shown}")
    if not isinstance(callbacks, Sequence):
        raise ConfigError("callbacks are a list, e.g. callbacks=[MyCallback()]")
