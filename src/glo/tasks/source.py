"""How a task was loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TaskSource:
    """The arguments of `load_task` that gave a task, so that another process can load the same one.

    Attributes:
        name: of a built-in task, or module:attribute.
        options: of the task.
        data_dir: the folder of its files, if one was given.
    """

    name: str
    options: Mapping[str, Any]
    data_dir: str | None
