"""Dask workers as jobs of a batch system, without glo: small ones, on loopback."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from dask.distributed import Client
from dask_jobqueue.core import JobQueueCluster


@contextlib.contextmanager
def batch_client(kind: type[JobQueueCluster], logs: Path, **options: Any) -> Iterator[tuple[JobQueueCluster, Client]]:
    """A cluster without workers yet, and its client; the output of workers goes to a folder."""
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


def variables(client: Client, name: str) -> list[str]:
    """The value of an environment variable in each worker, sorted."""
    return sorted(cast(dict[str, str], client.run(os.getenv, name)).values())
