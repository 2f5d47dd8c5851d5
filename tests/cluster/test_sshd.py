"""The private sshd works with ssh, asyncssh and dask's SSHCluster."""

from __future__ import annotations

import asyncio
import subprocess

import asyncssh
import pytest
from dask.distributed import Client, SSHCluster

from cluster.batch import variables
from cluster.commands import PATIENCE
from cluster.services.sshd import Sshd


def test_ssh_runs_a_command_on_each_host(sshd: Sshd) -> None:
    for host in sshd.hosts:
        ssh = ["ssh", "-F", str(sshd.config), host, "echo $SSH_CONNECTION"]
        connection = subprocess.run(ssh, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout.split()
        assert connection[2:] == [host, str(sshd.port)]


def test_a_stranger_cannot_log_in(sshd: Sshd) -> None:
    stranger = asyncssh.generate_private_key("ssh-ed25519")

    async def connect() -> None:
        async with asyncssh.connect(sshd.hosts[0], **{**sshd.connect_options, "client_keys": [stranger]}):
            pass

    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(connect())


def test_a_dask_worker_started_by_ssh_computes(sshd: Sshd) -> None:
    cluster = SSHCluster(
        [sshd.hosts[0], sshd.hosts[1]],
        connect_options=sshd.connect_options,
        scheduler_options={"host": sshd.hosts[0], "port": 0, "dashboard_address": "127.0.0.1:0"},
        worker_options={"nthreads": 1, "host": sshd.hosts[1], "dashboard": False},
    )
    with cluster, Client(cluster) as client:
        assert client.submit(pow, 7, 2).result(timeout=PATIENCE) == 49
        (connection,) = variables(client, "SSH_CONNECTION")
        assert connection.split()[2:] == [sshd.hosts[1], str(sshd.port)]
