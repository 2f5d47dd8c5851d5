"""The private HTCondor works with its commands and dask-jobqueue; other tests use it through glo."""

from __future__ import annotations

from pathlib import Path

from dask_jobqueue.htcondor import HTCondorCluster

from cluster.batch import batch_client, variables
from cluster.commands import PATIENCE
from cluster.services.htcondor import HTCondor


def test_a_worker_in_a_job_computes(htcondor: HTCondor, tmp_path: Path) -> None:
    with batch_client(HTCondorCluster, tmp_path, disk="100MB") as (cluster, client):
        cluster.scale(jobs=1)
        assert client.submit(pow, 7, 2).result(timeout=PATIENCE) == 49
        assert variables(client, "BATCH_SYSTEM") == ["HTCondor"]
