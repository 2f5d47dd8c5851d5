"""The private SLURM works with sbatch and with dask-jobqueue."""

from __future__ import annotations

import os
from pathlib import Path

from dask_jobqueue.slurm import SLURMCluster

from cluster.batch import addresses, batch_client, variables, wait_for_loss
from cluster.services.slurm import Slurm


def test_a_worker_in_a_job_computes(slurm: Slurm, tmp_path: Path) -> None:
    with batch_client(SLURMCluster, tmp_path) as (cluster, client):
        cluster.scale(jobs=1)
        assert client.submit(pow, 7, 2).result(timeout=30) == 49
        assert client.submit(os.getenv, "SLURM_JOB_ID").result(timeout=10) in slurm.jobs()


def test_each_job_sees_a_gpu_of_its_own(slurm: Slurm, tmp_path: Path) -> None:
    with batch_client(SLURMCluster, tmp_path, job_extra_directives=["--gres=gpu:1"]) as (cluster, client):
        cluster.scale(jobs=slurm.gpus)
        client.wait_for_workers(slurm.gpus, timeout=30)
        assert variables(client, "CUDA_VISIBLE_DEVICES") == ["0", "1"]


def test_adapt_replaces_a_worker_whose_job_was_cancelled(slurm: Slurm, tmp_path: Path) -> None:
    with batch_client(SLURMCluster, tmp_path) as (cluster, client):
        cluster.adapt(minimum=1, maximum=1, interval="0.2s")
        client.wait_for_workers(1, timeout=30)
        (worker,), (job,) = addresses(client), slurm.jobs()
        slurm.run("scancel", job)
        wait_for_loss(client, worker)
        assert client.submit(os.getenv, "SLURM_JOB_ID").result(timeout=30) not in (None, job)
