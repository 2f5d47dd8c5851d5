"""The processes of a cluster on this machine, found from outside, however they were started: by ssh or a batch system too.

A driver listens as a scheduler.  The command line of a nanny has the scheduler's address; a nanny's child is a worker, and a
worker's children train.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import psutil

from cluster.commands import gone, wait_until

TRAINING_SECONDS = 0.05  # CPU time of a child that is certainly training; its setup takes some milliseconds


def listening(process: psutil.Process) -> list[tuple[str, int]]:
    """The addresses that a process listens on."""
    try:
        return [(c.laddr.ip, c.laddr.port) for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    except psutil.NoSuchProcess:
        return []


def nannies(driver: psutil.Process) -> list[psutil.Process]:
    """The nannies that connect to a driver."""
    schedulers = {f"tls://{host}:{port}" for host, port in listening(driver)}
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            if schedulers & set(process.cmdline()):
                found.append(process)
    return found


def workers(driver: psutil.Process) -> list[psutil.Process]:
    """The workers of a driver: neither their nannies nor the children that train."""
    found: list[psutil.Process] = []
    for nanny in nannies(driver):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [child for child in nanny.children() if "spawn_main" in " ".join(child.cmdline())]
    return found


def stopped_in_mid_training(driver: psutil.Process) -> tuple[psutil.Process, psutil.Process] | None:
    """A worker and a child of it that trains.  The child is stopped (SIGSTOP), so that it cannot end before its worker.

    A child that has just started continues: it would outlive its worker if it were stopped before it has asked for the
    signal that kills it with its worker.
    """
    for worker in workers(driver):
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in worker.children():
                child.suspend()
                wait_until(lambda child=child: gone(child) or child.status() == psutil.STATUS_STOPPED)
                if not gone(child) and sum(child.cpu_times()[:2]) >= TRAINING_SECONDS:
                    return worker, child
                child.resume()
    return None


@contextlib.contextmanager
def workers_killed(times: int) -> Iterator[list[int]]:
    """`kill -9` this many workers of this process, each while a child of it trains; the list fills with their pids."""
    killed: list[int] = []
    stop = threading.Event()

    def kill_workers() -> None:
        while not stop.wait(0.05) and len(killed) < times:
            if caught := stopped_in_mid_training(psutil.Process()):
                worker, _ = caught
                worker.kill()
                killed.append(worker.pid)

    killer = threading.Thread(target=kill_workers)
    killer.start()
    try:
        yield killed
    finally:
        stop.set()
        killer.join()
