"""What tests with real processes share: the command line, the processes of a cluster, and their end."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil

PATIENCE = 120.0
COMMAND = [sys.executable, "-c", "from glo.cli import main; main()"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def wait_until(condition: Callable[[], object], what: str = "") -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def start(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*COMMAND, *arguments], cwd=folder, env=ENVIRONMENT, text=True, **pipes)


def run(*arguments: str, folder: Path) -> tuple[int, str, str]:
    """Exit code, output and errors of a command."""
    process = start(*arguments, folder=folder)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def rows(storage: Path, query: str) -> int:
    """How many rows a query finds; none while there is no such table."""
    if not storage.exists():
        return 0
    try:
        with closing(sqlite3.connect(storage)) as connection:
            return len(connection.execute(query).fetchall())
    except sqlite3.OperationalError:
        return 0


@contextmanager
def standing(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler and a worker of the user's own, with the address of the scheduler and its process."""
    environment = {**ENVIRONMENT, "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
    common = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0", *options]
    file = folder / "scheduler.json"
    python = [sys.executable, "-m"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    commands = [
        ["distributed.cli.dask_scheduler", "--port", "0", "--scheduler-file", str(file)],
        ["distributed.cli.dask_worker", "--nthreads", "2", "--scheduler-file", str(file)],
    ]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            processes.append(subprocess.Popen[bytes]([*python, *command, *common], cwd=folder, env=environment, **quiet))
            wait_until(lambda: file.exists() and file.read_text().endswith("}"))
        yield json.loads(file.read_text())["address"], processes[0]
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """The processes of a driver's workers, in which dask runs: neither their nannies nor the children that train."""
    spawned: list[psutil.Process] = []
    for nanny in process.children():
        try:
            if "distributed.cli.dask_spec" in nanny.cmdline():
                spawned += [child for child in nanny.children() if "spawn_main" in " ".join(child.cmdline())]
        except psutil.NoSuchProcess:
            continue
    return spawned


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """The children in which a worker trains."""
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


@contextmanager
def workers_killed(times: int) -> Iterator[list[int]]:
    """`kill -9` of this many workers of this process, each while a child of it trains; gives the list of those killed."""
    killed: list[int] = []
    stop = threading.Event()

    def murder() -> None:
        while not stop.wait(0.05) and len(killed) < times:
            for worker in workers_of(psutil.Process()):
                if worker.pid not in killed and children_of(worker):
                    worker.kill()
                    killed.append(worker.pid)
                    break

    killer = threading.Thread(target=murder)
    killer.start()
    try:
        yield killed
    finally:
        stop.set()
        killer.join()
