"""Run the commands of glo as a user does, and observe a study from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil

from images import IMAGES
from outside import rows

Found = TypeVar("Found")
PATIENCE = 600.0
COMMAND = [sys.executable, "-c", "from glo.cli.app import main; main()"]
SEARCH = [
    "search",
    "--quiet",
    "--task",
    "digits",
    "--generations",
    "2",
    "--population",
    "12",
    "--steps",
    "200",
    "--name",
    "run",
]
SEARCH += ["--set", "repeats=3", "--device", "cpu", "--baselines", "none"]
EXPERIMENT = ["experiment", "run", "mnist-accuracy", "--quiet", "--scale", "smoke", "--data-dir", str(IMAGES)]
EXPERIMENT += ["--device", "cpu", "--json"]
TRAININGS = "SELECT * FROM trainings"
TRAINED = "SELECT * FROM fitness_cache WHERE status = 'trained'"


def wait_until(condition: Callable[[], Found | None], what: str = "") -> Found:
    """Wait until a condition returns something true, and return that."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


def environment() -> dict[str, str]:
    """The environment of this process, with one thread and wide lines."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def start(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*COMMAND, *arguments], cwd=folder, env=environment(), text=True, **pipes)


@contextmanager
def started(*arguments: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a command; it does not outlive the block."""
    process = start(*arguments, folder=folder)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(*arguments: str, folder: Path) -> tuple[int, str, str]:
    """Run a command; returns its exit code, output and errors."""
    with started(*arguments, folder=folder) as process:
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err


def wait_for_rows(process: subprocess.Popen[str], storage: Path, query: str) -> int:
    """Wait until a command has written rows to its store; if it ends before, the error shows its output."""

    def found() -> int:
        count = rows(storage, query)
        assert count or process.poll() is None, process.communicate()
        return count

    return wait_until(found)


def numbers(summary: Any) -> Any:
    """A report without the values that may differ between two runs, or between two machines."""
    if not isinstance(summary, dict):
        return summary
    varying = ("cluster", "seconds", "saved", "finished")
    return {key: numbers(value) for key, value in summary.items() if key not in varying}


def gone(process: psutil.Process) -> bool:
    """Whether a process has ended."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def own_scheduler(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler and a worker that the user has started; yields the address of the scheduler and its process."""
    variables = {**environment(), "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
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
            processes.append(subprocess.Popen[bytes]([*python, *command, *common], cwd=folder, env=variables, **quiet))
            wait_until(lambda: file.exists() and file.read_text().endswith("}"))
        yield json.loads(file.read_text())["address"], processes[0]
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()
