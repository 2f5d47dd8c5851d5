"""Shared by all services: install programs, run them, and wait until they answer."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from filelock import FileLock

LOOPBACK = "127.0.0.1"
APT_GET = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")
POLICY = Path("/usr/sbin/policy-rc.d")
NOTHING_STARTS = "#!/bin/sh\nexit 101\n"
SYSTEM_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


class UnavailableError(Exception):
    """The reason why a service is not available on this machine."""


def need_root(why: str) -> None:
    if os.geteuid() != 0:
        raise UnavailableError(f"{why} needs root")


def programs(packages: Mapping[str, str]) -> dict[str, str]:
    """The path of each program; missing ones are installed from their Debian packages."""
    missing = sorted({package for program, package in packages.items() if not _path(program)})
    if missing:
        install(missing)
    return {program: _path(program) or _missing(program, package) for program, package in packages.items()}


def _path(program: str) -> str | None:
    return shutil.which(program, path=SYSTEM_PATH)


def _missing(program: str, package: str) -> str:
    raise UnavailableError(f"the Debian package {package} has no program {program} here")


def install(packages: Sequence[str]) -> None:
    """Install Debian packages without starting their system-wide servers."""
    names = " ".join(packages)
    need_root(f"installing {names}")
    if not _path("apt-get"):
        raise UnavailableError(f"{names} not installed, and there is no apt-get to install them")
    # Several processes share the tests, and apt-get does not wait for another process that updates the package lists.
    with FileLock(Path(tempfile.gettempdir()) / "glo-tests-install.lock"), _nothing_started():
        tried([*APT_GET, "update"])
        tried([*APT_GET, "install", "--yes", "--no-install-recommends", *packages])


def tried(command: Sequence[str]) -> None:
    """Run a command of an installation without questions; if it fails, raise `UnavailableError` with its last lines."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        last_lines = " | ".join(done.stdout.strip().splitlines()[-3:])
        raise UnavailableError(f"{' '.join(command)} failed: {last_lines}")


@contextlib.contextmanager
def _nothing_started() -> Iterator[None]:
    """Packages that are installed in the block do not start their servers."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text(NOTHING_STARTS)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, stop: signal.Signals = signal.SIGTERM, env: Mapping[str, str] | None = None
) -> Iterator[Callable[[], bool]]:
    """Run a server and its descendants in the foreground until the end of the block.

    Yields a function that tells whether it still runs.  `stop` is the signal that ends this server quickly and cleanly.
    """
    keeper = Path(__file__).with_name("keeper.py")
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, keeper, str(int(stop)), *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
    try:
        yield lambda: process.poll() is None
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=60)


def wait_until(ready: Callable[[], bool], alive: Callable[[], bool], log: Path, seconds: float = 60) -> None:
    """Wait until a server answers; if it does not, the error has its log."""
    deadline = time.monotonic() + seconds
    while not ready():
        if not alive() or time.monotonic() > deadline:
            what = f"did not answer within {seconds:g} s" if alive() else "ended at once"
            raise RuntimeError(f"the server {what}; {log}:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.05)


def succeeds(command: Sequence[str], env: Mapping[str, str] | None = None) -> bool:
    return subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]
