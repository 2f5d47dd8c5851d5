"""A private sshd on loopback: its own keys, a high port; it neither reads nor changes ssh files of the user or machine."""

from __future__ import annotations

import contextlib
import getpass
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.services.process import free_port, listening, programs, running, wait_until

# Two addresses of this machine, so that a hosts file can have two lines.
HOSTS = ("127.0.0.1", "127.0.0.2")

SERVER = """\
Port {port}
{addresses}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/client_key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowUsers {user}
MaxStartups 100
MaxSessions 100
{environment}
"""

CLIENT = """\
Host *
  Port {port}
  User {user}
  IdentityFile {folder}/client_key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
  BatchMode yes
"""


@dataclass(frozen=True)
class Sshd:
    """Everything that a client needs.

    Attributes:
        hosts: addresses of this machine, all served.
        port: on each of them.
        user: who can log in.
        key: the private key to log in with.
        known_hosts: the server's key, for all hosts.
        config: all of this for `ssh -F`.
    """

    hosts: tuple[str, ...]
    port: int
    user: str
    key: Path
    known_hosts: Path
    config: Path

    @property
    def connect_options(self) -> dict[str, object]:
        """Options of asyncssh, which dask's SSHCluster uses."""
        return {
            "port": self.port,
            "username": self.user,
            "client_keys": [str(self.key)],
            "known_hosts": str(self.known_hosts),
            "config": None,
        }


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Sshd]:
    """Serve until the end of the block; all files are in a folder."""
    path = programs({"sshd": "openssh-server", "ssh": "openssh-client", "ssh-keygen": "openssh-client"})
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # empty; sshd requires it when it runs as root
    for key in ("host_key", "client_key"):
        subprocess.run([path["ssh-keygen"], "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    port, user = free_port(), getpass.getuser()
    (folder / "sshd_config").write_text(
        SERVER.format(
            folder=folder,
            port=port,
            user=user,
            addresses="\n".join(f"ListenAddress {host}" for host in HOSTS),
            environment=_environment(),
        )
    )
    names = ",".join(f"[{host}]:{port}" for host in HOSTS)
    (folder / "known_hosts").write_text(f"{names} {(folder / 'host_key.pub').read_text()}")
    (folder / "ssh_config").write_text(CLIENT.format(folder=folder, port=port, user=user))
    log = folder / "sshd.log"
    with running([path["sshd"], "-D", "-e", "-f", str(folder / "sshd_config")], log) as alive:
        wait_until(lambda: listening(port), alive, log)
        yield Sshd(HOSTS, port, user, folder / "client_key", folder / "known_hosts", folder / "ssh_config")


def _environment() -> str:
    """Sessions get the search path and number of threads of this process, as on a cluster of machines set up alike."""
    names = ("PYTHONPATH", "OMP_NUM_THREADS")
    values = [f'"{name}={os.environ[name]}"' for name in names if os.environ.get(name)]
    return f"SetEnv {' '.join(values)}" if values else ""
