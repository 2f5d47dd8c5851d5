"""Where a number comes from: the versions, the machine and the commit."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from glo.version import __version__


def versions() -> dict[str, str]:
    """The versions that a training's result depends on: of glo, Python and the libraries.

    They are read from the installed packages' metadata, so that torch need not be imported.
    """
    libraries = {name: _installed_version(name) for name in ("torch", "numpy", "cma")}
    return {"glo": __version__, "python": ".".join(platform.python_version_tuple()[:2]), **libraries}


@functools.cache
def _installed_version(name: str) -> str:
    """The version of a package; reading it takes a millisecond, and every result's key needs it."""
    return importlib.metadata.version(name)


def hardware() -> dict[str, str | int]:
    """This machine: platform, cores, PyTorch's threads, and the GPU if there is one."""
    import torch

    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {"platform": platform.platform(), "cores": os.cpu_count() or 1, "threads": torch.get_num_threads(), **gpu}


def commit() -> str | None:
    """The commit of glo's source, with "+" appended if files have changed since; None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a fixed command
    except OSError:  # git is not installed
        return None
    return done.stdout.strip() or None
