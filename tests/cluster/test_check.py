"""`glo cluster check` on the real services, and what it says where a cluster cannot be had."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import psutil
import pytest

pytest.importorskip("distributed", reason="a cluster needs glo[cluster]")

import torch

import glo
from cluster.commands import run
from cluster.places import written
from cluster.services.htcondor import HTCondor
from cluster.services.slurm import Slurm
from cluster.services.sshd import Sshd


def checked(where: str, folder: Path, at: str = "127.0.0.1") -> str:
    """What it prints for a cluster on which all is well, without the lines on the worker."""
    code, out, err = run("cluster", "check", where, "--device", "cpu", folder=folder)
    assert (code, err) == (0, "")
    *script, worker, training = out.splitlines()
    assert worker.startswith(f"tls://{at}:")
    assert f"on {socket.gethostname()}: one training at once on cpu" in worker
    assert f"torch {torch.__version__}" in worker
    assert worker.endswith(f"glo {glo.__version__}")
    assert training.startswith("A tiny training took ")
    assert not list(folder.glob(".glo-certs*"))
    return "\n".join(script)


def test_ssh_as_the_users_own_configuration_says(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ssh:HOSTS.txt`: keys and known hosts are those that ssh would use."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(sshd.config.read_text())
    (tmp_path / "hosts.txt").write_text(f"# one machine\n{sshd.user}@{sshd.hosts[1]}:{sshd.port} slots=1\n")
    assert checked("ssh:hosts.txt", tmp_path) == ""


def network() -> tuple[str, str]:
    """A network interface of this machine that others could reach, and its address."""
    up = [name for name, stats in psutil.net_if_stats().items() if stats.isup]
    for name in up:
        for address in psutil.net_if_addrs()[name]:
            if address.family == socket.AF_INET and not address.address.startswith("127."):
                return name, address.address
    pytest.skip("this machine is in no network")


def test_slurm_over_a_network(slurm: Slurm, tmp_path: Path) -> None:
    interface, address = network()
    values = {"kind": "slurm", "memory": "1 GiB", "interface": interface, "log_directory": tmp_path / "logs"}
    script = checked(written(tmp_path, values)[1], tmp_path, at=address)
    assert f"#SBATCH -o {tmp_path}/logs/glo-%J.out" in script.splitlines()
    (said,) = (tmp_path / "logs").glob("glo-*.err")
    assert "Registered to" in said.read_text()
    assert slurm.jobs() == []


def test_htcondor(htcondor: HTCondor, tmp_path: Path) -> None:
    script = checked(written(tmp_path, {"kind": "htcondor", "memory": "1 GiB", "disk": "100 MiB"})[1], tmp_path)
    assert "Executable = /bin/sh" in script
    (said,) = (tmp_path / "glo-logs").glob("worker-*.err")
    assert "Registered to" in said.read_text()
    assert htcondor.jobs() == []


def refused(where: str, folder: Path) -> str:
    """The one line that is said where all is not well."""
    code, _, err = run("cluster", "check", where, folder=folder)
    assert (code, err.count("\n")) == (2, 1), err
    return err


def test_a_batch_system_that_takes_no_such_job_is_quoted(slurm: Slurm, tmp_path: Path) -> None:
    said = refused(written(tmp_path, {"kind": "slurm", "queue": "nowhere"})[1], tmp_path)
    assert "the batch system takes no such job: sbatch: error: invalid partition specified: nowhere" in said


def test_a_machine_without_the_batch_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no sbatch on this machine: start glo where jobs are submitted" in refused("slurm", tmp_path)


def test_workers_that_never_come(slurm: Slurm, tmp_path: Path) -> None:
    """Their job ends before; what it said is where the error says."""
    values = {"kind": "slurm", "memory": "1 GiB", "patience": 4, "prologue": ["module load nothing", "exit 1"]}
    said = refused(written(tmp_path, values)[1], tmp_path)
    assert "no worker has come within 4 s: look at what the batch system and glo-logs/ say" in said
    (log,) = (tmp_path / "glo-logs").glob("glo-*.err")
    assert "module" in log.read_text()


def test_a_machine_that_does_not_let_one_in(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "hosts.txt").write_text(f"nobody@{sshd.hosts[0]}:{sshd.port}\n")
    values = {"kind": "ssh", "hosts": tmp_path / "hosts.txt", "ssh_config": sshd.config}
    said = refused(written(tmp_path, values)[1], tmp_path)
    assert "the cluster cannot be started: Permission denied" in said


def test_its_answer_as_json(slurm: Slurm, tmp_path: Path) -> None:
    file = written(tmp_path, {"kind": "slurm", "memory": "1 GiB", "gpus": 1})[1]
    code, out, err = run("cluster", "check", file, "--json", folder=tmp_path)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert "#SBATCH --gres=gpu:1" in found["script"]
    assert found["workers"][0]["gpus"] in ("0", "1")
    assert found["accuracy"] > 0.5
