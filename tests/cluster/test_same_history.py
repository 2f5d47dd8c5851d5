"""A search has the same history to the byte on every kind of cluster, even if a worker is lost in mid-training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

pytest.importorskip("distributed", reason="a cluster needs glo-torch[cluster]")

from cluster.clusters import Cluster
from cluster.commands import PATIENCE, SEARCH, TRAINED, gone, started, wait_for_rows, wait_until
from cluster.processes import stopped_in_mid_training, workers
from outside import rows


@contextmanager
def a_worker_lost(cluster: Cluster, whole: str, folder: Path) -> Iterator[tuple[psutil.Process, list[str]]]:
    """A search on a cluster that loses a worker in mid-training; at the end of the block its history is that of `whole`.

    Yields the process of the search and the jobs that were queued before the loss, once the worker is gone.
    """
    storage = folder / "glo.db"
    with started(*SEARCH, "--json", *cluster.options, folder=folder) as process:
        driver = psutil.Process(process.pid)
        wait_for_rows(process, storage, TRAINED)
        worker, child = wait_until(lambda: stopped_in_mid_training(driver))
        jobs, before = cluster.jobs(), rows(storage, TRAINED)
        cluster.lose(worker)
        wait_until(lambda: gone(worker) and gone(child), "the worker does not end")
        yield driver, jobs
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert rows(storage, TRAINED) > before
    assert json.loads(out)["history_digest"] == whole
    assert not cluster.jobs()
    assert not list(folder.glob(".glo-certs*"))
    assert not list(folder.glob("slurm-*"))


@pytest.mark.parametrize("cluster", ["local", "ssh", "slurm"], indirect=True)
def test_another_worker_takes_over(cluster: Cluster, whole: str, tmp_path: Path) -> None:
    with a_worker_lost(cluster, whole, tmp_path):
        pass


@pytest.mark.parametrize("cluster", ["slurm_one", "htcondor_remove", "htcondor_hold"], indirect=True)
def test_a_job_that_is_removed_or_held_is_replaced(cluster: Cluster, whole: str, tmp_path: Path) -> None:
    with a_worker_lost(cluster, whole, tmp_path) as (driver, jobs):
        wait_until(lambda: workers(driver), "no job replaces it")
        assert set(cluster.jobs()).isdisjoint(jobs)


@pytest.mark.parametrize("cluster", ["htcondor_vacate"], indirect=True)
def test_a_job_that_is_vacated_runs_again(cluster: Cluster, whole: str, tmp_path: Path) -> None:
    with a_worker_lost(cluster, whole, tmp_path) as (driver, jobs):
        wait_until(lambda: workers(driver), "it does not run again")
        assert cluster.jobs() == jobs
