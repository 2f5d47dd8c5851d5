"""Services end with their tests, however these end; tests of a missing service are skipped, or fail where it is required."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from cluster.services.process import UnavailableError, running, wait_until
from cluster.services.provide import provided

# A server that leaves a daemon behind: a grandchild in a session of its own, which ignores SIGTERM.
DAEMON = "trap '' TERM; echo $$ >pid; while :; do sleep 0.1; done"
SERVER = f'cd {{folder}}; (setsid sh -c "{DAEMON.replace("$", chr(92) + "$")}" &); exec sleep 1000'
HOLDER = """
import sys, time
from pathlib import Path
from cluster.services.process import running
with running(["sh", "-c", sys.argv[1]], Path(sys.argv[2])):
    time.sleep(1000)
"""


def pid_in(folder: Path) -> int:
    wait_for(lambda: (folder / "pid").exists() and (folder / "pid").read_text() != "")
    return int((folder / "pid").read_text())


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_daemon_that_a_server_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    with running(["sh", "-c", SERVER.format(folder=tmp_path)], tmp_path / "log") as alive:
        daemon = psutil.Process(pid_in(tmp_path))
        assert alive()
    assert not daemon.is_running()
    assert not alive()


def test_a_server_ends_when_its_test_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, SERVER.format(folder=tmp_path), str(tmp_path / "log")]
    holder = subprocess.Popen(command, env={"PYTHONPATH": str(Path(__file__).parents[1])})
    daemon = psutil.Process(pid_in(tmp_path))
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    wait_for(lambda: not daemon.is_running())


def test_a_server_that_does_not_start_reports_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = running(["sh", "-c", "echo no such port; exit 3"], log)
    with pytest.raises(RuntimeError, match="no such port"), server as alive:
        wait_until(lambda: False, alive, log)


@contextlib.contextmanager
def missing() -> Iterator[None]:
    raise UnavailableError("it is of another kind")
    yield


def test_a_service_that_is_missing_skips_its_tests_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLO_REQUIRE_SERVICES", "slurm")
    with pytest.raises(pytest.skip.Exception, match="no sshd here: it is of another kind"), provided("sshd", missing()):
        pass


def test_a_service_that_is_missing_fails_its_tests_where_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLO_REQUIRE_SERVICES", "sshd,slurm")
    with pytest.raises(pytest.fail.Exception, match=r"sshd is required.*it is of another kind"), provided("sshd", missing()):
        pass


def test_a_service_that_is_not_wanted_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLO_SKIP_SERVICES", "htcondor,sshd")
    with pytest.raises(pytest.skip.Exception, match="no sshd: GLO_SKIP_SERVICES lists it"), provided("sshd", missing()):
        pass
