"""Clusters on the real services, as a user configures them for `--cluster`, and how each loses a worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.services.htcondor import HTCondor
from cluster.services.slurm import Slurm
from cluster.services.sshd import Sshd


@dataclass(frozen=True)
class Cluster:
    """A cluster to test on.

    Attributes:
        options: of a command that trains on it.
        lose: ends a worker in the way of this kind of cluster.
        jobs: lists the jobs in the queue of the batch system.
        service: the service that it runs on.
    """

    options: list[str]
    lose: Callable[[psutil.Process], object] = psutil.Process.kill
    jobs: Callable[[], list[str]] = list
    service: Any = None


def here(folder: Path, request: pytest.FixtureRequest) -> Cluster:
    return Cluster([])


def local(folder: Path, request: pytest.FixtureRequest) -> Cluster:
    return Cluster(["--cluster", "local:2"])


def ssh(folder: Path, request: pytest.FixtureRequest) -> Cluster:
    return _ssh(folder, request)


def ssh_impatient(folder: Path, request: pytest.FixtureRequest) -> Cluster:
    """The driver soon gives up if no worker is left."""
    return _ssh(folder, request, patience=10)


def _ssh(folder: Path, request: pytest.FixtureRequest, **more: int) -> Cluster:
    sshd: Sshd = request.getfixturevalue("sshd")
    (folder / "hosts.txt").write_text("".join(f"{host}:{sshd.port}\n" for host in sshd.hosts))
    options = written(folder, {"kind": "ssh", "hosts": folder / "hosts.txt", "ssh_config": sshd.config, **more})
    return Cluster(options, service=sshd)


def slurm(folder: Path, request: pytest.FixtureRequest) -> Cluster:
    """Two jobs; one is cancelled."""
    return _slurm(folder, request, jobs=2)


def slurm_one(folder: Path, request: pytest.FixtureRequest) -> Cluster:
    """One job, which must be replaced when it is cancelled."""
    return _slurm(folder, request, jobs=1, lost_after=1)


def _slurm(folder: Path, request: pytest.FixtureRequest, jobs: int, **more: int) -> Cluster:
    service: Slurm = request.getfixturevalue("slurm")
    options = written(folder, {"kind": "slurm", "memory": "1 GiB", "min_jobs": jobs, "max_jobs": jobs, **more})
    return Cluster(options, lambda worker: service.run("scancel", job_of(worker)), service.jobs, service)


def htcondor_remove(folder: Path, request: pytest.FixtureRequest) -> Cluster:
    """One job, which must be replaced when it is removed."""
    return _htcondor(folder, request, "condor_rm", lost_after=1)


def htcondor_hold(folder: Path, request: pytest.FixtureRequest) -> Cluster:
    """One job, which must be replaced when it is held, since it will not be released."""
    return _htcondor(folder, request, "condor_hold", lost_after=1)


def htcondor_vacate(folder: Path, request: pytest.FixtureRequest) -> Cluster:
    """One job, which must run again when it is vacated."""
    return _htcondor(folder, request, "condor_vacate_job")


def _htcondor(folder: Path, request: pytest.FixtureRequest, command: str, **more: int) -> Cluster:
    service: HTCondor = request.getfixturevalue("htcondor")
    values = {"kind": "htcondor", "memory": "1 GiB", "disk": "100 MiB", "min_jobs": 1, "max_jobs": 1, **more}
    return Cluster(written(folder, values), lambda worker: service.run(command, *service.jobs()), service.jobs, service)


KINDS = {
    make.__name__: make
    for make in (here, local, ssh, ssh_impatient, slurm, slurm_one, htcondor_remove, htcondor_hold, htcondor_vacate)
}


def written(folder: Path, values: Mapping[str, Any]) -> list[str]:
    """Write a cluster to a TOML file; returns the options of a command that trains on it."""
    file = folder / "cluster.toml"
    file.write_text("".join(f"{key} = {json.dumps(value, default=str)}\n" for key, value in values.items()))
    return ["--cluster", str(file)]


def job_of(worker: psutil.Process) -> str:
    """The SLURM job that a worker belongs to."""
    return worker.environ()["SLURM_JOB_ID"]
