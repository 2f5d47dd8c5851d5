"""A private SLURM of one node with 8 CPUs and 2 GPUs, independent of this machine: munged, slurmctld and slurmd.

The GPUs are /dev/null and /dev/zero: SLURM assigns them and sets CUDA_VISIBLE_DEVICES, but nothing computes on them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.services.process import free_port, need_root, programs, running, succeeds, wait_until

GPUS = ("/dev/null", "/dev/zero")

# No cgroups and no accounting, so that it runs in a container too; short intervals, so that tests need not wait for it.
SLURM_CONF = """\
ClusterName=glo
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=64000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""

MUNGE = {
    "socket": "munge.socket",
    "key-file": "munge.key",
    "pid-file": "munge.pid",
    "seed-file": "munge.seed",
    "log-file": "munge.log",
}


@dataclass(frozen=True)
class Slurm:
    """Everything that a client needs.

    Attributes:
        environment: variables with which sbatch, squeue and scancel talk to this SLURM.
        cpus: of its one node.
        gpus: of its one node.
    """

    environment: dict[str, str]
    cpus: int
    gpus: int

    def run(self, *command: str) -> str:
        """Run a command of SLURM and return its output."""
        env = {**os.environ, **self.environment}
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout

    def jobs(self) -> list[str]:
        """The jobs in the queue, waiting or running."""
        return self.run("squeue", "--noheader", "--format=%i").split()

    def cancel_all(self) -> None:
        """Cancel all jobs and wait until they are gone."""
        self.run("scancel", "--user=root")
        while self.jobs():
            time.sleep(0.1)


@contextlib.contextmanager
def serve(folder: Path, cpus: int = 8) -> Iterator[Slurm]:
    """Serve until the end of the block; all files are in a folder."""
    need_root("a SLURM node")
    path = programs({"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client"})
    _write_config(folder, cpus)
    environment = {"SLURM_CONF": str(folder / "slurm.conf")}
    env = {**os.environ, **environment}
    munged = [path["munged"], "--foreground", "--force", *(f"--{name}={folder / file}" for name, file in MUNGE.items())]
    commands = {"munged": munged, "slurmctld": [path["slurmctld"], "-D", "-i"], "slurmd": [path["slurmd"], "-D"]}
    ready = {
        "munged": lambda: (folder / "munge.socket").exists(),
        "slurmctld": lambda: succeeds(["scontrol", "ping"], env),
        "slurmd": lambda: succeeds(["srun", "--immediate=1", "true"], env),
    }
    with contextlib.ExitStack() as stack:
        for name, command in commands.items():
            log = folder / f"{name}.log"
            alive = stack.enter_context(running(command, log, env=env))
            wait_until(ready[name], alive, log)
        yield Slurm(environment, cpus, len(GPUS))


def _write_config(folder: Path, cpus: int) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    host = socket.gethostname().split(".")[0]
    (folder / "slurm.conf").write_text(
        SLURM_CONF.format(
            folder=folder,
            host=host,
            controller_port=free_port(),
            node_port=free_port(),
            cpus=cpus,
            gpus=len(GPUS),
        )
    )
    devices = "\n".join(f"NodeName={host} Name=gpu File={device}" for device in GPUS)
    (folder / "gres.conf").write_text(f"AutoDetect=off\n{devices}\n")
