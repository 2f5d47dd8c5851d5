"""Objectives: the user's own training loop as the judge of a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from glo.errors import ConfigError
from glo.records import Direction, Link, digest
from glo.tasks.source import TaskSource

Scores = float | Mapping[str, float]  # or {"validation": ..., "test": ...}
DEFAULT_CLASSES = {Link.SIGMOID: 1, Link.IDENTITY: 1}


@dataclass(frozen=True, eq=False)
class Objective:
    """A user's function from a trial to a score: it trains whatever it likes with the loss of the trial.

    It takes the place of a `Task` in a study.  glo knows nothing of its model and data, so what it remembers is keyed by the
    code of the function: its own, and that of the functions and the values of the variables that it uses.  That does not
    see files, environment variables, installed packages, and what the function gets from elsewhere while it runs; change
    `version` when one of these changes.

    Attributes:
        function: called with a `glo.Trial`; returns the score, or a dictionary with "validation" and, for comparisons,
            "test".
        link: how the outputs of the user's network become predictions.
        classes: number of outputs.
        direction: whether the higher or the lower score is better.
        name: shown in output.
        version: if given, what is remembered is keyed by it instead of by the code.
        source: how it is loaded by its name; None if it was given as a function.

    Raises:
        ConfigError: if the function cannot be called, for an unknown link or direction, or fewer than two classes for
            softmax.
    """

    function: Callable[[Any], Scores]
    link: Link = Link.SOFTMAX
    classes: int = 0
    direction: Direction = Direction.MAXIMIZE
    name: str = ""
    version: str = ""
    source: TaskSource | None = field(default=None, repr=False)
    training: Mapping[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False)
    free_scores = True  # they may be any numbers
    soft = False  # the labels that its losses see are taken to be hard
    prior = ()  # nothing is known of them

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ConfigError(f"an objective is a function of a trial, not a {type(self.function).__name__}")
        name = self.name or getattr(self.function, "__name__", "objective").strip("<>")
        object.__setattr__(self, "name", name)
        for field_name, kind in (("link", Link), ("direction", Direction)):
            value = getattr(self, field_name)
            if value not in list(kind):
                raise ConfigError(f"objective '{name}': {field_name} is one of {', '.join(kind)}, not {value!r}")
            object.__setattr__(self, field_name, kind(value))
        classes = self.classes or DEFAULT_CLASSES.get(self.link, 0)
        if classes < (2 if self.link is Link.SOFTMAX else 1):
            raise ConfigError(f"objective '{name}': give classes (--classes), the number of outputs of your network")
        object.__setattr__(self, "classes", classes)

    @property
    def metric_name(self) -> str:
        """What its score is called in tables."""
        return "score"

    @property
    def source_name(self) -> str:
        """The name that it is loaded by, module:attribute, or else its own."""
        return self.source.name if self.source else self.name

    def digest(self) -> str:
        """A hash of all that a score depends on, as far as glo can see: 16 hexadecimal digits."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        from glo.tasks.content import describe

        code = self.version or describe(self.function)
        return digest(["objective", code, self.link, self.classes, self.direction])

    def __getstate__(self) -> dict[str, Any]:
        # A process that receives the objective computes the digest from what it received, so that the two can be compared.
        return {name: value for name, value in self.__dict__.items() if name != "_digest"}
