"""`glo cluster check` on the real services, and its errors for clusters that cannot be used."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import psutil
import pytest

pytest.importorskip("distributed", reason="a cluster needs glo-torch[cluster]")

import torch

import glo
from cluster.clusters import written
from cluster.commands import run
from cluster.services.htcondor import HTCondor
from cluster.services.slurm import Slurm
from cluster.services.sshd import Sshd


def checked(where: str, folder: Path, at: str = "127.0.0.1") -> str:
    """The job script in the output of a check that succeeds; the lines about the worker are tested here."""
    code, out, err = run("cluster", "check", where, "--device", "cpu", folder=folder)
    assert (code, err) == (0, "")
    *script, worker, training = out.splitlines()
    assert worker.startswith(f"tls://{at}:")
    assert f"on {socket.gethostname()}: one training at once on cpu" in worker
    assert f"torch {torch.__version__}" in worker
    assert f"glo {glo.__version__}" in worker
    assert training.startswith("A tiny training took ")
    assert not list(folder.glob(".glo-certs*"))
    return "\n".join(script)


def test_ssh_with_the_users_own_configuration(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ssh:HOSTS.txt` uses the keys and known hosts that ssh would use."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(sshd.config.read_text())
    (tmp_path / "hosts.txt").write_text(f"# one machine\n{sshd.user}@{sshd.hosts[1]}:{sshd.port} slots=1\n")
    assert checked("ssh:hosts.txt", tmp_path) == ""


def network() -> tuple[str, str]:
    """A network interface of this machine that other machines could reach, and its address."""
    up = [name for name, stats in psutil.net_if_stats().items() if stats.isup]
    for name in up:
        for address in psutil.net_if_addrs()[name]:
            if address.family == socket.AF_INET and not address.address.startswith("127."):
                return name, address.address
    pytest.skip("this machine has no network interface")


def test_slurm_over_a_network(slurm: Slurm, tmp_path: Path) -> None:
    interface, address = network()
    values = {"kind": "slurm", "memory": "1 GiB", "interface": interface, "log_directory": tmp_path / "logs"}
    script = checked(written(tmp_path, values)[1], tmp_path, at=address)
    assert f"#SBATCH -o {tmp_path}/logs/glo-%J.out" in script.splitlines()
    (log,) = (tmp_path / "logs").glob("glo-*.err")
    assert "Registered to" in log.read_text()
    assert slurm.jobs() == []


def test_htcondor(htcondor: HTCondor, tmp_path: Path) -> None:
    script = checked(written(tmp_path, {"kind": "htcondor", "memory": "1 GiB", "disk": "100 MiB"})[1], tmp_path)
    assert "Executable = /bin/sh" in script
    (log,) = (tmp_path / "glo-logs").glob("worker-*.err")
    assert "Registered to" in log.read_text()
    assert htcondor.jobs() == []


def refused(where: str, folder: Path) -> str:
    """The error of a check that fails, which is one line."""
    code, _, err = run("cluster", "check", where, folder=folder)
    assert (code, err.count("\n")) == (2, 1), err
    return err


def test_the_message_of_a_batch_system_that_refuses_the_job_is_quoted(slurm: Slurm, tmp_path: Path) -> None:
    error = refused(written(tmp_path, {"kind": "slurm", "queue": "nowhere"})[1], tmp_path)
    assert "the batch system refuses the job: sbatch: error: invalid partition specified: nowhere" in error


def test_a_machine_without_the_batch_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no sbatch on this machine: start glo on a machine that can submit jobs" in refused("slurm", tmp_path)


def test_workers_that_never_connect(slurm: Slurm, tmp_path: Path) -> None:
    """Their job ends before; the error names the folder of its log."""
    values = {"kind": "slurm", "memory": "1 GiB", "patience": 4, "prologue": ["module load nothing", "exit 1"]}
    error = refused(written(tmp_path, values)[1], tmp_path)
    assert "no worker has connected within 4 s: see what the batch system and glo-logs/ report" in error
    (log,) = (tmp_path / "glo-logs").glob("glo-*.err")
    assert "module" in log.read_text()


def test_a_machine_that_refuses_the_login(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "hosts.txt").write_text(f"nobody@{sshd.hosts[0]}:{sshd.port}\n")
    values = {"kind": "ssh", "hosts": tmp_path / "hosts.txt", "ssh_config": sshd.config}
    error = refused(written(tmp_path, values)[1], tmp_path)
    assert "the cluster cannot be started: Permission denied" in error


def test_the_report_as_json(slurm: Slurm, tmp_path: Path) -> None:
    file = written(tmp_path, {"kind": "slurm", "memory": "1 GiB", "gpus": 1})[1]
    code, out, err = run("cluster", "check", file, "--json", folder=tmp_path)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert "#SBATCH --gres=gpu:1" in found["script"]
    assert found["workers"][0]["gpus"] in ("0", "1")
    assert found["accuracy"] > 0.5
