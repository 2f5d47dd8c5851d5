"""Find a task: built in (one file each in `glo.tasks.builtin`), or the user's own as `module:attribute`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from pathlib import Path
from typing import Any

from glo.errors import TaskError
from glo.tasks.definition import Task, TaskSource


def task_names() -> list[str]:
    """Names of the built-in tasks: the files of `glo.tasks.builtin`, with dashes."""
    package = importlib.import_module("glo.tasks.builtin")
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(package.__path__))


def describe_task(name: str) -> tuple[str, dict[str, Any]]:
    """One line about a built-in task, and its options with their defaults."""
    load = _builtin(name)
    options = {key: parameter.default for key, parameter in inspect.signature(load).parameters.items()}
    options.pop("data_dir", None)
    return (inspect.getdoc(load) or "").splitlines()[0], options


def load_task(name: str, options: dict[str, Any] | None = None, data_dir: str | Path | None = None) -> Task:
    """Load a task by name.

    Args:
        name: a built-in task, or `module:attribute` for a `Task` (or a function that returns one) of your own.
        options: the task's options, e.g. {"noise": 0.2}.
        data_dir: where its files are, for a task with files.

    Raises:
        TaskError: if there is no such task, or it does not take these options.
        DataError: if its files are missing or damaged.
    """
    load = _own(name) if ":" in name else _builtin(name)
    options = dict(options or {})
    if isinstance(load, Task):
        if options:
            raise TaskError(f"task '{name}' is a Task object and takes no options")
        return _from(TaskSource(name, {}, None), load)
    accepted = inspect.signature(load).parameters
    unknown = set(options) - set(accepted)
    if unknown:
        known = ", ".join(key for key in accepted if key != "data_dir") or "none"
        raise TaskError(f"task '{name}' has no option '{sorted(unknown)[0]}'; its options are: {known}")
    folder = None if data_dir is None else str(Path(data_dir).expanduser().absolute())
    source = TaskSource(name, dict(options), folder)
    if "data_dir" in accepted and data_dir is not None:
        options["data_dir"] = data_dir
    task = load(**options)
    if not isinstance(task, Task):
        raise TaskError(f"'{name}' must be a glo.Task or a function that returns one, not {type(task).__name__}")
    return _from(source, task)


def _from(source: TaskSource, task: Task) -> Task:
    object.__setattr__(task, "source", source)  # settled once, by whoever loads it
    return task


def _builtin(name: str) -> Any:
    if name not in task_names():
        raise TaskError(
            f"there is no task '{name}'; built-in tasks are {', '.join(task_names())}; "
            "a task of your own is given as module:attribute"
        )
    return importlib.import_module(f"glo.tasks.builtin.{name.replace('-', '_')}").load


def _own(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")) or not attribute.isidentifier():
        raise TaskError(f"task '{name}' is not of the form module:attribute, e.g. mytask:task")
    here = str(Path.cwd())
    if here not in sys.path:  # a script in the current folder, as `python -m` would find it
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        raise TaskError(f"task '{name}': {error}; the module is looked for in {here} and where Python looks") from error
    except AttributeError:
        raise TaskError(f"task '{name}': module {module_name} has no attribute '{attribute}'") from None
    if not isinstance(found, Task) and not callable(found):
        raise TaskError(f"'{name}' must be a glo.Task or a function that returns one, not {type(found).__name__}")
    return found
