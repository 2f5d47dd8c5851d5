"""The real images that some tests need: MNIST's and CIFAR-10's files, where they are at hand."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest

from glo.errors import DataError
from glo.tasks import load_task
from glo.tasks.data import cache_dir

IMAGES = Path(os.environ.get("GLO_DATA") or cache_dir())


def need(name: str | None) -> None:
    """Skip the test, and say why, where the files of a task are not in $GLO_DATA, nor in the user's cache."""
    if name is not None and (missing := _missing(name)):
        pytest.skip(f"put the files of {name} into $GLO_DATA: {missing}")


@functools.cache
def _missing(name: str) -> str | None:
    """What is not there; damaged files are an error."""
    try:
        load_task(name, data_dir=IMAGES)
    except DataError as error:
        if "neither" not in str(error):
            raise
        return str(error)
