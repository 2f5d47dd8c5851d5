"""Clusters on the real services, as a user writes them down for `--cluster`, and how each loses a worker."""

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
class Place:
    """A cluster.

    Attributes:
        where: options of a command.
        lose: ends a worker, as it happens there.
        jobs: the jobs in the queue of the batch system.
        service: that it runs on.
    """

    where: list[str]
    lose: Callable[[psutil.Process], object] = psutil.Process.kill
    jobs: Callable[[], list[str]] = list
    service: Any = None


def here(folder: Path, request: pytest.FixtureRequest) -> Place:
    return Place([])


def local(folder: Path, request: pytest.FixtureRequest) -> Place:
    return Place(["--cluster", "local:2"])


def ssh(folder: Path, request: pytest.FixtureRequest) -> Place:
    return _ssh(folder, request)


def ssh_impatient(folder: Path, request: pytest.FixtureRequest) -> Place:
    """Soon given up when nobody is there."""
    return _ssh(folder, request, patience=10)


def _ssh(folder: Path, request: pytest.FixtureRequest, **more: int) -> Place:
    sshd: Sshd = request.getfixturevalue("sshd")
    (folder / "hosts.txt").write_text("".join(f"{host}:{sshd.port}\n" for host in sshd.hosts))
    where = written(folder, {"kind": "ssh", "hosts": folder / "hosts.txt", "ssh_config": sshd.config, **more})
    return Place(where, service=sshd)


def slurm(folder: Path, request: pytest.FixtureRequest) -> Place:
    """Two jobs; one is cancelled."""
    return _slurm(folder, request, jobs=2)


def slurm_one(folder: Path, request: pytest.FixtureRequest) -> Place:
    """One job, which must be replaced when it is cancelled."""
    return _slurm(folder, request, jobs=1, lost_after=1)


def _slurm(folder: Path, request: pytest.FixtureRequest, jobs: int, **more: int) -> Place:
    service: Slurm = request.getfixturevalue("slurm")
    where = written(folder, {"kind": "slurm", "memory": "1 GiB", "min_jobs": jobs, "max_jobs": jobs, **more})
    return Place(where, lambda worker: service.run("scancel", job_of(worker)), service.jobs, service)


def htcondor_remove(folder: Path, request: pytest.FixtureRequest) -> Place:
    """One job, which must be replaced when it is removed."""
    return _htcondor(folder, request, "condor_rm", lost_after=1)


def htcondor_hold(folder: Path, request: pytest.FixtureRequest) -> Place:
    """One job, which must be replaced when it is held, since nobody will release it."""
    return _htcondor(folder, request, "condor_hold", lost_after=1)


def htcondor_vacate(folder: Path, request: pytest.FixtureRequest) -> Place:
    """One job, which must run again when it is vacated."""
    return _htcondor(folder, request, "condor_vacate_job")


def _htcondor(folder: Path, request: pytest.FixtureRequest, command: str, **more: int) -> Place:
    service: HTCondor = request.getfixturevalue("htcondor")
    values = {"kind": "htcondor", "memory": "1 GiB", "disk": "100 MiB", "min_jobs": 1, "max_jobs": 1, **more}
    return Place(written(folder, values), lambda worker: service.run(command, *service.jobs()), service.jobs, service)


KINDS = {
    make.__name__: make
    for make in (here, local, ssh, ssh_impatient, slurm, slurm_one, htcondor_remove, htcondor_hold, htcondor_vacate)
}


def written(folder: Path, values: Mapping[str, Any]) -> list[str]:
    """A cluster in a TOML file."""
    file = folder / "cluster.toml"
    file.write_text("".join(f"{key} = {json.dumps(value, default=str)}\n" for key, value in values.items()))
    return ["--cluster", str(file)]


def job_of(worker: psutil.Process) -> str:
    """The job of SLURM that a worker is in."""
    return worker.environ()["SLURM_JOB_ID"]
