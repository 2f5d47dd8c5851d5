"""Run a command until standard input closes, then end it and all its descendants, daemons included.

`python keeper.py SIGNAL COMMAND...`: the pipe closes when the process at its other end dies, so a server that is started
this way cannot outlive its test, however the test ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys

import psutil

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>: an orphaned descendant becomes a child of this process


def reap(*_: object) -> None:
    """Reap every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def send(sign: signal.Signals, processes: list[psutil.Process], seconds: float) -> None:
    """Send a signal to processes and give them some time to end."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(sign)
    psutil.wait_procs(processes, timeout=seconds)


def end(first: int, stop: signal.Signals) -> None:
    """Ask the command to stop, then all other descendants; kill those that remain."""
    me = psutil.Process()
    send(stop, [child for child in me.children() if child.pid == first], 10)
    send(signal.SIGTERM, me.children(recursive=True), 2)
    while left := me.children(recursive=True):
        send(signal.SIGKILL, left, 1)


def main(stop: signal.Signals, command: list[str]) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    first = subprocess.Popen(command, stdin=subprocess.DEVNULL).pid
    ended = os.pidfd_open(first)
    signal.signal(signal.SIGCHLD, reap)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        select.select([sys.stdin, ended], [], [])
    end(first, stop)


if __name__ == "__main__":
    main(signal.Signals(int(sys.argv[1])), sys.argv[2:])
