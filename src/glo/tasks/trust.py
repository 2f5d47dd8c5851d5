"""The modules of tasks that a person has named in this folder.

A store is data: people send it to each other and share it on a server.  The task that it names is code, so it is imported
only if a person names it: in the call, or before, in a command in the same folder.  The list is the person's own; a folder
that somebody else has made cannot bring one along.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import platformdirs

LIST = "trusted-tasks.json"


def trust(task: str) -> None:
    """Remember that a person has named this task, `module:attribute`, in the current folder, where that can be written."""
    trusted = _read()
    here = trusted.setdefault(_folder(), [])
    if (module := _module(task)) in here:
        return
    here.append(module)
    path = _path()
    with suppress(OSError):  # without the list, a study that is resumed asks for its task
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, written = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(trusted, file, indent=2)
        Path(written).replace(path)


def is_trusted(task: str) -> bool:
    """Whether a person has named the module of this task in the current folder."""
    return _module(task) in _read().get(_folder(), [])


def _module(task: str) -> str:
    return task.partition(":")[0]


def _folder() -> str:
    return str(Path.cwd())


def _path() -> Path:
    return platformdirs.user_state_path("glo") / LIST


def _read() -> dict[str, list[str]]:
    try:
        found = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {folder: [str(module) for module in modules] for folder, modules in found.items() if isinstance(modules, list)}
