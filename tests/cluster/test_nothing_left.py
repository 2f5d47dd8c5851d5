"""Whatever ends a search on a cluster, no process, job, key, scratch folder or semaphore of it stays."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster.clusters import Cluster
from cluster.commands import PATIENCE, SEARCH, TRAINED, environment, gone, wait_for_rows, wait_until
from cluster.processes import nannies, workers

pytestmark = pytest.mark.cluster
GLO = [sys.executable, "-m", "glo"]
ENDLESS = [*SEARCH, "--generations", "10000"]
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The folder for temporary files of a command."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def obey_signals() -> None:
    """These tests may run in the background of a shell, whose processes ignore some signals."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def searching(
    cluster: Cluster, folder: Path, temporary: Path
) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A search that trains on a cluster: the command, and all other processes of it, on whatever machine."""
    variables = {**environment(), "TMPDIR": str(temporary)}
    with (folder / "errors").open("w") as errors:
        command = subprocess.Popen(
            [*GLO, *ENDLESS, *cluster.options], cwd=folder, env=variables, stderr=errors, text=True, preexec_fn=obey_signals
        )
    try:
        wait_for_rows(command, folder / "glo.db", TRAINED)
        (driver,) = psutil.Process(command.pid).children()
        wait_until(lambda: workers(driver))
        with stopped(driver):
            remote = [*nannies(driver), *workers(driver)]
            processes = {driver, *driver.children(recursive=True), *remote}
            processes |= {child for each in remote for child in each.children(recursive=True)}
        yield command, list(processes)
    finally:
        command.kill()
        command.wait()


@contextlib.contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def semaphores(processes: list[psutil.Process]) -> set[Path]:
    """The named semaphores that processes use."""
    found: set[Path] = set()
    for process in processes:
        with contextlib.suppress(OSError):
            found |= {Path(name) for name in re.findall(r"/\S+/sem\.\S+$", maps(process), re.MULTILINE)}
    return found


def maps(process: psutil.Process) -> str:
    return Path(f"/proc/{process.pid}/maps").read_text()


def keys(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name == "key.pem" or path.name.startswith(".glo-")]


def scratch(folder: Path) -> list[str]:
    """What is in a folder of temporary files, but for the caches that dask and torch share with all their users."""
    shared = {"dask-scratch-space", "global.lock", "purge.lock", "torchinductor_root"}
    return [str(path) for path in folder.rglob("*") if path.name not in shared]


def assert_nothing_runs(cluster: Cluster, processes: list[psutil.Process], used: set[Path]) -> None:
    wait_until(lambda: all(map(gone, processes)) and not cluster.jobs(), f"orphans: {processes}")
    wait_until(lambda: not any(semaphore.exists() for semaphore in used), f"semaphores: {used}")


@pytest.mark.parametrize(
    ("cluster", "how"),
    [*(("local", how) for how in SIGNALS), ("ssh", signal.SIGTERM), ("slurm", signal.SIGTERM)],
    indirect=["cluster"],
)
def test_a_search_that_is_ended_leaves_nothing(
    cluster: Cluster, how: signal.Signals, tmp_path: Path, temporary: Path
) -> None:
    with searching(cluster, tmp_path, temporary) as (command, processes):
        used = semaphores(processes)
        assert used  # a nanny has some
        assert keys(tmp_path)
        command.send_signal(how)
        assert command.wait(PATIENCE) == 128 + how, (tmp_path / "errors").read_text()
    assert_nothing_runs(cluster, processes, used)
    assert not keys(tmp_path)
    wait_until(lambda: not scratch(temporary), f"scratch files: {scratch(temporary)}")


@pytest.mark.parametrize(
    ("cluster", "whole"),
    [("local", True), ("local", False), ("ssh", True), ("slurm", True)],
    ids=["local-command", "local-driver", "ssh-command", "slurm-command"],
    indirect=["cluster"],
)
def test_what_a_killed_search_leaves_is_deleted_by_the_next_start(
    cluster: Cluster, whole: bool, tmp_path: Path, temporary: Path
) -> None:
    """Its folder stays; nothing that runs does.  `whole` kills the parent too, which would end what the driver leaves."""
    with searching(cluster, tmp_path, temporary) as (command, processes):
        used = semaphores(processes)
        driver = next(each for each in processes if each.ppid() == command.pid)
        (command if whole else driver).kill()
        assert command.wait(PATIENCE) == (-signal.SIGKILL if whole else 128 + signal.SIGKILL)
    assert_nothing_runs(cluster, processes, used)
    assert len([path for path in keys(tmp_path) if path.name == "key.pem"]) == 1
    subprocess.run(
        [*GLO, "cluster", "check", cluster.options[1]],
        cwd=tmp_path,
        env={**environment(), "TMPDIR": str(temporary)},
        timeout=PATIENCE,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    assert not keys(tmp_path)
    wait_until(lambda: not scratch(temporary), f"scratch files: {scratch(temporary)}")
