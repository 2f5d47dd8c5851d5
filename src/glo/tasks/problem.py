"""What a study is for: a task, or an objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from glo.errors import ConfigError
from glo.tasks.definition import Task
from glo.tasks.objective import Objective

Problem = Task | Objective


def as_problem(given: Task | Objective | str | Callable[[Any], Any], options: Mapping[str, Any]) -> Problem | str:
    """A task, its name, or the objective that a function is.

    Args:
        options: of an `Objective`; None for one that was not given.

    Raises:
        ConfigError: for options beside a task, or something else.
    """
    chosen = {name: value for name, value in options.items() if value is not None}
    if isinstance(given, Task | Objective | str):
        if chosen:
            what = f"task '{given}'" if isinstance(given, str) else f"'{given.name}'"
            raise ConfigError(f"{min(chosen)} is for an objective given as a function: {what} has its own")
        return given
    if callable(given):
        return Objective(given, **chosen)
    raise ConfigError(f"a study is for a glo.Task, its name, or a function of a trial, not a {type(given).__name__}")
