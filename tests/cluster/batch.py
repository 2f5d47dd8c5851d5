"""Dask workers as jobs of a batch system, for tests: small, on loopback, quickly missed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import dask.config
from dask.distributed import Client
from dask_jobqueue.core import JobQueueCluster


@contextlib.contextmanager
def batch_client(
    kind: type[JobQueueCluster], logs: Path, lost_after: str = "1s", **options: Any
) -> Iterator[tuple[JobQueueCluster, Client]]:
    """A cluster without workers, and its client; the workers' output goes to a folder.

    A worker that is away for longer than `lost_after` (dask's own default is 15 s) is given up: its job is cancelled, even
    if the batch system has it waiting to run again, and only adapt() asks for another.
    """
    with dask.config.set({"distributed.deploy.lost-worker-timeout": lost_after}):
        cluster = kind(
            cores=1,
            processes=1,
            memory="1GB",
            log_directory=str(logs),
            scheduler_options={"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"},
            worker_extra_args=["--no-dashboard"],
            **options,
        )
        with cluster, Client(cluster) as client:
            yield cluster, client


def addresses(client: Client) -> list[str]:
    """Of the workers that the scheduler knows."""
    return list(cast(dict[str, int], client.nthreads()))


def variables(client: Client, name: str) -> list[str]:
    """The value of an environment variable in each worker, sorted."""
    return sorted(cast(dict[str, str], client.run(os.getenv, name)).values())


def wait_for_loss(client: Client, worker: str, seconds: float = 30) -> None:
    """Wait until the scheduler misses a worker, given by its address."""
    deadline = time.monotonic() + seconds
    while worker in addresses(client):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the worker at {worker} is still there after {seconds:g} s")
        time.sleep(0.05)
