"""Find a task by name: built in (one file each in `glo.tasks.builtin`), or the user's own as `module:attribute`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glo.errors import RAISED, GloError, TaskError, UserCodeError
from glo.tasks.source import TaskSource

if TYPE_CHECKING:
    from glo.tasks.definition import Task


def task_names() -> list[str]:
    """Names of the built-in tasks: the files of `glo.tasks.builtin`, with dashes."""
    package = importlib.import_module("glo.tasks.builtin")
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(package.__path__))


def describe_task(name: str) -> tuple[str, dict[str, Any]]:
    """One line about a built-in task, and its options with their defaults."""
    load = _find_builtin(name)
    options = {key: parameter.default for key, parameter in inspect.signature(load).parameters.items()}
    options.pop("data_dir", None)
    return (inspect.getdoc(load) or "").splitlines()[0], options


def load_task(name: str, options: dict[str, Any] | None = None, data_dir: str | Path | None = None) -> Task:
    """Load a task by name.

    Args:
        name: a built-in task, or `module:attribute` for a `Task` of your own, or for a function of that module that returns
            one.
        options: the task's options, e.g. {"noise": 0.2}.
        data_dir: the folder of the task's files, if it has any.

    Raises:
        TaskError: if there is no such task, or it does not take these options.
        UserCodeError: if its module or function raises an exception.
        DataError: if a file is missing or damaged.
    """
    from glo.tasks.definition import Task

    found = _find_own(name) if ":" in name else _find_builtin(name)
    options = dict(options or {})
    if isinstance(found, Task):
        if options:
            raise TaskError(f"task '{name}' is a Task object and takes no options")
        return found.loaded_from(TaskSource(name, {}, None))
    if not inspect.isfunction(found) or (":" in name and found.__module__ != name.partition(":")[0]):
        raise _not_a_task(name, found)
    accepted = inspect.signature(found).parameters
    unknown = set(options) - set(accepted)
    if unknown:
        known = ", ".join(key for key in accepted if key != "data_dir") or "none"
        raise TaskError(f"task '{name}' has no option '{sorted(unknown)[0]}'; its options are: {known}")
    folder = None if data_dir is None else str(Path(data_dir).expanduser().absolute())
    source = TaskSource(name, dict(options), folder)
    if "data_dir" in accepted and data_dir is not None:
        options["data_dir"] = data_dir
    try:
        task = found(**options)
    except GloError:
        raise
    except RAISED as error:
        raise UserCodeError.of(error, f"task '{name}' cannot be made") from error
    if not isinstance(task, Task):
        raise _not_a_task(name, task)
    return task.loaded_from(source)


def load_objective(name: str) -> Callable[[Any], Any]:
    """Load the function of an objective by name, `module:attribute`.

    Raises:
        TaskError: if there is no such function in that module.
        UserCodeError: if the module raises an exception.
    """
    found = _find_own(name)
    if not inspect.isfunction(found) or found.__module__ != name.partition(":")[0]:
        kind = f"{type(found).__name__} of {getattr(found, '__module__', '?')}"
        raise TaskError(f"objective '{name}' must be a function of that module, from a trial to a score, not a {kind}")
    return found


def _not_a_task(name: str, found: object) -> TaskError:
    kind = f"{type(found).__name__} of {found.__module__}" if inspect.isroutine(found) else type(found).__name__
    return TaskError(f"'{name}' must be a glo.Task, or a function of that module that returns one, not a {kind}")


def _find_builtin(name: str) -> Any:
    if name not in task_names():
        raise TaskError(
            f"there is no task '{name}'; built-in tasks are {', '.join(task_names())}; "
            "give a task of your own as module:attribute"
        )
    return importlib.import_module(f"glo.tasks.builtin.{name.replace('-', '_')}").load


def _find_own(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")) or not attribute.isidentifier():
        raise TaskError(f"task '{name}' is not of the form module:attribute, e.g. mytask:task")
    here = str(Path.cwd())
    if here not in sys.path:  # a script in the current folder, as `python -m` would find it
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise TaskError(f"task '{name}': {error}; Python looks for it in {here} and on its path") from error
    except RAISED as error:
        raise UserCodeError.of(error, f"task '{name}': module {module_name} cannot be imported") from error
    if not hasattr(module, attribute):
        raise TaskError(f"task '{name}': module {module_name} has no attribute '{attribute}'")
    return getattr(module, attribute)
