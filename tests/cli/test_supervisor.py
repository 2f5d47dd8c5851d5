"""Whatever ends a command, there is a word and an exit code that is not 0, and nothing is left that runs."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from failing import PLACES, WAYS
from glo.cli.signals import time_limited
from processes import wait_until
from starter import PATIENCE, Forked, Starter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the parent process exists on Linux only")
SEARCH = [
    "search",
    "--quiet",
    "--task",
    "digits",
    "--population",
    "6",
    "--steps",
    "60",
    "--name",
    "run",
    "--baselines",
    "none",
    "--storage",
    "glo.db",
]
ENDLESS = [*SEARCH, "--generations", "10000"]
FAILING = ["search", "--task", "failing:task", "--generations", "1", "--population", "4", "--steps", "5"]


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    starter.close()


def descendants(command: Forked) -> list[psutil.Process]:
    """All processes of a command but its first."""
    return psutil.Process(command.pid).children(recursive=True)


def running(starter: Starter, arguments: list[str] = ENDLESS) -> Forked:
    """A search that has recorded something, and is training now."""
    command = starter.start(arguments)
    wait_until(lambda: recorded(starter.output.parent / "glo.db") > 0 and len(descendants(command)) > 1)
    return command


def recorded(storage: Path) -> int:
    """The number of generations in a store."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{storage}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT count(*) FROM generations").fetchone()[0]
    return 0


def gone(processes: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


@pytest.fixture(scope="module")
def failing_starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    starter = Starter(tmp_path_factory.mktemp("failing"))
    yield starter
    starter.close()


@pytest.mark.parametrize("place", [*PLACES, "data"])
@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("stop", "thread")])
def test_a_task_that_fails_ends_in_one_line_and_an_exit_code(failing_starter: Starter, way: str, place: str) -> None:
    # Where each training diverges, so would the hundreds of the survey, one after the other.
    limit = {"hang": ["--time-limit", "1.5"], "nan": ["--baselines", "none"]}.get(way, [])
    options = ["--task-option", f"way={way}", "--task-option", f"place={place}", "--storage", f"{way} {place}.db"]
    code = failing_starter.start([*FAILING, *options, *limit]).wait(PATIENCE)
    errors, output = failing_starter.errors.read_text(), failing_starter.output.read_text()
    if way == "nan" and code == 0:  # outcomes: each training has diverged
        assert "No candidate could be trained: " in output
        return
    assert code not in (0, None)
    *_, last = errors.splitlines()
    assert last.startswith("Error: "), errors
    assert sum(line.startswith("Error: ") for line in errors.splitlines()) == 1, errors
    if way in ("raise", "hang", "sys.exit", "memory") and place != "data":
        assert re.search(r"\(in .*failing\.py:\d+\)|not ended after", last), last
    assert not list(failing_starter.output.parent.glob("*.lock"))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_as_ctrl_c_does(starter: Starter, tmp_path: Path, how: signal.Signals) -> None:
    command = running(starter)
    processes = descendants(command)
    command.send(how)
    assert command.wait(PATIENCE) == 128 + how
    assert "finished generations are kept. Go on with: glo resume run" in starter.errors.read_text()
    assert "Traceback" not in starter.errors.read_text()
    wait_until(lambda: gone(processes))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["glo.db", "stderr", "stdout"]


@pytest.mark.parametrize("to_group", [True, False], ids=["of a terminal", "of a process"])
def test_several_quick_interrupts_are_one(starter: Starter, to_group: bool) -> None:
    command = running(starter)
    for _ in range(4):
        if to_group:
            os.killpg(command.pid, signal.SIGINT)
        else:
            command.send(signal.SIGINT)
    assert command.wait(PATIENCE) == 130
    assert starter.errors.read_text().count("\n") <= 2, starter.errors.read_text()


def test_a_command_that_is_killed_takes_its_processes_along(starter: Starter) -> None:
    command = running(starter)
    processes = descendants(command)
    command.kill()
    assert command.wait(PATIENCE) == -signal.SIGKILL
    wait_until(lambda: gone(processes))


def test_a_killed_child_is_reported_and_its_processes_are_ended(starter: Starter) -> None:
    command = running(starter)
    (child,) = psutil.Process(command.pid).children()
    processes = descendants(command)
    child.kill()
    assert command.wait(PATIENCE) == 128 + signal.SIGKILL
    assert "the process was killed by SIGKILL: by another process, or by the system" in starter.errors.read_text()
    wait_until(lambda: gone(processes))


def test_a_search_that_was_ended_goes_on(starter: Starter) -> None:
    command = running(starter, [*SEARCH, "--generations", "4"])
    command.send(signal.SIGTERM)
    command.wait(PATIENCE)
    assert "best loss" in starter.run("resume", "run", "--baselines", "none", "--storage", "glo.db")


DROPPED = """
import signal, weakref
from glo.cli.signals import exit_code, raise_interrupts
class Thing: pass
raise_interrupts()
thing = Thing()
reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGTERM))
try:
    del thing
    while True:
        pass
except KeyboardInterrupt:
    raise SystemExit(exit_code(130))
"""


# The signal comes again while the hook still runs.
SLOW_HOOK = """
import threading
start = threading.Timer.start
def slow(timer):
    start(timer)
    threading.Timer.start = start
    timer.join()
threading.Timer.start = slow
"""


@pytest.mark.parametrize("before", ["", SLOW_HOOK], ids=["at once", "while the hook runs"])
def test_a_signal_whose_exception_is_dropped_comes_again(before: str) -> None:
    """Python drops an exception that is raised in the callback of a weak reference, of which imports have many."""
    child = subprocess.run(
        [sys.executable, "-c", before + DROPPED], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (child.returncode, child.stderr) == (128 + signal.SIGTERM, "")


CONVERTED = """
import os, signal
def convert():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt:
        raise TypeError("expected a message argument") from None
"""


def test_an_interrupt_that_compiled_code_turns_into_another_exception_ends_a_command(
    starter: Starter, tmp_path: Path
) -> None:
    """Interrupted while it is imported, torch raises `TypeError: expected a message argument`."""
    script = f"{CONVERTED}\nimport glo.cli.app, glo.cli.supervisor\nglo.cli.app.main = convert\nglo.cli.supervisor.main()"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (child.returncode, child.stderr) == (128 + signal.SIGTERM, "")
    (tmp_path / "slow.py").write_text(f"{CONVERTED}\nconvert()\n")
    assert starter.start(["search", "--task", "slow:task"]).wait(PATIENCE) == 128 + signal.SIGTERM
    assert "TypeError" not in starter.errors.read_text()


def test_an_interrupt_before_anything_is_recorded_names_no_study_to_resume(starter: Starter, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import pathlib, time\npathlib.Path('here').touch()\ntime.sleep(600)\n")
    command = starter.start(["search", "--task", "slow:task"])
    wait_until((tmp_path / "here").exists)
    command.send(signal.SIGINT)
    assert command.wait(PATIENCE) == 130
    errors = starter.errors.read_text()
    assert "Interrupted; nothing was recorded yet." in errors
    assert "glo resume" not in errors
    assert not (tmp_path / "glo.db").exists()


def test_a_time_limit_may_be_longer_than_any_timer() -> None:
    with time_limited(1e300):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 1e6
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
