"""The configuration of a cluster.  Nothing here needs dask."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from glo.errors import ConfigError
from glo.records import Config, read_toml, validated

LOOPBACK = "127.0.0.1"
MORE_PACKAGES = "a cluster needs more packages: pip install 'glo-torch[cluster]' ({})"
FORMS = "local:N, tcp://HOST:PORT, tls://HOST:PORT, ssh:HOSTS.txt, slurm, htcondor, or a TOML file"


class ClusterConfig(Config):
    """The options of every cluster.

    Attributes:
        time_limit: seconds that one training, or a population that is trained together, may take before it is killed.
        retries: how many times to retry a training that timed out or crashed, on another worker if there is one.
        allowed_failures: how many workers a training may lose (killed, preempted, unreachable) before it counts as crashed.
        patience: seconds to wait for a worker, at the start or when all are gone.
        lost_after: seconds that a worker may be unreachable, e.g. while it restarts, before it counts as lost: a job of a
            batch system is then cancelled and replaced.
        certs: folder of `glo cluster certs`; by default certificates are made for the run.
        insecure: allow plain text on any network.
        share_gpus: allow several trainings on one GPU at the same time, which was not seen to work.
    """

    time_limit: PositiveFloat = 3600.0
    retries: NonNegativeInt = 1
    allowed_failures: NonNegativeInt = 10
    patience: PositiveFloat = 600.0
    lost_after: PositiveFloat = 60.0
    certs: Path | None = None
    insecure: bool = False
    share_gpus: bool = False


class LocalConfig(ClusterConfig):
    """Processes on this machine.

    Attributes:
        workers: how many; each has a GPU if the machine has any.
    """

    kind: Literal["local"] = "local"
    workers: PositiveInt = 1


class AddressConfig(ClusterConfig):
    """A scheduler that is running already.

    Attributes:
        address: tls://HOST:PORT or tcp://HOST:PORT.
    """

    kind: Literal["address"] = "address"
    address: str

    @model_validator(mode="after")
    def _complete(self) -> AddressConfig:
        scheme, _, place = self.address.partition("://")
        if scheme not in ("tcp", "tls") or not place.rpartition(":")[0] or not place.rpartition(":")[2].isdigit():
            raise ConfigError(f"the address of a scheduler is tls://HOST:PORT or tcp://HOST:PORT, not {self.address!r}")
        return self


class SharedConfig(ClusterConfig):
    """The options of clusters of several machines.  The scheduler runs in the driver's process.

    Attributes:
        host: address that the scheduler listens on; by default only this machine can reach it.
        interface: network interface to listen on, instead of `host`.
        shared: folder that the driver and all workers can read; it holds the certificates of a run.
        python: path of Python on the workers, if it differs from the driver's.
    """

    host: str = LOOPBACK
    interface: str | None = None
    shared: Path = Path()
    python: str | None = None


class SSHConfig(SharedConfig):
    """Machines that can be reached by SSH.

    Attributes:
        hosts: file with one machine on each line: `[USER@]HOST[:PORT] [slots=N] [gpus=N]`.
        ssh_config: configuration file of OpenSSH, instead of the user's own.
    """

    kind: Literal["ssh"] = "ssh"
    hosts: Path
    ssh_config: Path | None = None


class JobsConfig(SharedConfig):
    """Jobs of a batch system.  Cores, GPUs and memory are per job.

    Attributes:
        cores: number of concurrent trainings in a job without GPUs, one core each.
        gpus: number of concurrent trainings in a job with GPUs, one GPU each.
        memory, disk, walltime, queue, account: in the batch system's own notation; disk is for HTCondor, queue, account
            and walltime for SLURM.
        directives: further lines for the job, e.g. "--constraint=v100" (SLURM) or "+Flock = true" (HTCondor).
        prologue: lines of shell to run before the worker starts, e.g. "module load cuda".
        log_directory: folder for the output of jobs; it is created if needed.
        min_jobs, max_jobs: limits on the number of jobs, which follows the work; lost jobs are replaced.
    """

    cores: PositiveInt = 1
    gpus: NonNegativeInt = 0
    memory: str = "4 GiB"
    directives: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()
    log_directory: Path = Path("glo-logs")
    min_jobs: NonNegativeInt = 1
    max_jobs: PositiveInt = 10

    @model_validator(mode="after")
    def _ordered(self) -> JobsConfig:
        if self.min_jobs > self.max_jobs:
            raise ConfigError(f"min_jobs is {self.min_jobs} and max_jobs only {self.max_jobs}")
        return self

    @property
    def slots(self) -> int:
        """Number of concurrent trainings in a job."""
        return self.gpus or self.cores


class SlurmConfig(JobsConfig):
    kind: Literal["slurm"] = "slurm"
    walltime: str = "01:00:00"
    queue: str | None = None
    account: str | None = None


class HTCondorConfig(JobsConfig):
    kind: Literal["htcondor"] = "htcondor"
    disk: str = "1 GiB"


KINDS: dict[str, type[ClusterConfig]] = {
    "local": LocalConfig,
    "address": AddressConfig,
    "ssh": SSHConfig,
    "slurm": SlurmConfig,
    "htcondor": HTCondorConfig,
}


def read_cluster(cluster: str | ClusterConfig, insecure: bool = False) -> ClusterConfig:
    """Read a cluster's configuration from a text such as "local:2", or from a TOML file.

    Args:
        insecure: allow plain text, even if the file does not.

    Raises:
        ConfigError: if there is no such cluster or an option is wrong; the message says which.
    """
    if isinstance(cluster, ClusterConfig):
        return cluster.model_copy(update={"insecure": True}) if insecure else cluster
    values = {**_values(cluster), **({"insecure": True} if insecure else {})}
    kind = values.get("kind")
    if kind not in KINDS:
        raise ConfigError(f"{cluster}: give kind, one of {', '.join(KINDS)}" + (f", not {kind!r}" if kind else ""))
    return validated(KINDS[kind], values)


def _values(text: str) -> dict[str, Any]:
    kind, _, rest = text.partition(":")
    if kind == "local" and (rest.isdigit() or not rest):
        return {"kind": kind, "workers": int(rest or 1)}
    if kind in ("tcp", "tls"):
        return {"kind": "address", "address": text}
    if kind == "ssh" and rest:
        return {"kind": kind, "hosts": rest}
    if text in ("slurm", "htcondor"):
        return {"kind": text}
    if text.endswith(".toml"):
        return read_toml(text)
    raise ConfigError(f"there is no cluster '{text}'; a cluster is {FORMS}")
