"""The private SLURM works with sbatch and dask-jobqueue; other tests use it through glo."""

from __future__ import annotations

import os
from pathlib import Path

from dask_jobqueue.slurm import SLURMCluster

from cluster.batch import batch_client
from cluster.commands import PATIENCE
from cluster.services.slurm import Slurm


def test_a_worker_in_a_job_computes(slurm: Slurm, tmp_path: Path) -> None:
    with batch_client(SLURMCluster, tmp_path) as (cluster, client):
        cluster.scale(jobs=1)
        assert client.submit(pow, 7, 2).result(timeout=PATIENCE) == 49
        assert client.submit(os.getenv, "SLURM_JOB_ID").result(timeout=PATIENCE) in slurm.jobs()
