"""The folder of a run on a cluster: its certificates and the scratch files of its local workers.

A process that is killed cannot delete its folder.  The next run that puts one beside it does: a folder whose lock nobody
holds belongs to no process any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from glo.errors import ConfigError

LOCK = "lock"


@contextmanager
def run_folder(parent: Path) -> Iterator[Path]:
    """A new folder that only its owner can read; it is deleted at the end.

    Folders of killed processes of this host are deleted first.  Those of other hosts, which may share `parent`, are left
    alone: on some network file systems a lock is seen on its own host only.

    Raises:
        ConfigError: if no folder can be made in `parent`.
    """
    prefix = f".glo-{socket.gethostname()}-"
    _sweep(parent, prefix)
    try:
        new = Path(tempfile.mkdtemp(prefix=".glo-new-", dir=parent))
    except OSError as error:
        raise ConfigError(f"the folder of this run cannot be made in {parent}: {error.strerror}") from None
    with (new / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = new.rename(parent / new.name.replace(".glo-new-", prefix))  # no sweep sees it unlocked
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path, prefix: str) -> None:
    for folder in parent.glob(f"{prefix}*"):
        with suppress(OSError):  # another user's, or deleted in the meantime
            if folder.stat().st_uid == os.getuid() and _unused(folder / LOCK):
                shutil.rmtree(folder, ignore_errors=True)


def _unused(lock: Path) -> bool:
    """Whether no process holds a lock."""
    with lock.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
