"""Runs `glo` commands in processes of their own, without the seconds that each would take to import what it needs."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

TESTS = Path(__file__).parent
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
PATIENCE = 120.0

# Imports glo once, then runs each command line that it reads in a process of its own: a start takes no seconds.
STARTER = """
import json, os, signal, sys
import cma, torch, glo.report.tables
from glo.study import Study, recorded_result
from glo.cli.supervisor import main
for line in sys.stdin:
    arguments, folder, output, errors = json.loads(line)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.chdir(folder)
        for number in (signal.SIGINT, signal.SIGHUP):  # those that a shell has its background processes ignore
            signal.signal(number, signal.SIG_DFL)
        for path, descriptor in ((output, 1), (errors, 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        sys.argv = ["glo", *arguments]
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        sys.stdout.flush()
        os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Process(Protocol):
    """A running `glo` command."""

    def wait(self, timeout: float) -> int:
        """The exit code, minus the signal for a killed one; `subprocess.TimeoutExpired` if it still runs."""
        ...

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        ...


Start = Callable[[list[str]], Process]


class Forked:
    """A command that the starter runs in a process of its own."""

    def __init__(self, arguments: list[str], pid: int, answers: queue.Queue[int]) -> None:
        self._arguments, self.pid, self._answers = arguments, pid, answers
        self._code: int | None = None

    def wait(self, timeout: float) -> int:
        if self._code is None:
            try:
                self._code = self._answers.get(timeout=timeout)
            except queue.Empty:
                raise subprocess.TimeoutExpired(self._arguments, timeout) from None
        return self._code

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self._code is None and self._answers.empty():
            os.kill(self.pid, number)


class Starter:
    """Runs `glo` commands in fresh processes that need not import anything.

    Args:
        folder: the working folder of the commands, and where their output goes.
        more: variables of their environment.
    """

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder = folder
        path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        environment = {**ENVIRONMENT, "PYTHONPATH": path, **more}
        self._process = subprocess.Popen(
            [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._answers: queue.Queue[int] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(int(line))

    def start(self, arguments: list[str]) -> Forked:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([arguments, str(self.folder), str(self.output), str(self.errors)]) + "\n")
        self._process.stdin.flush()
        return Forked(arguments, self._answers.get(timeout=PATIENCE), self._answers)

    def run(self, *arguments: str) -> str:
        """Standard output of a command that must succeed."""
        code = self.start(list(arguments)).wait(PATIENCE)
        assert code == 0, self.errors.read_text()
        return self.output.read_text()

    @property
    def output(self) -> Path:
        return self.folder / "stdout"

    @property
    def errors(self) -> Path:
        return self.folder / "stderr"

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()
