"""The command `glo`: run it in a child process, so that whatever ends it, there is a word and an exit code that is not 0.

A task is code of the user's, and so are the libraries below it.  They may end the process of a command without a word:
a segmentation fault, `os._exit(0)`, the kernel when memory is full.  The parent runs none of that code.  It waits, says how
the child ended, and ends the processes that the child has left.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from glo.cli.signals import exit_code, raise_interrupts, was_interrupted

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)
PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
SECONDS_TO_END = 5.0  # for a process that the child has left; then it is killed
BY_ITSELF = b"."  # the child writes it when its command has ended


def main() -> None:
    """Entry point of `glo`; see `glo.cli.app.main` for the exit codes.  Where there is no Linux, it has no child."""
    if sys.platform != "linux":
        _run()
        return
    waited = {signal.SIGCHLD, *PASSED_ON}
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    reading, writing = os.pipe()
    parent, libc = os.getpid(), ctypes.CDLL(None)
    child = os.fork()
    if child:
        os.close(writing)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)  # the processes that the child leaves become children of this one
        code = _wait(child, waited)
        _end_children()
        os.set_blocking(reading, False)
        with suppress(BlockingIOError):  # a process that cannot be killed has the pipe open
            if code >= 0 and os.read(reading, 1) == BY_ITSELF:
                sys.exit(code)
        _refuse(code)
    os.close(reading)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed before
        os._exit(1)
    signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
    try:
        _run()
    finally:
        os.write(writing, BY_ITSELF)


def _run() -> None:
    raise_interrupts()
    try:
        from glo.cli.app import main as command

        command()
    except KeyboardInterrupt:
        sys.exit(exit_code(130))
    except SystemExit as end:
        sys.exit(exit_code(end.code))
    except Exception:
        if not was_interrupted():
            raise
        sys.exit(exit_code(130))


def _wait(child: int, waited: set[signal.Signals]) -> int:
    """Wait for the child, and pass signals on to it; returns its exit code, or minus the signal that killed it."""
    while True:
        info = signal.sigwaitinfo(waited)
        if info.si_signo in PASSED_ON and info.si_code <= 0:  # by a process; a terminal sends its signals to the child too
            os.kill(child, info.si_signo)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)


def _end_children() -> None:
    """End all children of this process, and theirs."""
    started = time.monotonic()
    asked: set[int] = set()
    while children := _children():
        patient = time.monotonic() - started < SECONDS_TO_END
        for child in children:
            with suppress(ProcessLookupError):
                if not patient or child not in asked:
                    os.kill(child, signal.SIGTERM if patient else signal.SIGKILL)
                asked.add(child)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def _children() -> list[int]:
    """The children of this process that run, or have ended and wait for `waitpid`."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                _, _, fields = (entry / "stat").read_text().rpartition(")")  # its name may have blanks
                if int(fields.split()[1]) == os.getpid():
                    found.append(int(entry.name))
    return found


def _refuse(code: int) -> None:
    """Say how the child was ended, and exit with a code that is not 0."""
    if code >= 0:
        how = f"something has ended the process with exit code {code}, as os._exit() does"
    else:
        how = f"the process was killed by {signal.Signals(-code).name}"
        how += ": by another process, or by the system for want of memory" * (-code == signal.SIGKILL)
    sys.stderr.write(f"Error: {how}; look into the code of the task and the libraries that it uses\n")
    sys.exit(128 - code if code < 0 else code or 1)
