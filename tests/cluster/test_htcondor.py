"""The private HTCondor works with its commands and with dask-jobqueue."""

from __future__ import annotations

from pathlib import Path

from dask_jobqueue.htcondor import HTCondorCluster

from cluster.batch import addresses, batch_client, variables, wait_for_loss
from cluster.services.htcondor import HTCondor


def test_a_worker_in_a_job_computes(htcondor: HTCondor, tmp_path: Path) -> None:
    with batch_client(HTCondorCluster, tmp_path, disk="100MB") as (cluster, client):
        cluster.scale(jobs=1)
        assert client.submit(pow, 7, 2).result(timeout=40) == 49
        assert variables(client, "BATCH_SYSTEM") == ["HTCondor"]


def test_each_job_sees_a_gpu_of_its_own(htcondor: HTCondor, tmp_path: Path) -> None:
    with batch_client(HTCondorCluster, tmp_path, disk="100MB", job_extra_directives={"request_gpus": 1}) as (
        cluster,
        client,
    ):
        cluster.scale(jobs=htcondor.gpus)
        client.wait_for_workers(htcondor.gpus, timeout=40)
        assert variables(client, "CUDA_VISIBLE_DEVICES") == ["GPU-11111111", "GPU-22222222"]


def test_adapt_replaces_a_worker_whose_job_was_removed(htcondor: HTCondor, tmp_path: Path) -> None:
    with batch_client(HTCondorCluster, tmp_path, disk="100MB") as (cluster, client):
        cluster.adapt(minimum=1, maximum=1, interval="0.2s")
        client.wait_for_workers(1, timeout=40)
        (worker,), (job,) = addresses(client), htcondor.jobs()
        htcondor.run("condor_rm", job)
        wait_for_loss(client, worker)
        assert client.submit(pow, 7, 2).result(timeout=40) == 49
        assert job not in htcondor.jobs()


def test_a_job_that_is_vacated_runs_again(htcondor: HTCondor, tmp_path: Path) -> None:
    with batch_client(HTCondorCluster, tmp_path, lost_after="30s", disk="100MB") as (cluster, client):
        cluster.scale(jobs=1)
        client.wait_for_workers(1, timeout=40)
        (worker,), (job,) = addresses(client), htcondor.jobs()
        htcondor.run("condor_vacate_job", job)
        wait_for_loss(client, worker)
        assert client.submit(pow, 7, 2).result(timeout=40) == 49
        assert htcondor.jobs() == [job]
