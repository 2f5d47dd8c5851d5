"""A search has the same history to the byte wherever it trains, though a worker is ended there in mid-training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

pytest.importorskip("distributed", reason="a cluster needs glo[cluster]")

from cluster.commands import PATIENCE, SEARCH, TRAINED, gone, started, wait_for_rows, wait_until
from cluster.family import stopped_in_mid_training, workers
from cluster.places import Place
from outside import rows


@contextmanager
def a_worker_lost(place: Place, whole: str, folder: Path) -> Iterator[tuple[psutil.Process, list[str]]]:
    """A search on a cluster that loses a worker in mid-training; at the end of the block its history is `whole`.

    Yields the search's process and the jobs that there were before, once the worker is gone.
    """
    storage = folder / "glo.db"
    with started(*SEARCH, "--json", *place.where, folder=folder) as process:
        driver = psutil.Process(process.pid)
        wait_for_rows(process, storage, TRAINED)
        worker, child = wait_until(lambda: stopped_in_mid_training(driver))
        jobs, before = place.jobs(), rows(storage, TRAINED)
        place.lose(worker)
        wait_until(lambda: gone(worker) and gone(child), "the worker does not end")
        yield driver, jobs
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    assert rows(storage, TRAINED) > before
    assert json.loads(out)["history_digest"] == whole
    assert not place.jobs()
    assert not list(folder.glob(".glo-certs*"))
    assert not list(folder.glob("slurm-*"))


@pytest.mark.parametrize("place", ["local", "ssh", "slurm"], indirect=True)
def test_its_work_goes_elsewhere(place: Place, whole: str, tmp_path: Path) -> None:
    with a_worker_lost(place, whole, tmp_path):
        pass


@pytest.mark.parametrize("place", ["slurm_one", "htcondor_remove", "htcondor_hold"], indirect=True)
def test_a_job_that_is_removed_or_held_is_replaced(place: Place, whole: str, tmp_path: Path) -> None:
    with a_worker_lost(place, whole, tmp_path) as (driver, jobs):
        wait_until(lambda: workers(driver), "no other job")
        assert set(place.jobs()).isdisjoint(jobs)


@pytest.mark.parametrize("place", ["htcondor_vacate"], indirect=True)
def test_a_job_that_is_vacated_runs_again(place: Place, whole: str, tmp_path: Path) -> None:
    with a_worker_lost(place, whole, tmp_path) as (driver, jobs):
        wait_until(lambda: workers(driver), "it does not run again")
        assert place.jobs() == jobs
